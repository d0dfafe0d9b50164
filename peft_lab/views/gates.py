"""How far the gates of each layer's prefix are open, and how that came to differ from the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.present.style import INK, PALETTE, PAPER, contrast, in_figure, new_figure
from peft_lab.texts import views as texts
from pluggy_specs import Array, Drawing, RunView, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

MOST_NUMBERS = 16
"""Virtual tokens up to which each cell has room for its number."""
MOST_PARTS = 6
"""Small pictures of the way through training."""


class Gates(View):
    """Layers by virtual tokens: gates now and their change, each with fixed limits, and the factor of each layer."""

    name = "gates"
    summary = "how far each prefix gate opens, layers by virtual tokens"
    needs = ("prefix-gates",)

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw one run."""
        (run,) = runs
        arrays = run.artifact("prefix-gates").arrays
        now, spread, scale = (np.asarray(arrays[n].values, dtype=float) for n in ("gate", "spread", "scale"))
        layers, tokens = now.shape
        panels: list[tuple[str, np.ndarray, tuple[float, float], str, Callable[[float], str]]] = [
            (texts.GATES_OPEN, now, (0, 1), "cividis_r", lambda v: f"{v:.2f}".lstrip("0") or "0"),
            (texts.GATES_SPREAD, spread, (0, 0.5), "Greys", lambda v: f"{v:.2f}".lstrip("0")),
        ]
        if "gate-at-start" in arrays:
            moved = now - np.asarray(arrays["gate-at-start"].values, dtype=float)
            panels.insert(1, (texts.GATES_MOVED, moved, (-0.5, 0.5), "PuOr", _signed))
        wide = 0.4 * min(tokens, MOST_NUMBERS) + 0.9
        way = arrays.get("gate-on-the-way")
        heights = [0.85 + 0.24 * layers] * len(panels) + ([0.7 + 0.1 * layers] if way else [])
        figure = new_figure(wide + 2.2, sum(heights) + 0.4)
        grid = figure.add_gridspec(len(heights), 2, width_ratios=[wide, 1.3], height_ratios=heights)
        for number, (title, values, limits, colours, text) in enumerate(panels):
            axes = figure.add_subplot(grid[number, 0])
            _grid(axes, values, limits, colours, text if tokens <= MOST_NUMBERS else None)
            axes.set_title(in_figure(title), loc="left", fontsize=10, color=INK)
            axes.set_yticks(np.arange(layers) + 0.5, [str(n) for n in range(layers)])
            axes.set_ylabel(texts.LAYER_AXIS, fontsize=9, color=INK)
            if number == len(panels) - 1:
                axes.set_xlabel(texts.GATES_TOKEN, fontsize=9, color=INK)
        _factors(figure.add_subplot(grid[0, 1]), scale)
        if way:
            _on_the_way(figure, grid[len(panels), :], way)
        figure.suptitle(
            in_figure(texts.GATES_TITLE.format(run=run.id, method=run.recipe.method)),
            x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK,
        )  # fmt: skip
        return Drawing(_said(run, now, scale), figure)


def _said(run: RunView, now: np.ndarray, scale: np.ndarray) -> str:
    """The main numbers in a sentence."""
    opened = np.abs(scale) * np.nanmean(now, axis=1)
    most, least = int(opened.argmax()), int(opened.argmin())
    places = {"most": most, "high": f"{opened[most]:.2f}", "least": least, "low": f"{opened[least]:.2f}"}
    return texts.GATES_SAID.format(run=run.id, method=run.recipe.method, **places)


def _signed(value: float) -> str:
    return f"{value:+.2f}" if abs(value) >= 0.005 else "0"


def _grid(
    axes: Axes, values: np.ndarray, limits: tuple[float, float], colours: str, text: Callable[[float], str] | None
) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    map_, norm = colormaps[colours], Normalize(*limits, clip=True)
    axes.set_facecolor(PAPER)
    picture = axes.pcolormesh(np.ma.masked_invalid(values), cmap=map_, norm=norm, edgecolor=PAPER, linewidth=0.8)
    for (row, column), value in np.ndenumerate(values):
        if text is not None and np.isfinite(value):
            ink = max((INK, PAPER), key=lambda one: contrast(one, map_(norm(value))))
            place = axes.text(column + 0.5, row + 0.5, text(value), ha="center", va="center", fontsize=7.5, color=ink)
            place.set_in_layout(False)
    axes.invert_yaxis()
    every = max(1, values.shape[1] // 8)
    at = np.arange(0, values.shape[1], every)
    axes.set_xticks(at + 0.5, [str(n) for n in at], fontsize=8.5)
    axes.tick_params(length=0, colors=INK, labelsize=8.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar: Any = axes.figure.colorbar(picture, ax=axes, pad=0.015, fraction=0.03)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)


def _on_the_way(figure: Figure, place: SubplotSpec, way: Array) -> None:
    """Small pictures of the gates in some parts of the training, left to right."""
    values, ends = np.asarray(way.values, dtype=float), way.labels["batch"]
    chosen = np.unique(np.linspace(0, len(values) - 1, min(MOST_PARTS, len(values))).round().astype(int))
    for at, part in enumerate(chosen):
        axes = figure.add_subplot(place.subgridspec(1, len(chosen), wspace=0.08)[at])
        axes.pcolormesh(np.ma.masked_invalid(values[part]), cmap="cividis_r", vmin=0, vmax=1)
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.set_yticks([])
        begin = int(ends[part - 1]) + 1 if part else 1
        said = texts.GATES_BATCHES if part else texts.GATES_FIRST_BATCHES
        axes.set_title(in_figure(said.format(first=begin, last=ends[part])), loc="left", fontsize=8.5, color=INK)
        for spine in axes.spines.values():
            spine.set(color=PAPER, linewidth=4)  # a gap between the pictures


def _factors(axes: Axes, scale: np.ndarray) -> None:
    """The factor of each layer as a bar from 1, where all start, with its number."""
    rows = np.arange(len(scale)) + 0.5
    axes.set_facecolor(PAPER)
    axes.barh(rows, scale - 1, left=1, height=0.7, color=PALETTE["blue"])
    axes.axvline(1, color=INK, linewidth=0.8)
    low, high = min(0.0, float(scale.min())), max(2.0, float(scale.max()))
    axes.set_xlim(low, high)
    for row, value in zip(rows, scale, strict=True):
        axes.text(high, row, f"{value:.2f}", ha="right", va="center", fontsize=8, color=INK).set_in_layout(False)
    axes.set_ylim(len(scale), 0)
    axes.set_yticks([])
    axes.set_xticks([1], ["1"], fontsize=8.5)
    axes.set_title(texts.GATES_FACTOR, loc="left", fontsize=10, color=INK)
    axes.tick_params(length=0, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
