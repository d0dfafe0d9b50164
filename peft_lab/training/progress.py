"""What a run in progress tells whoever watches, and the one thing it can be told: to stop."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.run import PROGRESS, STOP

if TYPE_CHECKING:
    from peft_lab.run import Run

WRITE_EVERY = 0.5
"""Seconds between two looks that other processes can have at the state."""


class Progress:
    """Shared by the training thread, which writes, and any number of readers. Reading never blocks training."""

    def __init__(self) -> None:
        self._state: dict[str, Any] = {"phase": "starting"}
        self._stop = threading.Event()
        self._folder: Path | None = None
        self._written = 0.0
        self.points: list[dict[str, Any]] = []

    def keep_in(self, folder: Path) -> None:
        """Let other processes take part: they read the state in the run's folder, and ask for a stop there."""
        self._folder = folder

    def update(self, **facts: Any) -> None:
        """Replace facts about now: ``phase``, ``step``, ``steps``, ``loss``, ``metrics``, ``seconds``, ..."""
        before, self._state = self._state, {**self._state, **facts}
        now = time.monotonic()
        if self._folder and (now - self._written > WRITE_EVERY or before["phase"] != self._state["phase"]):
            self._written = now
            with contextlib.suppress(OSError):  # a full disk ends a run where something is lost by it, not here
                unfinished = self._folder / f"{PROGRESS}.tmp"
                unfinished.write_text(json.dumps(self._state, default=str), encoding="utf-8")
                unfinished.replace(self._folder / PROGRESS)

    @property
    def state(self) -> dict[str, Any]:
        """The latest facts, all of one moment."""
        return self._state

    def stop(self) -> None:
        """Ask the run to stop at the next step boundary."""
        self._stop.set()

    def stopping(self) -> bool:
        """Whether a stop was asked for, here or in another process."""
        if not self._stop.is_set() and self._folder and (self._folder / STOP).exists():
            self._stop.set()
        return self._stop.is_set()


Watcher = Callable[[Progress, Callable[[], "Run"]], "Run"]
"""Trains by calling its second argument, in whatever thread it likes, and shows the progress meanwhile."""
