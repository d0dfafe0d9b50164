"""Models, data and plugins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.errors import PeftLabError
from peft_lab.loading import OWN
from peft_lab.present.style import bytes_, count
from peft_lab.selfcheck.findings import FAILED, OK, WARNING, Finding

if TYPE_CHECKING:
    from peft_lab.host import Host


def models(host: Host, at_hand: str = "") -> Iterator[Finding]:
    """Base models that need no network: their files are there, and are what they should be; and the one at hand."""
    from peft_lab.sources.models import find_model

    if at_hand and at_hand not in host.offers("models"):
        try:
            found = find_model(at_hand, host)
            where = "files here" if found.local else "in the cache of the hub"
            yield Finding(f"model {at_hand}", OK, f"{where}, fingerprint {found.fingerprint[:12] or 'not known'}")
        except PeftLabError as error:
            yield Finding(f"model {at_hand}", FAILED, error.message, error.hint)
    for name, offer in host.offers("models").items():
        what = f"model {name}"
        try:
            offer.item.folder()
            found = find_model(name, host)
        except FileNotFoundError as error:
            message, _, advice = str(error).partition(": ")
            yield Finding(what, WARNING, message, advice)
            continue
        except PeftLabError as error:
            yield Finding(what, FAILED, error.message, error.hint)
            continue
        size = sum(file.stat().st_size for file in Path(found.path_or_id).glob("*.safetensors"))
        sure = "hash as it should be" if offer.item.sha256 else "no hash to compare with"
        yield Finding(what, OK, f"{bytes_(size)}, {sure}")


def data_sets(host: Host) -> Iterator[Finding]:
    """The data that comes with the package."""
    from peft_lab.data_spec import DataSpec
    from peft_lab.sources.datasets import load_data

    for name, offer in host.offers("datasets").items():
        if offer.plugin != OWN:
            continue
        rows = load_data(DataSpec(source=name), host).describe()["rows"]
        yield Finding(f"data {name}", OK, ", ".join(f"{count(number)} {split}" for split, number in rows.items()))


def plugins(host: Host) -> Iterator[Finding]:
    """Plugins that were found. A broken one of somebody else costs only itself."""
    infos = host.plugins()
    for info in infos:
        if info.status != "broken":
            continue
        first = next(problem for problem in host.problems if problem.plugin == info.name)
        own = info.distribution == "peft-lab"
        advice = "Install peft-lab again" if own else "%peft problems --details; or tell who wrote it"
        yield Finding(f"plugin {info.name}", FAILED if own else WARNING, f"{first.where}: {first.reason}", advice)
    others = [f"{info.name} {info.version}".strip() for info in infos if info.distribution != "peft-lab"]
    offered = f"{len(host.offers('methods'))} methods, {len(host.offers('views'))} views"
    yield Finding("plugins", OK, f"{offered}; of others: {', '.join(others) or 'none'}")
