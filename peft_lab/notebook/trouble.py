"""The last error as text, for ``%peft debug``. Nothing here keeps a frame: frames hold models."""

from __future__ import annotations

import traceback
from pathlib import Path


class Interrupted(KeyboardInterrupt):
    """An interrupt of what leaves nothing to go on with. Raised anew, it holds no frames, and so no tensors."""

    def __init__(self, command: str) -> None:
        super().__init__(f"You interrupted {command} before it was done.")

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def told(error: BaseException, trained: Path | None) -> str:
    """The traceback of an error; of a training that failed, the one in the record of its run.

    Args:
        trained: the folder of the run that was made when the error came, if there is one.
    """
    return _of_run(trained) or _of(error)


def _of_run(folder: Path | None) -> str:
    from peft_lab.errors import RunProblem
    from peft_lab.run import Run

    if folder is None:
        return ""
    try:
        run = Run(folder)
        return str((run.record.get("error") or {}).get("traceback", "")) if run.status == "failed" else ""
    except (RunProblem, OSError, KeyError):
        return ""


def _of(error: BaseException) -> str:
    hidden = []
    seen: BaseException | None = error
    while seen is not None:  # what "from None" hides from the one line is what a person looks for here
        hidden.append((seen, seen.__suppress_context__))
        seen.__suppress_context__ = seen.__cause__ is not None
        seen = seen.__cause__ or seen.__context__
    try:
        return "".join(traceback.format_exception(error))
    finally:
        for one, suppressed in hidden:
            one.__suppress_context__ = suppressed
