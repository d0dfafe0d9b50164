"""Trains in a worker thread while the cell waits. An interrupt asks for a stop and never tears a step apart."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from peft_lab.errors import PeftLabError, RunProblem
from peft_lab.run import METRICS, Run, point_in
from peft_lab.training.progress import Progress

WAIT = 0.1
"""Seconds between two looks at a worker that is still busy; its end is noticed at once."""


class Screen(Protocol):
    """Where a training is shown."""

    def begin(self, stop: Callable[[], None] | None) -> None:
        """Get ready. ``stop`` is the same as an interrupt, for a button; None where an interrupt ends the watching."""

    def paint(self, progress: Progress, interrupts: int) -> None:
        """Show where it is, if it is time to. Called about ten times a second."""

    def close(self, run: Run | None, returned: bool) -> None:
        """Show what came of it. ``returned``: the cell will get the run as its value."""


class RunFailed(PeftLabError):
    """A training that ended with an error nobody foresaw; what it had done is kept."""


class Stopped(KeyboardInterrupt):
    """A training stopped by hand. Raised after the run was saved, so that the cells behind this one do not run."""

    def __init__(self, run: Run, where: str, kept: str) -> None:
        super().__init__(f"{where} {kept}")
        self.run = run
        self.lines = [where, kept]

    def _render_traceback_(self) -> list[str]:
        return self.lines


def watch(progress: Progress, work: Callable[[], Run], screen: Screen, at_hand: Callable[[Run], str] = str) -> Run:
    """Train, shown on a screen. ``at_hand`` says under which names a run can be had.

    Raises:
        Stopped: by an interrupt; the run is kept.
        PeftLabError: what training raised, or :class:`RunFailed` with one line about it.
    """
    worker = _Worker(work)
    with _Interrupts(progress) as interrupts:
        screen.begin(interrupts.ask)
        worker.start()
        trouble = _wait(worker, progress, screen, interrupts)
        run = worker.result if worker.error is None else _kept(progress)
        try:
            screen.close(run, returned=worker.error is None and not interrupts.count)
        except Exception as error:
            trouble = error
    if trouble is not None:
        sys.stderr.write(f"The live view failed, training did not: {type(trouble).__name__}: {trouble}\n")
    if worker.error is not None:
        raise _without_frames(worker.error, run)
    assert run is not None
    if interrupts.count or run.status == "stopped":
        raise Stopped(run, _where(run, by_you=bool(interrupts.count)), f"Kept as {run.id}: {at_hand(run)}")
    return run


def follow(run: Run, screen: Screen) -> Run:
    """Show a run that goes on in another process until it has ended.

    Raises:
        RunProblem: it failed or crashed.
        Left: an interrupt ended the watching; the run goes on.
    """
    progress = Elsewhere(run)
    screen.begin(None)
    try:
        while run.active:
            progress.look()
            screen.paint(progress, 0)
            time.sleep(WAIT)
    except KeyboardInterrupt:
        screen.close(None, returned=False)
        raise Left(run) from None
    failed = run.status in ("failed", "crashed")
    screen.close(run, returned=not failed)
    return run.checked()


class Elsewhere(Progress):
    """The progress of a run in another process, as its files tell it."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self._file = (0, 0)
        """Which file of points was read, and how far."""

    def look(self) -> None:
        """Read what is new. Of the points that is what was added: all of a long run would hold up who looks."""
        self.update(**{"run_id": self.run.id, **self.run.progress})
        try:
            with (self.run.path / METRICS).open("rb") as stream:
                stat = os.fstat(stream.fileno())
                known, read = self._file
                if known != stat.st_ino or read > stat.st_size:  # a run that was resumed takes points back
                    self.points, read = [], 0
                stream.seek(read)
                whole, end, _ = stream.read(stat.st_size - read).rpartition(b"\n")
        except OSError:
            return
        self._file = stat.st_ino, read + len(whole) + len(end)
        added = [point for line in whole.split(b"\n") if (point := point_in(line)) is not None]
        if added:
            self.points = [*self.points, *added]


class Left(KeyboardInterrupt):
    """Somebody stopped watching a run that goes on. Raised so that the cells behind this one do not run."""

    def __init__(self, run: Run) -> None:
        self.lines = [
            f"You stopped watching; {run.id} goes on.",
            f"%peft wait {run.id} to watch again, %peft stop {run.id} to stop it",
        ]
        super().__init__(" ".join(self.lines))

    def _render_traceback_(self) -> list[str]:
        return self.lines


def _wait(worker: _Worker, progress: Progress, screen: Screen, interrupts: _Interrupts) -> Exception | None:
    trouble: Exception | None = None
    while True:
        try:
            if worker.ended(WAIT):
                return trouble
            if trouble is None:
                screen.paint(progress, interrupts.count)
        except KeyboardInterrupt:  # raised by somebody else's handler, where ours could not be set
            interrupts.ask()
        except Exception as error:  # a picture must not cost a run, nor leave it behind without anybody waiting
            trouble = error


class _Worker(threading.Thread):
    def __init__(self, work: Callable[[], Run]) -> None:
        super().__init__(name="peft_lab training", daemon=True)
        self.work = work
        self.result: Run | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error

    def ended(self, seconds: float) -> bool:
        self.join(seconds)
        return not self.is_alive()


class _Interrupts:
    """Counts interrupts instead of raising them: none can hit in the middle of a message to the front end.

    A Stop button asks for the same, in another thread.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.count = 0

    def __enter__(self) -> _Interrupts:
        self.ours = threading.current_thread() is threading.main_thread()
        if self.ours:
            self.before = signal.signal(signal.SIGINT, lambda number, frame: self.ask())
        return self

    def __exit__(self, *error: Any) -> None:
        if self.ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL if self.before is None else self.before)

    def ask(self) -> None:
        self.count += 1
        self.progress.stop()


def _kept(progress: Progress) -> Run | None:
    try:
        return Run(progress.state["path"])
    except (KeyError, RunProblem):
        return None


def _where(run: Run, by_you: bool) -> str:
    steps = run.record.get("steps", {})
    done, planned = steps.get("done", 0), steps.get("planned")
    if run.status == "finished":
        return f"You interrupted, but {run.early or f'all {done:,} steps'} were done."
    who = "by you" if by_you else "as asked"
    return f"Stopped {who} at step {done:,}{f' of {planned:,}' if planned else ''}."


def _without_frames(error: BaseException, run: Run | None) -> BaseException:
    """The error to raise. Frames of the training hold the model, and the notebook keeps the last error for long."""
    if run is None and not isinstance(error, PeftLabError):
        return error  # no run has it on record
    said = "".join(traceback.format_exception_only(error)).strip()
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        following = seen.__cause__ or seen.__context__
        seen.__traceback__ = seen.__cause__ = seen.__context__ = None
        seen = following
    if isinstance(error, PeftLabError):
        return error
    assert run is not None
    return RunFailed(f"{run.id} failed: {' '.join(said.split())}", f"Kept in {run.path}, traceback in run.json")
