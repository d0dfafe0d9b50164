"""How much each adapter adds to what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from peft_lab.errors import RunProblem
from peft_lab.present.style import INK, PALETTE, in_figure, new_figure, plain, shorten, three_digits, tidy
from peft_lab.texts import views as texts
from pluggy_specs import Drawing, RunView, View

ROOM = 1.32  # of the longest bar with its whisker: numbers stand behind them
LONGEST_NAME = 24


class AdapterActivity(View):
    """A bar for each adapter, layers from top to bottom, places side by side."""

    name = "adapter-activity"
    summary = "how much each adapter adds to what it reads, by layer, mean and spread over texts"
    needs = ("adapter-activity",)

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw one run."""
        (run,) = runs
        artifact = run.artifact("adapter-activity")
        mean, spread = (100 * np.asarray(artifact.arrays[name].values, dtype=float) for name in ("mean", "spread"))
        labels = artifact.arrays["mean"].labels
        layers, places = list(labels["layer"]), list(labels["place"])
        if not np.isfinite(mean).any():
            raise RunProblem(f"{run.id} has no adapter that was measured", "Train it again: %peft train adapter")
        figure = new_figure(1.6 + 3.9 * len(places), 1.75 + 0.27 * len(layers))
        panels = np.atleast_1d(figure.subplots(1, len(places), sharex=True, sharey=True))
        widest = np.nanmax(mean + spread)
        for at, (axes, place) in enumerate(zip(panels, places, strict=True)):
            title = texts.ACTIVITY_BEHIND.format(place=in_figure(shorten(place, LONGEST_NAME)))
            tidy(axes, title, texts.ACTIVITY_AXIS)
            _bars(axes, mean[:, at], spread[:, at], 0.02 * (widest or 1))
        panels[0].set_xlim(0, ROOM * (widest or 1))
        panels[0].set_yticks(range(len(layers)), [in_figure(shorten(layer, LONGEST_NAME)) for layer in layers])
        panels[0].set_ylabel(texts.LAYER_AXIS, fontsize=10, color=INK)
        panels[0].set_ylim(len(layers) - 0.4, -0.6)
        figure.suptitle(
            in_figure(texts.ACTIVITY_TITLE.format(run=run.id, method=shorten(run.recipe.method))),
            x=0.01,
            ha="left",
            fontsize=11,
            fontweight="bold",
            color=INK,
        )
        note = in_figure(texts.ACTIVITY_NOTE.format(measured=artifact.note))
        figure.supxlabel(note, x=0.01, ha="left", fontsize=8.5, color=INK)
        return Drawing(_sentence(run, mean, spread, layers, places), figure)


def _bars(axes: Any, mean: np.ndarray, spread: np.ndarray, gap: float) -> None:
    """Bars with whiskers that do not go below nothing, the numbers behind them."""
    for row in np.flatnonzero(np.isfinite(mean)):
        value, around = mean[row], spread[row]
        axes.barh(row, value, height=0.62, color=PALETTE["blue"], alpha=0.55, linewidth=0)
        axes.errorbar(value, row, xerr=[[min(value, around)], [around]], color=INK, capsize=3, linewidth=1.2)
        text = f"{three_digits(value)} ± {three_digits(around)}"
        axes.text(value + around + gap, row, text, va="center", fontsize=8.5, color=INK)
    axes.grid(False, axis="y")


def _sentence(run: RunView, mean: np.ndarray, spread: np.ndarray, layers: Sequence[str], places: Sequence[str]) -> str:
    """The usual size, the largest and the smallest, in percent of what is read."""
    whose = {"run": run.id, "method": plain(run.recipe.method)}
    if not np.nanmax(mean):
        return texts.ACTIVITY_NONE.format(**whose)

    def told(index: int) -> str:
        row, column = divmod(index, len(places))
        numbers = {"mean": three_digits(mean[row, column]), "spread": three_digits(spread[row, column])}
        return texts.ACTIVITY_PLACE.format(layer=plain(layers[row]), place=plain(places[column]), **numbers)

    usual, most = three_digits(float(np.nanmean(mean))), told(int(np.nanargmax(mean)))
    if np.isfinite(mean).sum() == 1:
        return texts.ACTIVITY_ONE.format(**whose, mean=usual, place=most)
    return texts.ACTIVITY_SAID.format(**whose, mean=usual, most=most, least=told(int(np.nanargmin(mean))))
