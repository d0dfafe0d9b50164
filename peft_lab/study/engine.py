"""Carries a study out: hands cells to an executor, learns from those of a sweep which rate the rest take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import RunProblem
from peft_lab.rows import FAILED, FINISHED, RUNNING, StudyRows
from peft_lab.run import STOP
from peft_lab.study import letting_go, texts
from peft_lab.study.book import LOCK, Study
from peft_lab.study.cells import is_at_work, run_cell, with_host
from peft_lab.study.choosing import width_of
from peft_lab.study.claiming import claimed
from peft_lab.study.forecast import WORTH_TRYING, Expected, Forecast, foretell, trials
from peft_lab.study.grid import Cell, Grid, group_of
from peft_lab.study.outcome import rate_of, row_of, rows_of, rows_of_cells, tried
from peft_lab.study.places.machine import within
from peft_lab.study.progress import StudyProgress
from peft_lab.texts import studies
from peft_lab.trackers.choice import STUDY

if TYPE_CHECKING:
    from peft_lab.host import Host
    from pluggy_specs import Executor

LOOK = 0.5
"""Seconds between two looks at a cell that another process trains."""


class Engine:
    """One study, carried out in this process or from it.

    Args:
        again: whether cells that failed are tried once more.
    """

    def __init__(
        self, study: Study, grid: Grid, host: Host, progress: StudyProgress | None = None, *, again: bool = False
    ) -> None:
        self.study, self.grid, self.host, self.again = study, grid, host, again
        self.progress = progress or StudyProgress()
        self.plan = grid.plan
        self.known = self.progress.known
        self.cells: list[Cell] = []
        self.handed: set[str] = set()
        self.queue: deque[Cell] = deque()
        self.elsewhere: list[Cell] = []
        self.errors: dict[str, str] = {}
        self.expected = Expected(grid.recipes)

    # --- before anything is trained -----------------------------------------------------------------------------------

    def open(self, *, mine: bool = False) -> None:
        """Write the study's cells down, and read what is there of them.

        Args:
            mine: whether this process has claimed the study.

        Raises:
            RunProblem: another process carries it out.
        """
        if not mine and self.study.active:
            raise self._busy_now()
        self.cells = self.grid.cells()
        ground = self.grid.ground
        self.study.write(self.plan, self.cells, settled=ground.settled, notes=self.grid.notes)
        self._look()

    def foretell(self, width: int = 1, *, all_methods: bool = False) -> Forecast:
        """What is left to do. Methods of which no cell has finished are tried where it is worth it, or all of them."""
        if not self.cells:
            self.cells = self.grid.cells()
        self._look()
        methods = {row.method for row in self.known.values() if row.status == FINISHED}
        wanted = [
            method
            for method in self.grid.recipes
            if method not in methods and (all_methods or self._open(method) >= WORTH_TRYING)
        ]
        if wanted:
            self.progress.phase = studies.TRYING
            self.expected.trials = trials(self.grid, self.host, wanted)
        return foretell(self.study.name, self.cells, self.known, self.expected, self.plan.keep, width, self.grid.notes)

    def _open(self, method: str) -> int:
        return sum(cell["method"] == method and cell["address"] not in self.known for cell in self.cells)

    # --- all of it ----------------------------------------------------------------------------------------------------

    def run(self, executor: Executor) -> StudyRows:
        """Train what is open, and return all rows. A stop asked for through the progress leaves the rest for later.

        Raises:
            RunProblem: another process carries the study out.
        """
        with claimed(self.study.path / LOCK) as mine:
            if not mine:
                raise self._busy_now()
            (self.study.path / STOP).unlink(missing_ok=True)
            self.open(mine=True)
            progress = self.progress
            progress.study, progress.width = self.study, width_of(executor)
            self.foretell(progress.width)
            self._queue_up()
            progress.expected, progress.phase = self.expected, "training"
            progress.changed()
            try:
                with with_host(self.host), within({STUDY: self.study.name}):
                    self._rounds(executor)
            finally:
                with suppress(OSError):
                    (self.study.path / STOP).unlink(missing_ok=True)
                progress.begun.clear()
            if self.plan.keep == "best" and not progress.stopping():
                letting_go.keep_best(rows_of_cells(self.cells, self.study, self.known), self.known.values())
            progress.phase = "stopped" if progress.stopping() else "finished"
            progress.changed()
        return rows_of(self.study)

    def _busy_now(self) -> RunProblem:
        name = self.study.name
        return RunProblem(texts.BUSY.format(name=name), texts.BUSY_HINT.format(name=name))

    def _rounds(self, executor: Executor) -> None:
        while True:
            for result in executor.run_cells(run_cell, self._handed_out(), self.progress.stopping):
                self._came(result)
            if self.progress.stopping() or not (self.queue or self.elsewhere):
                return
            if not self.queue:
                self._wait_for_others()

    def _handed_out(self) -> Iterator[Mapping[str, Any]]:
        """Open cells one after another; those that become known meanwhile are among them."""
        while self.queue and not self.progress.stopping():
            cell = self.queue.popleft()
            self.progress.begun[cell["address"]] = cell
            self.progress.changed()
            yield {
                "address": cell["address"],
                "kind": cell["kind"],
                "recipe": cell["recipe"],
                "folder": str(self.study.folder_of(cell["address"])),
                "stop": str(self.study.path / STOP),
                "again": self.again,
            }

    def _came(self, result: Mapping[str, Any]) -> None:
        """A cell came back: finished, failed, stopped, or trained by somebody else just now."""
        address = str(result.get("cell") or "")
        cell = self.progress.begun.pop(address, None)
        if cell is None:  # an executor that says something of a cell that it was not given
            return
        if result.get("status") == RUNNING:
            self.elsewhere.append(dict(cell))
            return
        if result.get("error") and result.get("status") in (None, FAILED):
            self._note_error(address, str(result["error"]))
        row = row_of(cell, self.study, self.known)
        if row.status == FINISHED:
            self.expected.note(row)
            if not letting_go.keeps_at_once(self.plan.keep, row.cost):
                letting_go.let_go(Path(row.path))
        self._settle(group_of(cell))
        self.progress.changed()

    def _note_error(self, address: str, error: str) -> None:
        """Keep an error that no run has on record: of a worker that was lost, or of a cell that could not begin."""
        self.known.pop(address, None)
        row = row_of({**self._cell(address)}, self.study, {})
        if row.status not in (FINISHED, FAILED):
            self.errors[address] = " ".join(error.split())
            self.study.update(errors=self.errors)

    def _cell(self, address: str) -> Cell:
        return next(cell for cell in self.cells if cell["address"] == address)

    def _settle(self, *groups: tuple[Any, ...]) -> None:
        """Give cells their learning rate, where those that try it have all ended."""
        changed = False
        candidates = tried(self.cells)
        for group in groups:
            rate, _ = rate_of(candidates.get(group, ()), self.study, self.known) if group in candidates else (None, "")
            if rate is None:
                continue
            for at, cell in enumerate(self.cells):
                if not cell["address"] and group_of(cell) == group:
                    self.cells[at] = self.grid.with_rate(cell, rate)
                    self._enqueue(self.cells[at])
                    changed = True
        if changed:
            self.progress.cells = tuple(self.cells)
            self.study.update(cells=self.cells)

    def _queue_up(self) -> None:
        self.errors = {}
        self.study.update(errors={})
        self._look()
        for cell in list(self.cells):
            self._enqueue(cell)

    def _look(self) -> None:
        """Read what is on disk of every cell, and learn the rates of sweeps that have ended."""
        for cell in self.cells:
            row = row_of(cell, self.study, self.known)
            if row.status == FINISHED and not any(row.path == one.path for one in self._seen(row)):
                self.expected.note(row)
        self._settle(*tried(self.cells))
        self.progress.cells = tuple(self.cells)

    def _seen(self, row: Any) -> Sequence[Any]:
        return self.expected.seen.get((row.method, row.examples, row.budget), ())

    def _enqueue(self, cell: Cell) -> None:
        """Put a cell among those to be trained, unless it has ended. Each is handed out once."""
        address = cell["address"]
        if not address or address in self.handed:
            return
        row = row_of(cell, self.study, self.known)
        if row.status == FAILED and self.again:
            self.known.pop(address, None)
        elif row.status in (FINISHED, FAILED):
            return
        self.handed.add(address)
        self.queue.append(cell)

    def _wait_for_others(self) -> None:
        """Wait until one of the cells that other processes train has been given free."""
        self.progress.phase = studies.WAITS_FOR_OTHERS
        while not self.progress.stopping():
            free = [cell for cell in self.elsewhere if not self._busy(cell)]
            if free:
                self.elsewhere = [cell for cell in self.elsewhere if cell not in free]
                self.queue.extend(free)
                break
            time.sleep(LOOK)
        self.progress.phase = "training"

    def _busy(self, cell: Cell) -> bool:
        """Whether somebody trains a cell: another study, or a person who resumed its run."""
        folder = self.study.folder_of(cell["address"])
        return is_at_work(folder) or row_of(cell, self.study, {}).status == RUNNING
