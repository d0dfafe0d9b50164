"""The explorer of several runs: their scores and costs, and pictures on equal axes while runs go off and on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from peft_lab.bench import Bench
from peft_lab.errors import PeftLabError
from peft_lab.listings.results import best_first, compared, drawn
from peft_lab.notebook.panels.choosing import dropdown
from peft_lab.notebook.panels.rows import contained, page, row
from peft_lab.notebook.panels.soon import Soon
from peft_lab.notebook.panels.wording import quoted
from peft_lab.present.curve import LOSS, quantities
from peft_lab.present.parts import line
from peft_lab.present.picture import RENDER_LOCK, Picture
from peft_lab.present.style import PLAIN, esc, plain, shorten, words
from peft_lab.recipe import checked
from peft_lab.run import Run
from peft_lab.texts import panels as texts

CURVES, COMPARISON = "curves", "comparison"
AT_ONCE = 0.05
"""Seconds in which several changes are drawn as one."""


class ComparePart:
    """The explorer of the view ``comparison``, for two or more runs.

    Args:
        lab: whose views there are.
        runs: those compared; those that are switched off keep their place on the axes.
    """

    def __init__(self, lab: Bench, runs: Sequence[Run]) -> None:
        self.lab, self.runs = lab, best_first(runs)
        self.results = compared(runs)
        self.shown: Picture | None = None
        """The picture drawn last; None where there is none."""
        self.said = ""
        self.soon = Soon(self.draw, AT_ONCE)
        self._build()
        self.draw()

    # --- what a person sees -------------------------------------------------------------------------------------------

    def _build(self) -> None:
        pictures = [(texts.PICTURES.get(n) or texts.SIDE_BY_SIDE.format(view=plain(n)), n) for n in self._pictures()]
        self.picture = dropdown(pictures, texts.PICTURE, texts.PICTURE_TIP)
        self.along = dropdown([(said, name) for name, said in texts.ALONGS.items()], texts.ALONG, texts.ALONG_TIP)
        costs = [(said, name) for name, said in texts.COSTS.items()]
        self.against = dropdown(costs, texts.AGAINST_COST, texts.AGAINST_COST_TIP)
        self.ticked = {
            run.id: _tick(f"{run.id} {shorten(run.recipe.method, 24)}", texts.RUN_SHOWN_TIP.format(run=run.id), True)
            for run in self.runs
        }
        usual = (LOSS, f"validation.{self.runs[0].headline}")
        known = quantities(point for run in self.runs for point in run.points)
        self.metrics = {
            name: _tick(_said(name), texts.METRIC_SHOWN_TIP.format(metric=_said(name)), name in usual) for name in known
        }
        self.of_curves = row(_label(texts.METRICS_SHOWN), *self.metrics.values())
        self.image = page()
        self.picture.observe(lambda _: self._chosen(), "value")
        for one in (self.along, self.against, *self.ticked.values(), *self.metrics.values()):
            one.observe(lambda _: self.soon.ask(), "value")
        table = page()
        table.value = contained(self.results._repr_html_())
        self.widget = widgets.VBox(
            [
                table,
                row(self.picture, self.along, self.against),
                row(_label(texts.RUNS_SHOWN), *self.ticked.values()),
                self.of_curves,
                self.image,
            ],
            layout={"width": "100%"},
        )
        self._fit()

    def _pictures(self) -> list[str]:
        """Views that compare runs and have what they need of all of these; curves and costs first."""
        kinds = [set(run.artifacts) for run in self.runs]
        every = {
            name: offer.item
            for name, offer in self.lab.host.offers("views").items()
            if offer.item.many and all(own.issuperset(offer.item.needs) for own in kinds)
        }
        return sorted(every, key=lambda name: (name != CURVES, name != COMPARISON, not every[name].needs, name))

    def _fit(self) -> None:
        """Show only the controls that the picture has."""
        name = self.picture.value
        for one, whose in ((self.along, CURVES), (self.of_curves, CURVES), (self.against, COMPARISON)):
            one.layout.display = None if name == whose else "none"

    def _chosen(self) -> None:
        self._fit()
        self.soon.ask()

    # --- what is shown ------------------------------------------------------------------------------------------------

    @property
    def hidden(self) -> tuple[str, ...]:
        """The runs that are switched off."""
        return tuple(name for name, tick in self.ticked.items() if not tick.value)

    def options(self) -> dict[str, Any]:
        """Options of the view that is drawn."""
        name = self.picture.value
        found: dict[str, Any] = {"against": self.against.value} if name == COMPARISON else {}
        if name == CURVES:
            shown = tuple(metric for metric, tick in self.metrics.items() if tick.value)
            usual = shown == tuple(m for m in self.metrics if m in (LOSS, f"validation.{self.runs[0].headline}"))
            found = {"along": self.along.value} | ({} if usual else {"metrics": shown})
        if self.hidden and self._hides:
            found["hide"] = self.hidden
        return found

    @property
    def _hides(self) -> bool:
        """Whether the view leaves runs out by itself and keeps its axes; any other gets the runs that are on."""
        return "hide" in self.lab.host.find("views", self.picture.value).Options.model_fields

    @property
    def _drawn(self) -> list[Run]:
        return [run for run in self.runs if self._hides or run.id not in self.hidden]

    def draw(self) -> None:
        """Draw what is chosen now, or say why that cannot be."""
        self.soon.cancel()
        name = self.picture.value
        self.shown, self.said = None, ""
        if len(self.hidden) == len(self.runs):
            self.said = texts.NONE_SHOWN
        elif name == CURVES and self.metrics and not any(tick.value for tick in self.metrics.values()):
            self.said = texts.NO_METRIC_SHOWN
        else:
            try:
                cls = self.lab.host.find("views", name)
                view = cls(checked(cls.Options, self.options(), name))
                with RENDER_LOCK:
                    self.shown = drawn(self.lab.host, name, view, self._drawn)
            except PeftLabError as error:
                self.said = " ".join(str(error).split())
        self.image.value = contained(self._below()["text/html"])

    def line(self) -> str:
        """The line that draws the same without an explorer."""
        usual = {"along": "step", "against": "trainable"}
        said = [
            f"--{option} {quoted(value if isinstance(value, str) else ','.join(value))}"
            for option, value in self.options().items()
            if value != usual.get(option)
        ]
        return " ".join(["%peft show", self.picture.value, *(run.id for run in self._drawn), *said])

    def _below(self) -> dict[str, str]:
        if self.shown is None:
            html = f"<div {PLAIN}>{line('i', self.said, 'grey')}</div>"
            return {"text/html": html, "text/plain": self.said}
        bundle = self.shown._repr_mimebundle_()
        typed = f'<div {PLAIN} style="margin:4px">{esc(texts.AS_TYPED)} <code>{esc(self.line())}</code></div>'
        return {
            "text/html": bundle["text/html"] + typed,
            "text/plain": f"{bundle['text/plain']}\n\n{texts.AS_TYPED} {self.line()}",
        }

    def static(self) -> Mapping[str, Any]:
        """The table, and the picture that was drawn last."""
        below = self._below()
        return {
            "text/html": self.results._repr_html_() + below["text/html"],
            "text/plain": f"{self.results}\n\n{below['text/plain']}",
        }

    def close(self) -> None:
        """Draw nothing more."""
        self.soon.cancel()


def _said(metric: str) -> str:
    """``validation macro F1``."""
    split, _, name = metric.partition(".")
    return f"{plain(split)} {words(name)}"


def _tick(label: str, tip: str, on: bool) -> widgets.Checkbox:
    return widgets.Checkbox(value=on, description=label, tooltip=tip, indent=False, layout={"width": "auto"})


def _label(text: str) -> widgets.Label:
    return widgets.Label(text, layout={"width": "56px"})
