"""Where a panel stands: an output that holds widgets while they live, and static HTML ever after.

A widget whose model is gone is an error message in a notebook that is opened again, whatever else its output holds.
So nothing is left to chance: a place becomes static when its work is done, when its cell runs again, when the
extension is unloaded, and when the kernel ends. Where a kernel ends without a word, a twin in the output before it
takes its place: see :mod:`peft_lab.notebook.panels.twin`.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ipywidgets import Widget

from peft_lab.notebook.panels.saying import sentence
from peft_lab.notebook.panels.twin import beside_widget
from peft_lab.texts import panels as texts

Bundle = Mapping[str, Any]
WIDGET = "application/vnd.jupyter.widget-view+json"
NOTHING: Bundle = {}
"""An output that takes no room; it is not a valid one to begin with, but one that another can become."""
TWIN_AFTER = 2.0
"""Seconds from a change until the twin shows it; changes in between cost nothing."""


class Place:
    """One output of a notebook, with its twin.

    Args:
        kind: what stands there, in words: ``panel``, ``explorer``.
        cell: the cell it belongs to; empty where that is not known.
        widget: shown while the place is open; closed with all its children afterwards.
        static: gives what is left there, asked for when the place is opened, changed and closed; quick at any time.
    """

    def __init__(self, kind: str, cell: str, widget: Widget, static: Callable[[], Bundle]) -> None:
        self.kind, self.cell, self.widget, self.static = kind, cell, widget, static
        self.open = False
        self.execution = ""
        """Which execution of its cell opened it."""
        self.handle: Any = None
        self.twin: Any = None
        self.closing: list[Callable[[], None]] = []
        """Called once when the place is closed, before its widgets are: to stop threads, for instance."""
        self._once = threading.Lock()
        self._late: threading.Timer | None = None

    def show(self) -> Place:
        """Show the widget as an output of the present cell."""
        from IPython.display import display

        left = self._left(texts.NO_WIDGETS)
        with self._once:  # the kernel may end in another thread as soon as the first is seen: it waits for both
            self.twin = display(_as_twin(left), raw=True, display_id=True)
            # Its own HTML and text are for where widgets are not known, or not trusted.
            self.handle = display({**left, WIDGET: view_of(self.widget)}, raw=True, display_id=True)
            self.open = True
        return self

    def changed(self) -> None:
        """Tell that something else would be left now, for the twin to follow, soon. Called in any thread."""
        with self._once:
            if not self.open or self._late is not None:
                return
            self._late = threading.Timer(TWIN_AFTER, self._follow)
            self._late.daemon = True
            self._late.start()

    def close(self, at_the_end: bool = False) -> None:
        """Put what is static in place of the widget, which is given up with all its children. Called in any thread.

        Args:
            at_the_end: the kernel ends, and all widgets with it: they are not given up one by one.
        """
        with self._once:
            if not self.open:
                return
            self.open = False
            if self._late is not None:
                self._late.cancel()
        for call in self.closing:
            with suppress(Exception):  # one that fails must not leave a dead widget behind
                call()
        self.handle.update(self._left(texts.CLOSED), raw=True)
        self.twin.update(NOTHING, raw=True)
        if not at_the_end:
            close_all(self.widget)

    def _follow(self) -> None:
        with self._once:
            self._late = None  # what changes from here on is not in what follows
        with suppress(Exception):
            bundle = _as_twin(self._left(texts.NO_WIDGETS))
            with self._once:
                if self.open:
                    self.twin.update(bundle, raw=True)

    def _left(self, otherwise: Mapping[str, str]) -> dict[str, Any]:
        with suppress(Exception):
            if bundle := dict(self.static()):
                return bundle
        return sentence(otherwise[self.kind])


class Places:
    """The places that are open in a notebook: those that one execution of a cell opened, and one cell after another.

    Args:
        kernel: whose end closes them; only that of this process when not given.
        execution: says which execution of a cell this is.
    """

    def __init__(self, kernel: Any = None, execution: Callable[[], str] = str) -> None:
        self.kernel, self.execution = kernel, execution
        self._shown: list[Place] = []
        atexit.register(self._end)
        self._before: Any = getattr(kernel, "do_shutdown", None)
        if self._before is not None:
            kernel.do_shutdown = self._shut_down

    def show(self, place: Place) -> Place:
        """Show a place; what an earlier execution of its cell opened becomes static first."""
        place.execution = self.execution()
        for older in self.here():
            again = older.execution != place.execution or not place.execution
            if place.cell and older.cell == place.cell and again:
                older.close()
        self._shown = [*self.here(), place]
        return place.show()

    def here(self) -> list[Place]:
        """Those that are still open."""
        return [place for place in self._shown if place.open]

    def close(self, at_the_end: bool = False) -> None:
        """Make all of them static."""
        for place in self._shown:  # one that is just being shown is not open yet: closing it waits until it is
            with suppress(Exception):  # the others have to be closed, too
                place.close(at_the_end)

    def forget(self) -> None:
        """Close all and do nothing when the kernel ends."""
        self.close()
        atexit.unregister(self._end)
        if self._before is not None and getattr(self.kernel.do_shutdown, "__self__", None) is self:
            self.kernel.do_shutdown = self._before

    def _shut_down(self, restart: bool) -> Any:
        # While a cell is busy this is called in another thread, and the kernel may be killed before that cell ends.
        self._end()
        return self._before(restart)

    def _end(self) -> None:
        self.close(at_the_end=True)


def view_of(widget: Widget) -> dict[str, Any]:
    """What a front end needs to show a widget."""
    return {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}


def close_all(widget: Widget) -> None:
    """Close a widget, all that it holds, and their layouts and styles, so that no model is left."""
    seen: set[str] = set()

    def close(one: Any) -> None:
        if not isinstance(one, Widget) or one.comm is None or one.model_id in seen:  # closed, or met before
            return
        seen.add(one.model_id)
        held = [getattr(one, name, None) for name in one.keys]
        for value in held:
            for inner in value if isinstance(value, (list, tuple)) else (value,):
                close(inner)
        one.close()

    close(widget)


def _as_twin(bundle: Bundle) -> dict[str, str]:
    return {"text/html": beside_widget("", str(bundle.get("text/html", ""))), "text/plain": ""}
