"""Gates of a prefix, layers by virtual tokens, at any time of the training; or one layer at all times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as widgets
import numpy as np

from peft_lab.errors import PeftLabError
from peft_lab.notebook.panels.choosing import ROW, dropdown, which_run
from peft_lab.notebook.panels.grids import Cell, grid_html, grid_text
from peft_lab.notebook.panels.paced import Paced
from peft_lab.notebook.panels.saying import in_one_line
from peft_lab.present.parts import line
from peft_lab.present.picture import RENDER_LOCK, Picture, render
from peft_lab.present.style import DASH, INK, PLAIN, esc, in_figure, new_figure, plain
from peft_lab.texts import panels as texts
from pluggy_specs import Array, Drawing

if TYPE_CHECKING:
    from peft_lab.bench import Bench
    from peft_lab.run import Run

OPEN, MOVED, SPREAD = "open", "moved", "spread"
ALL: Final = -1
"""Layers at once. None would leave its list without a word in it."""
LIMIT: Final = {OPEN: 1.0, MOVED: 0.5, SPREAD: 0.5}
"""Where a tint is strongest: the same at all times, so that times compare."""
COLOURS: Final = {OPEN: ("cividis_r", 0.0), MOVED: ("PuOr", -0.5), SPREAD: ("Greys", 0.0)}
MOST_ACROSS: Final = 32
"""Virtual tokens up to which numbers have room."""


@dataclass(frozen=True)
class Moment:
    """Gates at one time, [layer, token]."""

    name: str
    open: np.ndarray
    spread: np.ndarray | None = None


class GatesPart:
    """How far each gate is open.

    Args:
        runs: those with gates; one is shown at a time.
    """

    def __init__(self, lab: Bench, runs: Sequence[Run]) -> None:
        self.whose = which_run(runs)
        self.measure = dropdown([(texts.GATES_OPEN, OPEN)], texts.NUMBERS, texts.GATES_NUMBERS_TIP)
        self.layer = dropdown([(texts.EVERY_LAYER, ALL)], texts.CHOOSE_LAYER, texts.GATES_LAYER_TIP)
        self.time = widgets.SelectionSlider(
            options=[texts.NOW],
            description=texts.CHOOSE_TIME,
            tooltip=texts.TIME_TIP,
            style={"description_width": "auto"},
            layout={"width": "480px", "max_width": "100%"},
        )
        self.page = widgets.HTML()
        top = widgets.HBox([self.whose, self.measure, self.layer, self.time], layout=ROW)
        self.widget = widgets.VBox([top, self.page])
        self.paced = Paced(self.page)
        self._setting = False
        self._drawn: tuple[Any, Picture] | None = None
        self._look_at(self.whose.value)
        self.whose.observe(lambda change: self._other(change["new"]), "value")
        for control in (self.measure, self.layer, self.time):
            control.observe(lambda _: self._show(), "value")

    def static(self) -> Mapping[str, str]:
        """What is shown now."""
        if self._big:
            return self._picture()._repr_mimebundle_()
        rows, columns, cells, corner = self._grid()
        text = f"{self.said}\n\n{grid_text(rows, columns, cells, corner=corner)}"
        return {"text/html": self._html(), "text/plain": text}

    def close(self) -> None:
        """Forget what was still to be drawn."""
        self.paced.cancel()

    # --- what is known ------------------------------------------------------------------------------------------------

    def _look_at(self, run: Run) -> None:
        arrays = run.artifact("prefix-gates").arrays
        self.run, self.moments = run, moments_of(arrays)
        self.scale = np.asarray(arrays["scale"].values, dtype=float)
        layers, self.tokens = self.moments[-1].open.shape
        self._setting = True
        known = [(texts.GATES_OPEN, OPEN), (texts.GATES_MOVED, MOVED), (texts.GATES_SPREAD, SPREAD)]
        started = self.moments[0].name == texts.START
        self.measure.options = [one for one in known if started or one[1] != MOVED]
        self.layer.options = [(texts.EVERY_LAYER, ALL), *((str(number), number) for number in range(layers))]
        self.time.options = [(moment.name, at) for at, moment in enumerate(self.moments)]
        self.time.value = len(self.moments) - 1
        self._setting = False
        self._show()

    def _other(self, run: Run) -> None:
        try:
            self._look_at(run)
        except PeftLabError as error:  # its artifact is damaged; another one can still be chosen
            self.page.value = line("✗", in_one_line(error), "vermilion")

    @property
    def moment(self) -> Moment:
        """The time that is shown; the spread is known now and at the start only."""
        return self.moments[self.time.value]

    def values(self, moment: Moment) -> np.ndarray:
        """The numbers that are shown of a time, [layer, token]; NaN where they are not known."""
        nothing = np.full(moment.open.shape, np.nan)
        if self.measure.value == OPEN:
            return moment.open
        if self.measure.value == MOVED:
            return moment.open - self.moments[0].open
        return nothing if moment.spread is None else moment.spread

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if not self._setting:
            self.time.layout.display = None if self.layer.value == ALL else "none"
            self.paced.show(self._html)

    @property
    def _big(self) -> bool:
        return self.tokens > MOST_ACROSS

    def _html(self) -> str:
        if self._big:
            return self._picture()._repr_html_()
        rows, columns, cells, corner = self._grid()
        grid = grid_html(rows, columns, cells, corner=corner)
        return f'<div {PLAIN} style="line-height:1.4">{esc(self.said)}{grid}</div>'

    @property
    def said(self) -> str:
        """The main numbers in a sentence."""
        whose = f"{self.run.id}, {plain(self.run.recipe.method)}"
        what = {value: name for name, value in self.measure.options}[self.measure.value]
        if (layer := self.layer.value) != ALL:
            first, last = (float(np.nanmean(m.open[layer])) for m in (self.moments[0], self.moments[-1]))
            return texts.GATES_OF_LAYER.format(
                run=whose,
                what=what,
                layer=layer,
                first=f"{first:.2f}",
                last=f"{last:.2f}",
                factor=f"{self.scale[layer]:.2f}",
            )
        values = self.values(self.moment)
        if not np.isfinite(values).any():
            return texts.GATES_NOT_KNOWN.format(run=whose, what=what, time=self.moment.name)
        means = np.nanmean(np.where(np.isfinite(values).any(1, keepdims=True), values, 0), axis=1)
        most, least = int(means.argmax()), int(means.argmin())
        return texts.GATES_SAID.format(
            run=whose,
            what=what,
            time=self.moment.name,
            mean=self._number(float(np.nanmean(values))),
            most=most,
            high=self._number(float(means[most])),
            least=least,
            low=self._number(float(means[least])),
            limit=self._limits(),
        )

    def _lines(self) -> tuple[np.ndarray, list[str], str]:
        """Numbers, what each line of them is of, and what lines are: layers at one time, or times of one layer."""
        if (layer := self.layer.value) != ALL:
            lines = np.stack([self.values(moment)[layer] for moment in self.moments])
            return lines, [moment.name for moment in self.moments], texts.TIME
        lines = self.values(self.moment)
        return lines, [str(number) for number in range(len(lines))], texts.LAYER

    def _grid(self) -> tuple[list[str], list[str], list[list[Cell | None]], str]:
        lines, names, down = self._lines()
        cells = [[self._cell(float(value)) for value in line] for line in lines]
        columns = [str(number) for number in range(self.tokens)]
        if self.layer.value == ALL:
            columns.append(texts.FACTOR)
            cells = [[*row, Cell(f"{factor:.2f}")] for row, factor in zip(cells, self.scale, strict=True)]
        return names, columns, cells, texts.CORNER.format(down=down, across=texts.TOKEN)

    def _cell(self, value: float) -> Cell | None:
        if not np.isfinite(value):
            return None
        text = self._number(value)
        return Cell(text, 0.0 if text == "0" else value / LIMIT[self.measure.value])

    def _number(self, value: float) -> str:
        if not np.isfinite(value):
            return DASH
        if self.measure.value == MOVED:
            return f"{value:+.2f}".replace("-", "−") if abs(value) >= 0.005 else "0"
        return f"{value:.2f}"

    def _limits(self) -> str:
        limit = LIMIT[self.measure.value]
        said = texts.GATES_LIMITS_BOTH if self.measure.value == MOVED else texts.GATES_LIMITS
        return said.format(limit=f"{limit:g}")

    def _picture(self) -> Picture:
        """Too many tokens for numbers: colours, with the same limits at all times."""
        state = self.run.id, self.measure.value, self.layer.value, self.time.value
        if self._drawn is None or self._drawn[0] != state:
            with RENDER_LOCK:
                self._drawn = state, render(Drawing(self.said, self._figure()))
        return self._drawn[1]

    def _figure(self) -> Any:
        lines, names, down = self._lines()
        colours, low = COLOURS[self.measure.value]
        figure = new_figure(8, 1.3 + 0.24 * len(lines))
        axes = figure.add_subplot()
        picture = axes.imshow(
            np.ma.masked_invalid(lines), cmap=colours, vmin=low, vmax=LIMIT[self.measure.value], aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
        axes.set_yticks(range(len(names)), [in_figure(name) for name in names], fontsize=9)
        axes.set_xlabel(texts.TOKEN, fontsize=9, color=INK)
        axes.set_ylabel(down, fontsize=9, color=INK)
        figure.colorbar(picture, ax=axes, pad=0.015, fraction=0.03)
        return figure


def moments_of(arrays: Mapping[str, Array]) -> list[Moment]:
    """The gates from the start to now, as far as they were kept."""

    def read(name: str) -> np.ndarray:
        return np.asarray(arrays[name].values, dtype=float)

    found = []
    if "gate-at-start" in arrays:
        spread = read("spread-at-start") if "spread-at-start" in arrays else None
        found.append(Moment(texts.START, read("gate-at-start"), spread))
    if way := arrays.get("gate-on-the-way"):
        ends = [0, *map(int, way.labels["batch"])]
        for part, first, last in zip(np.asarray(way.values, dtype=float), ends, ends[1:], strict=False):
            found.append(Moment(texts.BATCHES.format(first=first + 1, last=last), part))
    return [*found, Moment(texts.NOW, read("gate"), read("spread"))]
