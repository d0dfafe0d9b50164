"""Chains of work on several processes: what a chain asks for next depends on what came of its last requests."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any

Chain = Generator[list[Any], list[Any], None]
"""Yields lists of work to be done side by side; is sent the results, in the same order."""


def work_off(chains: Iterable[Chain], do: Callable[[Any], Any], jobs: int, minutes: float | None = None) -> list[str]:
    """Do what the chains ask for on ``jobs`` processes; what a chain asks for last is done first.

    A piece of work that fails ends its chain. Returns what was left undone, a line each.

    Args:
        do: does one piece of work; a function that another process can import.
        minutes: nothing is begun after them.
    """
    until = time.monotonic() + 60 * minutes if minutes else float("inf")
    undone: list[str] = []
    waiting: list[_Step] = []
    for chain in chains:
        waiting.extend(_next(chain, None))
    flying: dict[Future[Any], _Step] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_few_threads, initargs=(jobs,)) as pool:
        while waiting or flying:
            while waiting and len(flying) < jobs and time.monotonic() < until:
                step = waiting.pop(0)
                flying[pool.submit(do, step.work)] = step
            if not flying:
                undone.extend(f"no time for {step.work}" for step in waiting)
                break
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                step = flying.pop(future)
                if error := future.exception():
                    undone.append(f"{step.work}: {error}")
                    traceback.print_exception(error)
                elif step.came(future.result()):
                    waiting[:0] = _next(step.batch.chain, step.batch.results)
    return undone


class _Batch:
    """What a chain asked for at once."""

    def __init__(self, chain: Chain, size: int) -> None:
        self.chain, self.results, self.left = chain, [None] * size, size


class _Step:
    def __init__(self, batch: _Batch, place: int, work: Any) -> None:
        self.batch, self.place, self.work = batch, place, work

    def came(self, result: Any) -> bool:
        """Keep a result; true when it was the last of its batch."""
        self.batch.results[self.place] = result
        self.batch.left -= 1
        return self.batch.left == 0


def _next(chain: Chain, results: list[Any] | None) -> list[_Step]:
    """What a chain asks for next; an empty list is answered at once."""
    try:
        asked = next(chain) if results is None else chain.send(results)
        while not asked:
            asked = chain.send([])
    except StopIteration:
        return []
    batch = _Batch(chain, len(asked))
    return [_Step(batch, place, work) for place, work in enumerate(asked)]


def _few_threads(jobs: int) -> None:
    """Share the cores: threads that wait for each other while another process computes spend their time spinning."""
    cores = os.cpu_count() or 1
    os.environ["OMP_NUM_THREADS"] = str(max(1, cores // jobs))
