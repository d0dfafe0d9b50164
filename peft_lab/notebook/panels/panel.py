"""The panel: the form, the plan, and training; at the end of a run, its card in their place."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import ipywidgets as widgets

from peft_lab.bench import Bench
from peft_lab.checking.outputs import shown_of
from peft_lab.notebook.panels.form import Form
from peft_lab.notebook.panels.leaving import left_by_run, left_without_run
from peft_lab.notebook.panels.place import Bundle, Place, Places
from peft_lab.notebook.panels.planner import Planner
from peft_lab.notebook.panels.trainer import Trainer
from peft_lab.run import Run

_opened: WeakKeyDictionary[Bench, dict[str, tuple[Any, dict[str, Any]]]] = WeakKeyDictionary()
"""Of each lab, by cell: what its panel was opened with, and what was chosen last."""


class Panel:
    """What ``%peft panel`` opens.

    It is opened with what :class:`~peft_lab.notebook.panels.form.Form` takes, and refuses what that refuses.
    """

    def __init__(
        self,
        lab: Bench,
        methods: str | None = None,
        model: str | None = None,
        data: Any = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.lab = lab
        self.given = (methods, model, data, dict(settings or {}))
        self.form = Form(lab, methods, model, data, settings)
        self.planner, self.trainer = Planner(lab), Trainer(lab, self._to_train)
        left = widgets.VBox([self.form.widget, self.trainer.widget], layout={"flex": "3 1 440px", "min_width": "0"})
        right = widgets.VBox([self.planner.widget], layout={"flex": "2 1 360px", "min_width": "0"})
        self.widget = widgets.HBox(
            [left, right], layout={"display": "flex", "flex_flow": "row wrap", "width": "100%", "grid_gap": "16px"}
        )
        self.place: Place | None = None
        self.cell = ""
        self.count = max(lab.session.cells, default=0)
        """The execution that opens it."""
        self.line = ""
        """Of the run: the form may have been changed since."""
        self.bundle: Bundle | None = None
        """What the run that ended leaves."""
        self._known: Run | None = None

    def stand(self, places: Places, cell: str) -> None:
        """Open in a cell. Run again with the same line, it has the choices that were made last."""
        self.cell = cell
        given, last = _opened.get(self.lab, {}).get(cell, (None, None)) if cell else (None, None)
        if last is not None and given == self.given:
            with suppress(Exception):  # what was chosen may be gone, such as a method that was taken back
                self.form.fill(**last)
        self.place = Place("panel", cell, self.widget, self.static)
        self.place.closing += [self.planner.close, self.trainer.close]
        self.form.on_change(self.follow)
        self.trainer.on_begin(self.planner.rest)
        self.trainer.on_end(self.ended)
        self.trainer.region.observe(self._seen, "value")
        places.show(self.place)
        self.follow()

    def follow(self) -> None:
        """Let the plan and the buttons follow the form."""
        self.trainer.problem = self.form.problem
        if self.place is not None:
            self.place.changed()
        if not self.form.methods.names:
            return
        call = self.form.call()
        if self.cell:
            _opened.setdefault(self.lab, {})[self.cell] = self.given, call
        if not self.form.problem and not self.trainer.going_on:
            self.planner.ask(call)

    def ended(self, run: Run) -> None:
        """Put what a run leaves in place of the panel."""
        self.bundle = left_by_run(self.lab, run, self.line, drawn=True)
        self.lab.session.showed(self.count, shown_of(run))
        if self.place is not None:
            self.place.close()

    def _seen(self, change: Any) -> None:
        """A run that has begun changes what would be left."""
        if self.trainer.run is not self._known and self.place is not None:
            self._known = self.trainer.run
            self.place.changed()

    def static(self) -> Bundle:
        """What is left when the panel closes now."""
        if self.bundle is not None:
            return self.bundle
        if (card := self.trainer.static()) and self.trainer.run is not None:
            return left_by_run(self.lab, self.trainer.run, self.line, card)
        return left_without_run(self.form.line())

    def _to_train(self) -> dict[str, Any]:
        self.line = self.form.line()
        return self.form.call()
