"""Asking runs of cells to stop, from wherever they are trained: through the file that every run looks for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from peft_lab.errors import PeftLabError
from peft_lab.run import Run

LOOK = 0.2
"""Seconds between two looks at whether to stop."""


def ask_to_stop(cell: Mapping[str, Any]) -> None:
    """Ask the run of a cell to stop at its next step; nothing where it has not begun, or has ended.

    To be asked again until it has ended: a run that has just been opened takes an earlier request away.
    """
    with suppress(PeftLabError, OSError, KeyError):
        run = Run(cell["folder"])
        if run.active:
            run.stop()


@contextmanager
def stopped_when(stop: Callable[[], bool], cell: Mapping[str, Any]) -> Iterator[None]:
    """While a cell is trained in this process: ask it to stop when ``stop()``, which another thread calls, is true."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            if stop():
                ask_to_stop(cell)

    watcher = threading.Thread(target=look, name="peft_lab stop", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
