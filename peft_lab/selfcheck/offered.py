"""Models, data and plugins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.errors import PeftLabError
from peft_lab.loading import OWN
from peft_lab.present.style import bytes_, count
from peft_lab.selfcheck.findings import FAILED, OK, WARNING, Finding
from peft_lab.texts import cards
from peft_lab.texts import checks as texts

if TYPE_CHECKING:
    from peft_lab.host import Host


def models(host: Host, at_hand: str = "") -> Iterator[Finding]:
    """Base models that need no network: their files are there, and are what they should be; and the one at hand."""
    from peft_lab.sources.models import find_model

    if at_hand and at_hand not in host.offers("models"):
        what = texts.MODEL.format(name=at_hand)
        try:
            found = find_model(at_hand, host)
            where = texts.FILES_HERE if found.local else texts.IN_CACHE
            yield Finding(what, OK, where.format(fingerprint=found.fingerprint[:12] or texts.NOT_KNOWN))
        except PeftLabError as error:
            yield Finding(what, FAILED, error.message, error.hint)
    for name, offer in host.offers("models").items():
        what = texts.MODEL.format(name=name)
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
        sure = texts.HASH_RIGHT if offer.item.sha256 else texts.NO_HASH
        yield Finding(what, OK, sure.format(size=bytes_(size)))


def data_sets(host: Host) -> Iterator[Finding]:
    """The data that comes with the package."""
    from peft_lab.data_spec import DataSpec
    from peft_lab.sources.datasets import load_data

    for name, offer in host.offers("datasets").items():
        if offer.plugin != OWN:
            continue
        rows = load_data(DataSpec(source=name), host).describe()["rows"]
        said = (
            texts.ROWS_OF_SPLIT.format(count=count(number), split=cards.SPLITS.get(split, split))
            for split, number in rows.items()
        )
        yield Finding(texts.DATA.format(name=name), OK, ", ".join(said))


def plugins(host: Host) -> Iterator[Finding]:
    """Plugins that were found. A broken one of somebody else costs only itself."""
    infos = host.plugins()
    for info in infos:
        if info.status != "broken":
            continue
        first = next(problem for problem in host.problems if problem.plugin == info.name)
        own = info.distribution == "peft-lab"
        advice = texts.INSTALL_AGAIN if own else texts.TELL_AUTHOR
        said = texts.PROBLEM.format(where=first.where, reason=first.reason)
        yield Finding(texts.PLUGIN.format(name=info.name), FAILED if own else WARNING, said, advice)
    others = [f"{info.name} {info.version}".strip() for info in infos if info.distribution != "peft-lab"]
    numbers = {"methods": len(host.offers("methods")), "views": len(host.offers("views"))}
    said = texts.OFFERED if others else texts.OFFERED_ALONE
    yield Finding(texts.PLUGINS, OK, said.format(**numbers, others=", ".join(others)))
