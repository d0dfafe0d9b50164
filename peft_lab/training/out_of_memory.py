"""Memory that runs short: refused before the first step where that can be known, told in one line where it cannot."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from peft_lab.errors import OutOfMemory
from peft_lab.present.style import bytes_
from peft_lab.training.cost import give_back
from peft_lab.training.fitting import what_fits
from peft_lab.training.forecast import Start
from peft_lab.training.room import NEAR, free_memory

if TYPE_CHECKING:
    from peft_lab.training.loop import Job
    from peft_lab.training.progress import Progress

SAID = (  # by torch's allocators on a CPU, a GPU and a Mac, by cuBLAS, by oneDNN, by the system
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "alloc_failed",
    "bad_alloc",
    "could not create a memory object",
)
NOTHING_FITS = "Nothing near it fits: a smaller base model, or a machine with more memory"


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that memory ran short."""
    return any(_says_so(one) for one in _chain(error))


class Guard:
    """Around a training: turns running out of memory into one line with what would fit, and lets the memory go.

    The frames of the error are emptied, for they hold the model; its text is kept by the new error's chain.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.job: Job | None = None
        self.start: Start | None = None
        self.free = 0

    def check(self, job: Job, start: Start, note: Callable[[str], None], anyway: bool = False) -> None:
        """Compare the forecast with what is free, before the first step.

        Args:
            note: told when it will be a near thing.
            anyway: train all the same.

        Raises:
            OutOfMemory: it would not fit.
        """
        self.job, self.start, self.free = job, start, free_memory(job.accelerator.device)
        more = start.moving
        if more > self.free and not anyway:
            fits = what_fits(job, start.footprint, self.free)
            there = self.free + start.footprint.process + start.footprint.weights
            raise OutOfMemory(
                f"this training would take about {bytes_(start.forecast.memory['peak'])}, of which only "
                f"{bytes_(there)} can be had",
                fits or NOTHING_FITS,
            )
        if more > NEAR * self.free:
            note(f"Memory is a near thing: training takes about {bytes_(more)} more, {bytes_(self.free)} are free")

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        job, start, self.job, self.start = self.job, self.start, None, None
        if error is None or not (isinstance(error, OutOfMemory) or is_out_of_memory(error)):
            return
        if isinstance(error, OutOfMemory):  # by the check: all is said
            del job, start
            traceback.clear_frames(error.__traceback__)
            return
        message, hint = self._words(job, start)
        del job, start
        for one in _chain(error):
            traceback.clear_frames(one.__traceback__)
        give_back()
        raise OutOfMemory(message, hint) from error

    def _words(self, job: Job | None, start: Start | None) -> tuple[str, str]:
        state = self.progress.state
        if job is None or start is None:
            return f"out of memory while {state.get('phase', 'preparing')}", NOTHING_FITS
        where = f"at step {state.get('step', 0) + 1}" if state["phase"] == "training" else f"while {state['phase']}"
        reached, expected = bytes_(job.memory.read()), bytes_(start.forecast.memory["peak"])
        fits = what_fits(job, start.footprint, self.free, failed=True)
        return f"out of memory {where}: it had reached {reached}, the forecast is {expected}", fits or NOTHING_FITS


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _says_so(error: BaseException) -> bool:
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in SAID)
