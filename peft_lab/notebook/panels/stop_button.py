"""A Stop button in a cell that is busy training, shown only once messages were seen to arrive in a busy cell.

A front end with subshells (JupyterLab, Notebook 7) can be heard while a cell runs: its messages are answered in a
thread of their own. Others are heard when the cell has ended, which is too late for a Stop. So the front end is asked
for a sign of life first, which it gives without anybody's doing: a link between two traits of one widget, carried out
in the browser. Until that comes, and where it never does, an interrupt is the way to stop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ipywidgets import Button, Layout, Widget, jsdlink

from peft_lab.notebook.panels.hearing import has_subshells, hear_while_busy, names_cells
from peft_lab.notebook.panels.place import NOTHING, WIDGET, close_all, view_of
from peft_lab.texts import panels as texts

ASKED_AT = (0.3, 1.0, 3.0, 10.0)
"""Seconds at which the front end is asked, from the first widget on: with that one the page makes its subshell, and
what it says earlier would wait for the cell."""


class Probe:
    """Asks the front end for a sign of life, in the thread of the busy cell, until it is heard in another one."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._heard = threading.Event()
        self._asked = 0
        self._widgets: list[Widget] = [Layout()]
        self._thread = threading.current_thread()

    def heard(self) -> bool:
        """Whether a sign has come. Asks for one, when it is time to ask again. Called every now and then."""
        again = self._asked < len(ASKED_AT) and time.monotonic() - self._began >= ASKED_AT[self._asked]
        if again and not self._heard.is_set():
            self._ask()
        return self._heard.is_set()

    def close(self) -> None:
        """Leave no widget behind."""
        while self._widgets:
            self._widgets.pop().close()

    def _ask(self) -> None:
        # A front end says nothing more about a widget while its last word waits: each time it is another one.
        self._asked += 1
        target = Layout(width="1px")
        hear_while_busy(target)
        target.observe(self._answered, "height")
        self._widgets += [target, jsdlink((target, "width"), (target, "height"))]

    def _answered(self, change: Any) -> None:
        if threading.current_thread() is not self._thread:  # in this one, it had to wait for the cell
            self._heard.set()


class StopButton:
    """The button, from a probe to the end of the training. It leaves nothing in the notebook.

    Args:
        stop: called once when it is pressed, in another thread than that of the cell.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.stop = stop
        self.button: Button | None = None
        self._probe = Probe()
        self._handle: Any = None

    @property
    def shown(self) -> bool:
        """Whether there is a button, known to work."""
        return self.button is not None

    def look(self) -> None:
        """Show the button as soon as it is known to work. Called every now and then, in the thread of the cell."""
        if self.shown or not self._probe.heard():
            return
        from IPython.display import display

        self._probe.close()
        self.button = Button(description=texts.STOP, tooltip=texts.STOP_TIP, layout={"width": "auto"})
        hear_while_busy(self.button)
        self.button.on_click(self._pressed)
        self._handle = display({WIDGET: view_of(self.button), "text/plain": ""}, raw=True, display_id=True)

    def close(self) -> None:
        """Take the button away, with the room that it took."""
        self._probe.close()
        if self._handle is not None:
            self._handle.update(NOTHING, raw=True)
            self._handle = None
        if self.button is not None:
            close_all(self.button)

    def _pressed(self, button: Button) -> None:
        if button.disabled:
            return
        with button.hold_sync():
            button.disabled, button.description = True, texts.STOPPING
        self.stop()


@dataclass(frozen=True)
class Verdict:
    """Whether a Stop button works in a busy cell here. ``works`` is None where that cannot be known."""

    works: bool | None
    said: str


def stop_probe(shell: Any, seconds: float = 2.0) -> Verdict:
    """Find out, in a cell, whether a Stop button would work in a busy one. Takes ``seconds`` at most."""
    if getattr(shell, "kernel", None) is None:
        return Verdict(None, texts.PROBE_NO_KERNEL)
    if not has_subshells(shell):
        return Verdict(False, texts.PROBE_OLD_KERNEL)
    if not names_cells(shell):
        return Verdict(None, texts.PROBE_NO_FRONT_END)
    probe, end = Probe(), time.monotonic() + seconds
    try:
        while not (heard := probe.heard()) and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        probe.close()
    return Verdict(heard, texts.PROBE_WORKS if heard else texts.PROBE_SILENT)
