"""Where a study is, for whoever watches, and the one thing it can be told: to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from peft_lab.rows import FAILED, FINISHED, RUNNING, Row
from peft_lab.run import STOP, Run
from peft_lab.study.book import Study
from peft_lab.study.forecast import Expected
from peft_lab.study.outcome import rows_of_cells
from peft_lab.texts import studies as texts


class StudyProgress:
    """Shared by the thread that carries a study out, which writes, and any number of readers."""

    def __init__(self) -> None:
        self.study: Study | None = None
        self.cells: Sequence[Mapping[str, Any]] = ()
        self.known: dict[str, Row] = {}
        """Rows of cells that have ended, by address."""
        self.begun: dict[str, Mapping[str, Any]] = {}
        """Cells that were handed out and have not come back, by address."""
        self.expected: Expected | None = None
        self.width = 1
        """Cells that run side by side."""
        self.phase = texts.READING
        self.version = 0
        """Counts what can be seen: a screen that has shown a version need not show it again."""
        self._began = time.monotonic()
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask the study to stop: no cell is begun any more, and those that run stop at their next step."""
        self._stop.set()

    def stopping(self) -> bool:
        """Whether a stop was asked for, here or in another process."""
        if not self._stop.is_set() and self.study is not None and (self.study.path / STOP).exists():
            self._stop.set()
        return self._stop.is_set()

    def changed(self) -> None:
        """Note that there is something new to show."""
        self.version += 1

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    @property
    def done(self) -> int:
        """Cells that are finished."""
        return sum(row.status == FINISHED for row in self._ended())

    @property
    def failed(self) -> int:
        """Cells that failed."""
        return sum(row.status == FAILED for row in self._ended())

    def _ended(self) -> list[Row]:
        known = dict(self.known)
        return [known[cell["address"]] for cell in self.cells if cell["address"] in known]

    @property
    def left_seconds(self) -> float | None:
        """How long the rest will take; None before anything tells."""
        if self.expected is None:
            return None
        known, left = dict(self.known), 0.0
        for cell in self.cells:
            if cell["address"] in known:
                continue
            seconds = self.expected.seconds(cell)
            if seconds is None:
                return None
            left += seconds
        running = list(self.begun.values())
        gone = sum(_gone(self.study, cell) for cell in running) if self.study is not None else 0.0
        return max(0.0, left - gone) / max(1, self.width)

    def running(self) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Cells that run, each with what its run says of where it is."""
        found = []
        for cell in list(self.begun.values()):
            run = _run(self.study, cell)
            found.append((cell, run.progress if run is not None else {}))
        return found

    def rows(self) -> tuple[Row, ...]:
        """All rows as they are now."""
        if self.study is None:
            return ()
        from dataclasses import replace

        begun = {(c["method"], c["asked"], c["budget"], c["seed"]) for c in list(self.begun.values())}
        rows = rows_of_cells(self.cells, self.study, self.known)
        return tuple(
            replace(row, status=RUNNING)
            if (row.method, row.asked, row.budget, row.seed) in begun and row.status not in (FINISHED, FAILED)
            else row
            for row in rows
        )


def _run(study: Study | None, cell: Mapping[str, Any]) -> Run | None:
    from peft_lab.errors import RunProblem

    try:
        return Run(study.folder_of(cell["address"])) if study is not None else None
    except RunProblem:  # it has not begun
        return None


def _gone(study: Study, cell: Mapping[str, Any]) -> float:
    run = _run(study, cell)
    return float(run.progress.get("seconds") or 0.0) if run is not None else 0.0
