"""Does everything work here? Each part of the installation is looked at, and a model is really trained.

A check never raises: what it met is its result. Nothing is asked of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.errors import PeftLabError
from peft_lab.selfcheck.findings import FAILED, WARNING, Checked, Finding

if TYPE_CHECKING:
    from peft_lab.host import Host

__all__ = ["Check", "Checked", "selfcheck"]
Check = Callable[[], Iterator[Finding]]


def selfcheck(
    host: Host, folder: Path, *, model: str = "", offline: str = "", more: Mapping[str, Check] | None = None
) -> Checked:
    """Look at everything.

    Args:
        folder: where runs live.
        model: the base model at hand, which may be none of those that are offered.
        offline: which setting keeps this from the network; empty where none does.
        more: what only a notebook can look at, by name.
    """
    from peft_lab.selfcheck import installed, machine, offered, training

    checks: dict[str, Check] = {
        "packages": installed.packages,
        "notebook": installed.notebook,
        **(more or {}),
        "network": lambda: machine.network(offline),
        "device": machine.device,
        "memory": machine.memory,
        "runs folder": lambda: machine.disk(folder),
        "models": lambda: offered.models(host, model),
        "data sets": lambda: offered.data_sets(host),
        "plugins": lambda: offered.plugins(host),
        "training": training.training,
    }
    found = [finding for name, check in checks.items() for finding in guarded(name, check)]
    failed, warned = (sum(f.state == state for f in found) for state in (FAILED, WARNING))
    note = "Everything works." if not failed else f"{failed} failed."
    note += f" {warned} to look at." if warned else ""
    rows = [[f.what, f.state, f.found, f.advice] for f in found]
    return Checked("selfcheck", ("check", "", "found", "what to do"), rows, note=note)


def guarded(name: str, check: Check) -> Iterator[Finding]:
    """The findings of a check; what it raises is one, too."""
    try:
        yield from check()
    except PeftLabError as error:
        yield Finding(name, FAILED, error.message, error.hint)
    except Exception as error:  # a check that cannot be made is a finding like any other
        said = " ".join(str(error).split())
        yield Finding(name, FAILED, f"{type(error).__name__}: {said}" if said else type(error).__name__)
