"""What a run in progress tells whoever watches, and the one thing it can be told: to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peft_lab.run import Run


class Progress:
    """Shared by the training thread, which writes, and any number of readers. Reading never blocks training."""

    def __init__(self) -> None:
        self._state: dict[str, Any] = {"phase": "starting"}
        self._stop = threading.Event()
        self.points: list[dict[str, Any]] = []

    def update(self, **facts: Any) -> None:
        """Replace facts about now: ``phase``, ``step``, ``steps``, ``loss``, ``metrics``, ``seconds``, ..."""
        self._state = {**self._state, **facts}

    @property
    def state(self) -> dict[str, Any]:
        """The latest facts, all of one moment."""
        return self._state

    def stop(self) -> None:
        """Ask the run to stop at the next step boundary."""
        self._stop.set()

    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()


Watcher = Callable[[Progress, Callable[[], "Run"]], "Run"]
"""Trains by calling its second argument, in whatever thread it likes, and shows the progress meanwhile."""
