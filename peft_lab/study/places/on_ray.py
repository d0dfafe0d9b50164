"""The executor of many machines: cells as Ray tasks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pydantic import Field

import pluggy_specs
from peft_lab.host import Host
from peft_lab.run import RUN_JSON
from peft_lab.study.places import node, texts
from peft_lab.study.places.cluster import connected
from peft_lab.study.places.parcels import digest_of, pack, unpack
from peft_lab.study.places.sending import RETRIES, Cell, Elsewhere, Work, packed
from peft_lab.study.places.things import LEFT, named_in
from peft_lab.trackers.choice import told_from
from pluggy_specs import failed_cell
from pluggy_specs.errors import in_one_line

LOOK, COUNT = 0.2, 5.0
"""Seconds between two looks at whether to stop, and at how much room a cluster has."""


class OnRay(Elsewhere):
    """Trains on a Ray cluster; cells whose worker or node is lost are begun again elsewhere."""

    name = "ray"
    summary = "a Ray cluster, of many machines or of this one"

    class Options(pluggy_specs.Options):
        """Which cluster, and what a cell needs there."""

        address: str = Field(
            "", description="ray://head:10001, or auto; nothing: a Ray of its own on this machine, ended with the study"
        )
        workers: int = Field(0, ge=0, description="cells at a time; 0: as many as the cluster has room for")
        cpus: int = Field(1, ge=1, description="cores of each cell, and its threads")
        gpus: float | None = Field(
            None, ge=0, description="GPUs of each cell; 0.5: two share one; not said: one, where the cluster has any"
        )
        weights: bool = Field(True, description="bring back what was trained, too")
        files: Literal["auto", "copy"] = Field(
            "auto", description="auto: in the study's folder where a worker is on this machine; copy: never"
        )
        scratch: str = Field("", description="folder on the disk of every node; one below /tmp when not said")

    def run_cells(self, work: Work, cells: Iterable[Cell], stop: Callable[[], bool]) -> Iterator[Cell]:
        """Keep as many tasks in flight as there is room for; yield results as they come."""
        sent, options = packed(work), self.options
        with TemporaryDirectory() as own, connected(options.address, options.workers * options.cpus) as ray:
            job = _Job(ray, options, sent, Path(own))
            waiting = iter(cells)
            try:
                while True:
                    stopping = stop()
                    if stopping:
                        job.halt()
                    while not stopping and len(job.flying) < job.room():
                        flight = job.again.pop(0) if job.again else _Flight(next(waiting, None))
                        if flight.cell is None:
                            break
                        yield from job.begin(flight)
                    if not job.flying:
                        return
                    yield from job.came()
            finally:
                job.close()


@dataclass
class _Flight:
    """A cell on its way."""

    cell: Any
    lost: int = 0


class _Job:
    """The tasks of one study on a cluster."""

    def __init__(self, ray: Any, options: Any, work: bytes, own: Path) -> None:
        self.ray, self.options = ray, options
        there = ray.cluster_resources().get("GPU", 0)
        self.gpus = options.gpus if options.gpus is not None else min(1, there)
        self.flying: dict[Any, _Flight] = {}
        self.again: list[_Flight] = []
        self.session = uuid.uuid4().hex
        self.order = {
            "work": work,
            "version": version("peft-lab"),
            "home": node.home_here(own / "home"),
            "session": self.session,
            "files": options.files,
            "scratch": options.scratch,
            "weights": options.weights,
            "told": told_from(),
        }
        # A worker is kept for many cells, with a GPU too: torch is imported once. What is lost is begun again here.
        self.serve = ray.remote(
            num_cpus=options.cpus, num_gpus=self.gpus, max_retries=0, max_calls=0, scheduling_strategy="SPREAD"
        )(node.serve)
        self.mark_stop = ray.remote(num_cpus=0, max_retries=0)(node.halt)
        self.registered: dict[str, Any] | None = None
        self.things: dict[str, dict[str, Any]] = {}
        self.halted: set[str] = set()
        self._room, self._counted = 1, -COUNT

    def room(self) -> int:
        """How many cells may be in flight."""
        if self.options.workers:
            return int(self.options.workers)
        if time.monotonic() - self._counted > COUNT:
            there = self.ray.cluster_resources()
            fits = [there.get("CPU", 0) // self.options.cpus]
            if self.gpus:
                fits.append(there.get("GPU", 0) // self.gpus)
            self._room, self._counted = max(1, int(min(fits))), time.monotonic()
        return self._room

    def begin(self, flight: _Flight) -> Iterator[Cell]:
        """Send a cell off; yields its row where that cannot be done."""
        try:
            order = {**self.order, "cell": dict(flight.cell), **self._luggage(flight.cell)}
        except OSError as error:
            yield failed_cell(flight.cell, error)
            return
        self.flying[self.serve.remote(order)] = flight

    def came(self) -> Iterator[Cell]:
        """Results of cells that ended within a moment."""
        done, _ = self.ray.wait(list(self.flying), num_returns=1, timeout=LOOK)
        for reference in done:
            flight = self.flying.pop(reference)
            result = self._landed(reference, flight)
            if result is not None:
                yield result

    def halt(self) -> None:
        """Ask every node to stop what it trains of this job."""
        node.halt(self.options.scratch, self.session)  # this machine, at once
        for name in {n["NodeID"] for n in self.ray.nodes() if n["Alive"]} - self.halted:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            there = NodeAffinitySchedulingStrategy(node_id=name, soft=False)
            self.mark_stop.options(scheduling_strategy=there).remote(self.options.scratch, self.session)
            self.halted.add(name)

    def close(self) -> None:
        """End what is still in flight, at once."""
        for reference in self.flying:
            self.ray.cancel(reference, force=True)
        node.stop_mark(node.scratch(self.options.scratch), self.session).unlink(missing_ok=True)

    def _landed(self, reference: Any, flight: _Flight) -> Cell | None:
        """What came of a cell; None where it is begun again, or was not begun."""
        errors = self.ray.exceptions
        try:
            answer = self.ray.get(reference)
        except errors.TaskCancelledError:
            return None
        except errors.RayTaskError as error:  # not of the training, which is told as a result
            return failed_cell(flight.cell, texts.NOT_SERVED.format(why=_last_line(error)))
        except errors.RayError as error:
            if flight.lost < RETRIES:
                self.again.append(_Flight(flight.cell, flight.lost + 1))
                return None
            why = _first_line(error)
            return failed_cell(flight.cell, texts.LOST_ON_RAY.format(times=RETRIES + 1, why=why))
        if answer == node.NOT_BEGUN:
            return None
        if "parcel" in answer:
            try:
                unpack(answer["parcel"], Path(flight.cell["folder"]))
            except OSError as error:
                return failed_cell(flight.cell, texts.NOT_WRITTEN.format(why=in_one_line(error)))
        result: Cell = answer["result"]
        return result

    def _luggage(self, cell: Cell) -> dict[str, Any]:
        """What a cell needs of this disk on nodes that do not see it, in the cluster's memory, once."""
        if self.options.files != "copy" and self._all_here():
            return {"things": [], "begun": None}
        folder, begun = Path(cell["folder"]), None
        if (folder / RUN_JSON).exists():
            begun = self.ray.put(pack(folder, lambda name: name not in LEFT))
        return {
            "things": [self._thing(name) for name in named_in(cell.get("recipe", {}), self._names())],
            "begun": begun,
        }

    def _thing(self, name: str) -> dict[str, Any]:
        path = Path(name).expanduser().resolve()
        digest = digest_of(path)
        if digest not in self.things:
            self.things[digest] = {"digest": digest, "parcel": self.ray.put(pack(path))}
        return {**self.things[digest], "name": name, "path": str(path)}

    def _names(self) -> dict[str, Any]:
        if self.registered is None:
            host = Host(warn=lambda line: None)
            self.registered = {kind: set(host.offers(kind)) for kind in ("models", "datasets")}
        return self.registered

    def _all_here(self) -> bool:
        here = self.order["home"]["host"]
        return all(n["NodeManagerHostname"] == here for n in self.ray.nodes() if n["Alive"])


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
