"""Where a panel stands: one output that holds widgets while they live, and static HTML ever after.

A widget whose model is gone is an error message in a notebook that is opened again, whatever else its output holds.
So nothing is left to chance: a place becomes static when its work is done, when its cell runs again, when the
extension is unloaded, and when the kernel ends.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ipywidgets import Widget

from peft_lab.notebook.panels import texts
from peft_lab.present.style import PLAIN, esc

Bundle = Mapping[str, Any]
WIDGET = "application/vnd.jupyter.widget-view+json"


class Place:
    """One output of a notebook.

    Args:
        kind: what stands there, in words: ``panel``, ``explorer``.
        cell: the cell it belongs to; empty where that is not known.
        widget: shown while the place is open; closed with all its children afterwards.
        static: gives what is left there, asked for when the place is closed; it may change as long as it is open.
    """

    def __init__(self, kind: str, cell: str, widget: Widget, static: Callable[[], Bundle]) -> None:
        self.kind, self.cell, self.widget, self.static = kind, cell, widget, static
        self.open = False
        self.handle: Any = None
        self.closing: list[Callable[[], None]] = []
        """Called once when the place is closed, before its widgets are: to stop threads, for instance."""

    def show(self) -> Place:
        """Show the widget as an output of the present cell."""
        from IPython.display import display

        said = texts.NO_WIDGETS.format(kind=self.kind)
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        bundle = {WIDGET: view, "text/html": f"<div {PLAIN}>{esc(said)}</div>", "text/plain": said}
        self.handle = display(bundle, raw=True, display_id=True)
        self.open = True
        return self

    def close(self) -> None:
        """Put what is static in place of the widget, which is given up with all its children."""
        if not self.open:
            return
        self.open = False
        for call in self.closing:
            with suppress(Exception):  # one that fails must not leave a dead widget behind
                call()
        try:
            bundle = dict(self.static())
        except Exception:
            bundle = {}
        if not bundle:
            said = texts.CLOSED.format(kind=self.kind)
            bundle = {"text/html": f"<div {PLAIN}>{esc(said)}</div>", "text/plain": said}
        self.handle.update(bundle, raw=True)
        close_all(self.widget)


class Places:
    """The places that are open in a notebook: one for each cell and kind."""

    def __init__(self) -> None:
        self.open: list[Place] = []
        atexit.register(self.close)

    def show(self, place: Place) -> Place:
        """Show a place; an older one of the same cell becomes static first."""
        for older in [one for one in self.here() if place.cell and one.cell == place.cell]:
            older.close()
        self.open = [*self.here(), place]
        return place.show()

    def here(self) -> list[Place]:
        """Those that are still open."""
        self.open = [place for place in self.open if place.open]
        return self.open

    def close(self) -> None:
        """Make all of them static."""
        for place in self.here():
            place.close()

    def forget(self) -> None:
        """Close all and do nothing when the kernel ends."""
        self.close()
        atexit.unregister(self.close)


def close_all(widget: Widget) -> None:
    """Close a widget, all that it holds, and their layouts and styles, so that no model is left."""
    seen: set[str] = set()

    def close(one: Any) -> None:
        if not isinstance(one, Widget) or one.model_id is None or one.model_id in seen:
            return
        seen.add(one.model_id)
        held = [getattr(one, name, None) for name in one.keys]
        for value in held:
            for inner in value if isinstance(value, (list, tuple)) else (value,):
                close(inner)
        one.close()

    close(widget)
