"""The executor of one machine: worker processes side by side, each of which serves many cells."""

from __future__ import annotations

import queue
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator

from pydantic import Field

import pluggy_specs
from peft_lab.study.places.machine import cores, devices, environment
from peft_lab.study.places.sending import RETRIES, Cell, Elsewhere, Work, packed
from peft_lab.study.places.stopping import LOOK, ask_to_stop
from peft_lab.study.places.worker import Answers, Worker
from pluggy_specs import failed_cell


class Processes(Elsewhere):
    """Trains in processes of this machine; one that dies is replaced, and its cell begun again."""

    name = "processes"
    summary = "worker processes on this machine, side by side"

    class Options(pluggy_specs.Options):
        """How many, and how many threads each."""

        workers: int = Field(2, ge=1, description="processes at a time")
        threads: int = Field(0, ge=0, description="threads of each process; 0: the cores are shared out among them")

    def run_cells(self, work: Work, cells: Iterable[Cell], stop: Callable[[], bool]) -> Iterator[Cell]:
        """Give each free process a cell; yield results as they come."""
        pool = _Pool(packed(work), self.options.workers, self.options.threads)
        waiting = iter(cells)
        again: list[tuple[Cell, int]] = []
        try:
            while True:
                stopping = stop()
                while not stopping and pool.free:
                    cell, lost = again.pop(0) if again else (next(waiting, None), 0)
                    if cell is None:
                        break
                    pool.give(cell, lost)
                if not pool.busy:
                    return
                if stopping:
                    for worker in pool.busy:
                        ask_to_stop(worker.cell)
                for worker, result in pool.came():
                    if result is not None:
                        yield result
                    elif worker.lost < RETRIES:
                        again.append((worker.cell, worker.lost + 1))
                    else:
                        yield failed_cell(worker.cell, worker.how_it_ended(RETRIES + 1))
        finally:
            pool.close()


class _Pool:
    """The worker processes: begun when there is a cell for them, ended when it is closed."""

    def __init__(self, work: bytes, most: int, threads: int) -> None:
        self.greeting = {"path": list(sys.path), "work": b64encode(work).decode("ascii")}
        self.threads = threads or max(1, cores() // most)
        self.devices = devices()
        self.places: list[Worker | None] = [None] * most
        self.answers: Answers = queue.SimpleQueue()

    @property
    def free(self) -> bool:
        """Whether another cell can be begun."""
        return any(worker is None or not worker.at_work for worker in self.places)

    @property
    def busy(self) -> list[Worker]:
        """Those that train a cell."""
        return [worker for worker in self.places if worker is not None and worker.at_work]

    def give(self, cell: Cell, lost: int) -> None:
        """Have a cell trained, by a process that is there if one is free."""
        idle = [n for n, worker in enumerate(self.places) if worker is not None and not worker.at_work]
        place = idle[0] if idle else self.places.index(None)
        worker = self.places[place]
        if worker is None:
            worker = self.places[place] = Worker(
                self.greeting, environment(self.threads, self.devices, place), self.answers
            )
        worker.begin(cell, lost)

    def came(self) -> Iterator[tuple[Worker, Cell | None]]:
        """What came of a cell within a moment: its result, or None where its process was lost."""
        try:
            worker, result = self.answers.get(timeout=LOOK)
        except queue.Empty:
            return
        if result is None:
            self.places[self.places.index(worker)] = None
        if worker.at_work:  # one that ends while it is idle is missed by nobody
            worker.at_work = False
            yield worker, result
        if result is None:
            worker.end()

    def close(self) -> None:
        """End all of them, at once."""
        for worker in self.places:
            if worker is not None:
                worker.end()
