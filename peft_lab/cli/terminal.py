"""A training shown in a terminal while it goes on: one line on stderr, so that stdout holds results alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from peft_lab.notebook.live import InTerminal
from peft_lab.notebook.watching import follow, watch

if TYPE_CHECKING:
    from peft_lab.rows import StudyRows
    from peft_lab.run import Run
    from peft_lab.study.progress import StudyProgress
    from peft_lab.training.progress import Progress


class Line(InTerminal):
    """A line that is written over; where that cannot be, a line for each evaluation. What came of it is the result."""

    def close(self, run: Run | None, returned: bool) -> None:
        """Clear the line."""
        if self.over:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class Nothing:
    """Nothing moves."""

    def paint(self, progress: Progress, interrupts: int) -> None:
        """Nothing."""

    def close(self, run: Run | None, returned: bool) -> None:
        """Nothing."""


def watcher(live: bool) -> Callable[[Progress, Callable[[], Run]], Run]:
    """What shows a training of this process; Ctrl-C stops it at a step boundary, and the run is kept."""
    return lambda progress, work: watch(progress, work, _screen(live), _at_hand)


def follower(live: bool) -> Callable[[Run], Run]:
    """What shows a training of another process; Ctrl-C ends the watching only."""
    return lambda run: follow(run, _screen(live))


def study_watcher(live: bool) -> Callable[[StudyProgress, Callable[[], StudyRows]], StudyRows]:
    """What shows a study; Ctrl-C stops it, and all that was trained is kept."""
    from peft_lab.notebook.study_watching import study_screen, watch_study

    return lambda progress, work: watch_study(progress, work, study_screen(None, live))


def teller(live: bool) -> Callable[[], AbstractContextManager[Progress]]:
    """What shows how far something is that leaves no run."""
    from peft_lab.notebook.telling import telling

    return lambda: telling(None, live)


def _screen(live: bool) -> Any:
    return Line() if live else Nothing()


def _at_hand(run: Run) -> str:
    return f"%peft show {run.id}, or %peft resume {run.id}"
