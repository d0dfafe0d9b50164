"""One cell: train it unless it is there, go on with it where it was cut off. Plain data in and out, in any process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import PeftLabError
from peft_lab.recipe import Recipe
from peft_lab.rows import FAILED, FINISHED, RUNNING, STOPPED, UNTRAINED
from peft_lab.run import RUN_JSON, Run
from peft_lab.study.claiming import claimed, is_claimed
from peft_lab.training.progress import Progress
from pluggy_specs.errors import in_one_line

if TYPE_CHECKING:
    from peft_lab.host import Host

LOCKS = ".locks"
INTERRUPTS = ("KeyboardInterrupt", "SystemExit", "GeneratorExit")
"""Ends of a run that say nothing of the run: it was cut off, as by a kill."""
_hosts: list[Host] = []
"""What a process trains with: the host that :func:`with_host` put here, else one of its own, made once."""


@contextmanager
def with_host(host: Host) -> Iterator[None]:
    """Inside, cells that are run in this process use a host with all that was added in the notebook."""
    _hosts.insert(0, host)
    try:
        yield
    finally:
        _hosts.remove(host)


def run_cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Train a cell's recipe into its folder, and say what came of it.

    Nothing is done where it is finished, or where it failed and ``again`` does not ask for more. What was cut off goes
    on from its last checkpoint. Of all who are asked for a cell at one time, one trains it: the others are told that
    it is running.

    Args:
        cell: ``address``, ``folder`` (of the run), ``kind`` and ``recipe``; maybe ``stop`` (a file whose presence asks
            for a stop) and ``again`` (whether what failed is tried once more).
    """
    folder = Path(cell["folder"])
    with claimed(lock_of(folder)) as mine:
        if not mine:
            return _told(cell, RUNNING)
        return _run(cell, folder)


def lock_of(folder: Path) -> Path:
    """The file that whoever trains the run of a cell holds."""
    return folder.parent / LOCKS / folder.name


def is_at_work(folder: Path) -> bool:
    """Whether somebody trains the run of a cell now."""
    return is_claimed(lock_of(folder))


def _run(cell: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    run = Run(folder) if (folder / RUN_JSON).is_file() else None
    if run is not None and run.trouble:
        return _told(cell, FAILED, f"{run.id}/{RUN_JSON}: {run.trouble}")
    if run is not None:
        if run.active:  # somebody resumed it by hand
            return _told(cell, RUNNING)
        status = status_of(run)
        if status == FINISHED or (status == FAILED and not cell.get("again")):
            return _told(cell, status, error_of(run))
    progress = Asked(cell.get("stop"))
    try:
        run = _trained(cell, folder, run, progress)
    except Exception as error:  # a failure is a row of the study, not its end
        return _told(cell, FAILED, in_one_line(error))
    return _told(cell, status_of(run))


def _trained(cell: Mapping[str, Any], folder: Path, run: Run | None, progress: Progress) -> Run:
    from peft_lab.training import session
    from peft_lab.training.preparing import Changed
    from peft_lab.training.untrained import score_untrained

    host = _host()
    recipe = Recipe.read(cell["recipe"])
    if cell.get("kind") == UNTRAINED:
        if run is not None:
            shutil.rmtree(folder)
        return score_untrained(recipe, host, folder.parent, progress, folder.name)
    if run is not None:
        try:
            return session.resume(run, host, progress)
        except Changed:  # what it has cannot be gone on with: its numbers would be of two kinds
            shutil.rmtree(folder)
    return session.train(recipe, host, folder.parent, progress, name=folder.name)


class Asked(Progress):
    """The progress of a cell, which is asked to stop through a file of its study, too."""

    def __init__(self, stop: str | None) -> None:
        super().__init__()
        self.file = Path(stop) if stop else None

    def stopping(self) -> bool:
        """Whether a stop was asked for: of this cell, or of the whole study."""
        if self.file is not None and self.file.exists():
            self.stop()
        return super().stopping()


def status_of(run: Run) -> str:
    """The status of a cell's run: one that was interrupted, or whose process is gone, was cut off and can go on."""
    status = run.status
    interrupted = status == FAILED and str((run.record.get("error") or {}).get("type")) in INTERRUPTS
    return STOPPED if interrupted or status == "crashed" else status


def error_of(run: Run) -> str:
    """Why a run failed, in one line; nothing where it did not."""
    error = run.record.get("error") or {}
    if status_of(run) != FAILED:
        return ""
    kind, message = str(error.get("type") or ""), str(error.get("message") or "")
    ours = kind in _families()
    return message if ours and message else f"{kind}: {message}".strip(": ") or "no reason is on record"


def _families() -> set[str]:
    """Names of the errors that are meant for people."""
    found, waiting = set(), [PeftLabError]
    while waiting:
        kind = waiting.pop()
        found.add(kind.__name__)
        waiting += kind.__subclasses__()
    return found


def _told(cell: Mapping[str, Any], status: str, error: str = "") -> dict[str, Any]:
    said = {"cell": cell["address"], "status": status, "path": str(cell["folder"])}
    return {**said, "error": error} if error else said


def _host() -> Host:
    if not _hosts:
        from peft_lab.host import Host

        _hosts.append(Host(warn=lambda line: None))
    return _hosts[0]
