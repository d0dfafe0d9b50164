"""Work that waits for a moment of quiet, so that ten changes in a second are answered once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Soon:
    """Calls something once, a moment after it was last asked to, in the thread that asks.

    Without an event loop there is no later, and it calls at once.
    """

    def __init__(self, call: Callable[[], None], seconds: float = 0.25) -> None:
        self.call, self.seconds = call, seconds
        self._timer: asyncio.TimerHandle | None = None

    def ask(self) -> None:
        """Ask for a call."""
        self.cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.call()
            return
        self._timer = loop.call_later(self.seconds, self.call)

    def cancel(self) -> None:
        """Forget that it was asked."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
