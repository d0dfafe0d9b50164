"""How far each layer, or each kind of module, went from where it started; several runs on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import ipywidgets as widgets
import numpy as np

from peft_lab.errors import RunProblem
from peft_lab.notebook.panels.choosing import ROW, dropdown
from peft_lab.notebook.panels.grids import layer_words
from peft_lab.present.style import BORDER, DASH, PALETTE, PLAIN, esc, plain, three_digits
from peft_lab.present.table import Table
from peft_lab.texts import panels as texts

if TYPE_CHECKING:
    from peft_lab.bench import Bench
    from peft_lab.run import Run

ALL = ""
"""Layers, or kinds, together. None would leave its list without a word in it."""
COLOURS = (PALETTE["blue"], PALETTE["vermilion"], PALETTE["green"], PALETTE["grey"])


class Went:
    """Squares of how far a run went and of where it was, by layer and kind.

    Raises:
        RunProblem: it was trained before these were kept.
    """

    def __init__(self, run: Run) -> None:
        arrays = run.artifact("parameter-change").arrays
        if "moved" not in arrays:
            card = f"%peft show change-map {run.id}"
            raise RunProblem(f"{run.id} was trained before distances were kept by layer", card)
        self.name = f"{run.id}, {plain(run.recipe.method)}"
        self.layers, self.kinds = (list(arrays["moved"].labels[axis]) for axis in ("layer", "kind"))
        self.moved, self.size = (np.asarray(arrays[n].values, dtype=float) ** 2 for n in ("moved", "size"))

    def distance(self, layer: str | None, kind: str | None) -> float:
        """Of a layer, a kind, or both, in percent of its size; NaN where nothing moved that had one."""
        if layer not in (None, *self.layers) or kind not in (None, *self.kinds):
            return float("nan")
        row = slice(None) if layer is None else self.layers.index(layer)
        column = slice(None) if kind is None else self.kinds.index(kind)
        moved, size = (float(np.nansum(squares[row, column])) for squares in (self.moved, self.size))
        return 100 * float(np.sqrt(moved / size)) if moved > 0 and size > 0 else float("nan")


class DistancePart:
    """Bars of layers, of all kinds of modules or of one; or of the kinds of one layer.

    Args:
        runs: those that have distances.
    """

    def __init__(self, lab: Bench, runs: Sequence[Run]) -> None:
        self.went = [Went(run) for run in runs]
        layers = list(dict.fromkeys(layer for went in self.went for layer in went.layers))
        kinds = list(dict.fromkeys(kind for went in self.went for kind in went.kinds))
        self.layers = [layer for layer in layers if self._any(layer, None)]
        self.kinds = [kind for kind in kinds if self._any(None, kind)]
        if not self.layers:
            named = ", ".join(run.id for run in runs)
            hint = f"See %peft show change-map {runs[0].id}"
            raise RunProblem(f"nothing moved in {named} that had a size before", hint)
        self.kind = dropdown(
            [(texts.EVERY_KIND, ALL), *((plain(kind), kind) for kind in self.kinds)],
            texts.CHOOSE_KIND,
            texts.DISTANCE_KIND_TIP,
        )
        self.layer = dropdown(
            [(texts.EVERY_LAYER, ALL), *((layer_words(layer), layer) for layer in self.layers)],
            texts.CHOOSE_LAYER,
            texts.DISTANCE_LAYER_TIP,
        )
        self.fixed = widgets.Checkbox(
            description=texts.ONE_AXIS, tooltip=texts.ONE_AXIS_TIP, indent=False, layout={"width": "auto"}
        )
        self.page = widgets.HTML()
        self.widget = widgets.VBox([widgets.HBox([self.kind, self.layer, self.fixed], layout=ROW), self.page])
        for control in (self.kind, self.layer, self.fixed):
            control.observe(lambda _: self._show(), "value")
        self._show()

    def static(self) -> Mapping[str, str]:
        """What is shown now."""
        return {"text/html": self._html(), "text/plain": self._text()}

    def close(self) -> None:
        """Nothing has to be stopped."""

    # --- what is shown ------------------------------------------------------------------------------------------------

    def rows(self) -> list[tuple[str, list[float]]]:
        """Each bar's name and its length in each run, in percent."""
        layer, kind = self.layer.value or None, self.kind.value or None
        if layer is None:
            found = [(layer_words(one), [went.distance(one, kind) for went in self.went]) for one in self.layers]
        else:
            kinds = self.kinds if kind is None else [kind]
            found = [(plain(one), [went.distance(layer, one) for went in self.went]) for one in kinds]
        return [(name, values) for name, values in found if np.isfinite(values).any()]

    def most(self) -> float:
        """Where the axis ends."""
        shown = [value for _, values in self.rows() for value in values]
        if self.fixed.value:
            shown += [w.distance(one, kind) for w in self.went for one in self.layers for kind in (None, *self.kinds)]
        return float(np.nanmax([*shown, 1e-12]))

    @property
    def said(self) -> str:
        """The main numbers in a sentence."""
        parts = []
        for number, went in enumerate(self.went):
            found = {name: values[number] for name, values in self.rows() if np.isfinite(values[number])}
            if not found:
                parts.append(texts.DISTANCE_NONE.format(run=went.name))
                continue
            far, near = max(found, key=found.__getitem__), min(found, key=found.__getitem__)
            high, low = three_digits(found[far]), three_digits(found[near])
            parts.append(texts.DISTANCE_SAID.format(run=went.name, far=far, high=high, near=near, low=low))
        return " ".join(parts)

    def _any(self, layer: str | None, kind: str | None) -> bool:
        return any(np.isfinite(went.distance(layer, kind)) for went in self.went)

    def _show(self) -> None:
        self.page.value = self._html()

    def _title(self) -> str:
        kind = texts.EVERY_KIND if not self.kind.value else plain(self.kind.value)
        where = kind if not self.layer.value else f"{layer_words(self.layer.value)}, {kind}"
        return texts.DISTANCE_TITLE.format(where=where, most=three_digits(self.most()))

    def _html(self) -> str:
        most = self.most()
        cell = "border:0;padding:1px 8px 1px 0;text-align:left;background:none;vertical-align:middle"
        rows = []
        for name, values in self.rows():
            for number, value in enumerate(values):
                edge = f";border-top:1px solid {BORDER}" if not number and len(values) > 1 else ""
                first = f'<th style="{cell}{edge};font-weight:normal">{esc(name if not number else "")}</th>'
                whose = f'<td style="{cell}{edge}">{esc(self.went[number].name)}</td>' if len(values) > 1 else ""
                bar, text = "", DASH
                if np.isfinite(value):
                    look = f"background:{COLOURS[number % len(COLOURS)]};width:{100 * value / most:.1f}%"
                    bar, text = f'<div style="{look};height:12px;min-width:1px"></div>', f"{three_digits(value)} %"
                rows.append(
                    f'<tr style="background:none">{first}{whose}<td style="{cell}{edge};width:60%">{bar}</td>'
                    f'<td style="{cell}{edge};white-space:nowrap">{text}</td></tr>'
                )
        return (
            f'<div {PLAIN} style="line-height:1.4">{esc(self.said)}<div style="margin-top:6px"><b>'
            f'{esc(self._title())}</b></div><table style="border-collapse:collapse;table-layout:auto;'
            f'width:100%;max-width:860px;margin:4px 0;font-size:100%"><tbody>{"".join(rows)}</tbody></table></div>'
        )

    def _text(self) -> str:
        columns = ("", *(went.name for went in self.went))
        rows = [
            [name, *(f"{three_digits(v)} %" if np.isfinite(v) else DASH for v in values)]
            for name, values in self.rows()
        ]
        return f"{self.said}\n\n{Table(self._title(), columns, rows, align='<' + '>' * len(self.went))}"
