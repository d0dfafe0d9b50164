"""Any view in an explorer, a stranger's too: its options as fields, and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from peft_lab.errors import PeftLabError
from peft_lab.listings.results import drawn
from peft_lab.notebook.panels.choosing import which_run
from peft_lab.notebook.panels.saying import in_one_line, refusal
from peft_lab.notebook.panels.section import Section
from peft_lab.notebook.panels.soon import Soon
from peft_lab.operations import options_of
from peft_lab.present.picture import RENDER_LOCK, Picture
from peft_lab.recipe import checked

if TYPE_CHECKING:
    from peft_lab.bench import Bench
    from peft_lab.run import Run


class ViewPart:
    """The picture of a view, drawn again when its options change.

    Args:
        lab: whose plugins offer the view.
        runs: what it draws; where it draws one run only, a person chooses which.
        name: of the view.
    """

    def __init__(self, lab: Bench, runs: Sequence[Run], name: str) -> None:
        self.lab, self.runs, self.name = lab, runs, name
        self.cls = lab.host.find("views", name)
        self.shown: Picture | None = None
        """The picture drawn last; None where it could not be drawn."""
        self.said = ""
        self.soon = Soon(self.draw)
        self.options = Section(options_of(self.cls.Options), self.cls.Options, lab, {})
        self.options.on_change(self.soon.ask)
        self.whose = which_run(runs, hidden=self.cls.many)
        self.whose.observe(lambda _: self.draw(), "value")
        self.image = widgets.HTML()
        self.widget = widgets.VBox([self.whose, self.options.widget, self.image])
        self.draw()

    def draw(self) -> None:
        """Draw with the options as they are now."""
        self.soon.cancel()
        if self.options.problem:  # said beside its field; the picture stays that of the last good options
            return
        runs = list(self.runs) if self.cls.many else [self.whose.value]
        try:
            view = self.cls(checked(self.cls.Options, self.options.values, self.name))
            with RENDER_LOCK:
                self.shown, self.said = drawn(self.lab.host, self.name, view, runs), ""
        except PeftLabError as error:
            self.shown, self.said = None, in_one_line(error)
        self.image.value = self.static()["text/html"]

    def static(self) -> dict[str, Any]:
        """What is shown now."""
        if self.shown is not None:
            return self.shown._repr_mimebundle_()
        return refusal(self.said)

    def close(self) -> None:
        """Forget what was still to be drawn."""
        self.soon.cancel()
