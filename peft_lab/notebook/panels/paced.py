"""Pages that change while a slider is dragged: the first at once, the last always, between them what goes through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ipywidgets import HTML

RATE = 400_000
"""Bytes a second. Notebook servers drop what is over a million, and a lost page would stay wrong."""
SHARE = 0.5
"""Of the time, what drawing may take, so that other answers of the kernel come between."""


class Paced:
    """Shows pages in a widget. Of those that come too fast only the latest is drawn, as soon as it may.

    Without an event loop there is no later, and each is drawn at once.
    """

    def __init__(self, widget: HTML) -> None:
        self.widget = widget
        self._free_at = 0.0
        self._waits: Callable[[], str] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def show(self, draw: Callable[[], str]) -> None:
        """Show what ``draw`` returns, now or soon; called in the thread of the event loop."""
        wait = self._free_at - time.monotonic()
        if wait > 0:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                loop = None
            if loop is not None:
                self._waits = draw
                if self._timer is None:
                    self._timer = loop.call_later(wait, self._late)
                return
        self.cancel()
        self._draw(draw)

    def cancel(self) -> None:
        """Forget what waits to be drawn."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._waits = None

    def _late(self) -> None:
        draw = self._waits
        self._timer = self._waits = None
        if draw is not None:
            self._draw(draw)

    def _draw(self, draw: Callable[[], str]) -> None:
        began = time.monotonic()
        html = draw()
        took = time.monotonic() - began
        if html != self.widget.value:
            self.widget.value = html
            self._free_at = began + max(len(html.encode()) / RATE, took / SHARE)
