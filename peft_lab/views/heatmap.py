"""A grid of layers by module kinds with the number in every cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from peft_lab.present.style import INK, PAPER, contrast, in_figure, new_figure, shorten
from peft_lab.texts import views as texts

WIDEST_WORD, LONGEST_NAME = 13, 32
MOST_ACROSS, MOST_LAYERS_ACROSS = 12, 16
NOTHING = "#F1F1F1"
DARKEST = 0.08, 0.94  # the part of the colour map that is used: its ends swallow the numbers


def heatmap(
    values: Any,
    layers: Sequence[str],
    kinds: Sequence[str],
    *,
    title: str,
    scale: str,
    number: Callable[[float], str],
    blank: str,
) -> Any:
    """Draw ``values``, [layer, kind]; NaN is hatched and means ``blank``.

    Colours go by logarithm where they span > 100x.

    Many kinds of few layers go down the side, where their names have room. On top, names break at spaces, and a word of
    more than ``WIDEST_WORD`` letters is cut in its middle.
    """
    from matplotlib.colors import LinearSegmentedColormap, ListedColormap, LogNorm, Normalize

    values = np.ma.masked_invalid(np.asarray(values, dtype=float))
    kinds_down = len(kinds) > MOST_ACROSS and len(layers) <= MOST_LAYERS_ACROSS
    rows, columns, values = (kinds, layers, values.T) if kinds_down else (layers, kinds, values)
    height, width = values.shape
    names = 0.075 * max(len(shorten(name, LONGEST_NAME)) for name in rows)
    cells = (0.6 if kinds_down else 0.82) * width
    figure = new_figure(max(1.3 + names + cells, 0.4 + 0.09 * len(title)), 1.95 + 0.27 * height)
    axes = figure.add_subplot()
    axes.set_facecolor(PAPER)
    axes.patch.set(hatch="////", edgecolor="#C8C8C8")
    positive = values.compressed()[values.compressed() > 0]
    low, high = (positive.min(), positive.max()) if positive.size else (0.0, 1.0)
    logarithmic = low > 0 and high / low > 100
    norm = LogNorm(low, high, clip=True) if logarithmic else Normalize(0, high)
    colours = LinearSegmentedColormap.from_list("peft_lab", _cividis(*DARKEST))
    nothing = np.ma.masked_where(values.filled(np.nan) != 0, values)
    axes.pcolormesh(nothing, cmap=ListedColormap([NOTHING]), edgecolor=PAPER, linewidth=1.5)
    picture = axes.pcolormesh(np.ma.masked_equal(values, 0), cmap=colours, norm=norm, edgecolor=PAPER, linewidth=1.5)
    for (row, column), value in np.ndenumerate(values.filled(np.nan)):
        text, ink = "–", INK
        if np.isfinite(value):
            text, ink = number(value), _readable_on(colours(norm(value))) if value else INK
        place = axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8.5, color=ink)
        place.set_in_layout(False)  # a number never leaves its cell; measuring hundreds of them takes seconds
    axes.set_xticks(np.arange(width) + 0.5, [wrapped(name) for name in columns], fontsize=8.5)
    axes.set_yticks(np.arange(height) + 0.5, [in_figure(shorten(name, LONGEST_NAME)) for name in rows], fontsize=9)
    axes.invert_yaxis()
    axes.xaxis.tick_top()
    axes.tick_params(length=0, colors=INK)
    (axes.set_xlabel if kinds_down else axes.set_ylabel)(texts.LAYER_AXIS, fontsize=9, color=INK)
    axes.xaxis.set_label_position("top")
    axes.set_title(in_figure(title), loc="left", fontsize=11, fontweight="bold", color=INK, pad=10)
    figure.supxlabel(in_figure(texts.HATCHED.format(meaning=blank)), x=0.01, ha="left", fontsize=8.5, color=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(picture, ax=axes, pad=0.015, fraction=0.04, aspect=30, shrink=min(1.0, 8 / height))
    label = texts.LOG_SCALE.format(scale=scale) if logarithmic else scale
    bar.set_label(in_figure(label), fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8.5, colors=INK, which="both")
    bar.ax.yaxis.set_major_formatter(lambda value, _: number(value))
    bar.ax.yaxis.set_minor_formatter("")
    bar.outline.set_visible(False)
    return figure


def wrapped(name: str) -> str:
    """One word a line, short words together; long words are cut in their middle."""
    lines = [""]
    for word in (shorten(word, WIDEST_WORD) for word in name.split()):
        joined = f"{lines[-1]} {word}".strip()
        lines[-1:] = [joined] if len(joined) <= WIDEST_WORD - 2 or not lines[-1] else [lines[-1], word]
    return "\n".join(in_figure(line) for line in lines)


def _cividis(start: float, end: float) -> Any:
    from matplotlib import colormaps

    return colormaps["cividis_r"](np.linspace(start, end, 64))


def _readable_on(colour: Any) -> str:
    return max((INK, PAPER), key=lambda ink: contrast(ink, colour))
