"""How far each layer went from where it started, one run or several on equal axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import pluggy_specs
from peft_lab.errors import RunProblem
from peft_lab.present.mask_words import layer_words
from peft_lab.present.style import INK, LINES, in_figure, new_figure, shorten, three_digits, tidy
from peft_lab.texts import views as texts
from peft_lab.views._hiding import hiding, left_out
from pluggy_specs import Drawing, RunView, View

MARKERS = "osD^v"
ROOM = 0.34
"""Inches for a layer with one run; each further run takes a third as much."""


class Distance(View):
    """A row for each layer: the distance from the start over the size at the start, in percent."""

    name = "distance"
    summary = "how far each layer went from its start, runs side by side"
    needs = ("parameter-change",)
    many = True

    class Options(pluggy_specs.Options):
        """What is left out."""

        hide: tuple[str, ...] = hiding()

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw the runs on the same axis."""
        without = left_out(self.options.hide, runs)
        found = [_by_layer(run) for run in runs]
        layers = list(dict.fromkeys(layer for distances in found for layer in distances))
        if not layers:
            names = ", ".join(run.id for run in runs)
            raise RunProblem(
                f"nothing moved in {names} that had a size before", f"See %peft show change-map {runs[0].id}"
            )
        figure = new_figure(7.2, 1.3 + ROOM * len(layers) * (1 + (len(runs) - 1) / 3))
        axes = tidy(figure.add_subplot(), texts.DISTANCE_TITLE, texts.DISTANCE_AXIS)
        rows, said = np.arange(len(layers)), []
        most = max(100 * value for distances in found for value in distances.values())
        for number, (run, distances) in enumerate(zip(runs, found, strict=True)):
            if run.id in self.options.hide:
                continue
            shift = (number - (len(runs) - 1) / 2) * 0.8 / max(2, len(runs))
            values = np.array([100 * distances.get(layer, np.nan) for layer in layers])
            name = texts.RUN_AND_METHOD.format(run=run.id, method=shorten(run.recipe.method, 24))
            colour, marker = LINES[number % len(LINES)], MARKERS[number % len(MARKERS)]
            axes.hlines(rows + shift, 0, values, color=colour, linewidth=1.6)
            label = in_figure(name)
            axes.plot(values, rows + shift, marker, markersize=5, linestyle="", color=colour, label=label)
            for row, value in zip(rows, values, strict=True):
                if np.isfinite(value):
                    place = value + 0.015 * most
                    axes.text(place, row + shift, three_digits(value), va="center", fontsize=8, color=INK)
            said.append(_said(name, layers, values))
        axes.set_yticks(rows, [in_figure(texts.LAYER.format(number=n) if n.isdigit() else n) for n in layers])
        axes.set_ylim(len(layers) - 0.5, -0.5)
        axes.set_xlim(0, 1.12 * most)
        if len(runs) > 1:
            axes.legend(fontsize=9, frameon=False, loc="best")
        return Drawing(" ".join([*said, without]).rstrip(), figure)


def _by_layer(run: RunView) -> dict[str, float]:
    """Distance over size of each layer in which something moved."""
    arrays = run.artifact("parameter-change").arrays
    if "moved" not in arrays:
        raise RunProblem(f"{run.id} was trained before distances were kept by layer", f"%peft show change-map {run.id}")
    moved, size = (np.nansum(np.asarray(arrays[name].values, dtype=float) ** 2, axis=1) for name in ("moved", "size"))
    labels = arrays["moved"].labels["layer"]
    return {layer: float(np.sqrt(m / s)) for layer, m, s in zip(labels, moved, size, strict=True) if m > 0 and s > 0}


def _said(name: str, layers: Sequence[str], values: np.ndarray) -> str:
    if not np.isfinite(values).any():
        return texts.DISTANCE_NONE.format(run=name)
    far, near = layers[int(np.nanargmax(values))], layers[int(np.nanargmin(values))]
    high, low = three_digits(float(np.nanmax(values))), three_digits(float(np.nanmin(values)))
    places = {"far": layer_words(far), "near": layer_words(near)}
    return texts.DISTANCE_SAID.format(run=name, **places, high=high, low=low)
