"""Does everything work here? Each part of the installation is looked at, and a model is really trained.

A check never raises: what it met is its result. Nothing is asked of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.errors import PeftLabError
from peft_lab.selfcheck.findings import FAILED, WARNING, Checked, Finding
from peft_lab.texts import checks as texts

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
        texts.PACKAGES: installed.packages,
        texts.NOTEBOOK: installed.notebook,
        **(more or {}),
        texts.NETWORK: lambda: machine.network(offline),
        texts.DEVICE: machine.device,
        texts.MEMORY: machine.memory,
        texts.RUNS_FOLDER: lambda: machine.disk(folder),
        texts.MODELS: lambda: offered.models(host, model),
        texts.DATA_SETS: lambda: offered.data_sets(host),
        texts.PLUGINS: lambda: offered.plugins(host),
        texts.TRAINING: training.training,
    }
    found = [finding for name, check in checks.items() for finding in guarded(name, check)]
    failed, warned = (sum(f.state == state for f in found) for state in (FAILED, WARNING))
    note = texts.EVERYTHING_WORKS if not failed else texts.SOME_FAILED.format(count=failed)
    note += f" {texts.TO_LOOK_AT.format(count=warned)}" if warned else ""
    rows = [[f.what, texts.STATES[f.state], f.found, f.advice] for f in found]
    return Checked(texts.SELFCHECK, texts.SELFCHECK_COLUMNS, rows, note=note)


def guarded(name: str, check: Check) -> Iterator[Finding]:
    """The findings of a check; what it raises is one, too."""
    try:
        yield from check()
    except PeftLabError as error:
        yield Finding(name, FAILED, error.message, error.hint)
    except Exception as error:  # a check that cannot be made is a finding like any other
        said = " ".join(str(error).split())
        yield Finding(name, FAILED, _error(type(error).__name__, said))


def _error(kind: str, message: str) -> str:
    return (texts.UNFORESEEN if message else texts.UNFORESEEN_SILENT).format(kind=kind, message=message)
