"""Pictures of masks: blocks with their margins, exact cells, the difference between two."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from peft_lab.present.masks import Blocks, Tensor
from peft_lab.present.style import (
    FAINT,
    INK,
    PALETTE,
    PAPER,
    contrast,
    in_figure,
    new_figure,
    shorten,
    three_digits,
    tidy,
)
from peft_lab.texts import masks as texts
from peft_lab.views.heatmap import DARKEST, NOTHING, wrapped

LONGEST_TITLE = 78


def blocks_picture(blocks: Blocks, tensor: Tensor, title: str) -> Any:
    """Density of each block, and of rows and columns of them along the edges."""
    from matplotlib.colors import LogNorm, Normalize

    percent = 100 * blocks.density
    there = percent[percent > 0]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
    norm = LogNorm(low, high) if 0 < low < high else Normalize(0, high)
    figure, image, right, top, key = _with_margins(tensor, title)
    image.set_xlabel(texts.COLUMN_BLOCKS_MEAN.format(size=_size(blocks)), fontsize=9, color=INK)
    picture = image.imshow(
        np.ma.masked_equal(percent, 0), cmap=_colours(), norm=norm, aspect="auto", interpolation="nearest",
        extent=(0, tensor.columns, tensor.rows, 0),
    )  # fmt: skip
    bar = figure.colorbar(picture, cax=key)
    _label_bar(bar, texts.BLOCK_TRAINS_LOG if isinstance(norm, LogNorm) else texts.BLOCK_TRAINS_ONE)
    mean = 100 * tensor.chosen / tensor.size
    edges_down = np.minimum(np.arange(len(percent) + 1) * blocks.height, tensor.rows)
    edges_across = np.minimum(np.arange(percent.shape[1] + 1) * blocks.width, tensor.columns)
    if right is not None:
        right.stairs(100 * blocks.by_row, edges_down, orientation="horizontal", fill=True, color=PALETTE["blue"])
        right.axvline(mean, color=INK, linewidth=1, linestyle="--")
    top.stairs(100 * blocks.by_column, edges_across, fill=True, color=PALETTE["blue"])
    top.axhline(mean, color=INK, linewidth=1, linestyle="--")
    return figure


def blocks_difference_picture(one: Blocks, other: Blocks, tensor: Tensor, title: str, scale: str) -> Any:
    """Density of each block in the first run less that in the second."""
    figure, image, right, top, key = _with_margins(tensor, title)
    percent = 100 * (one.density - other.density)
    image.set_xlabel(texts.COLUMN_BLOCKS.format(size=_size(one)), fontsize=9, color=INK)
    norm = _both_ways(percent)
    picture = image.imshow(
        np.ma.masked_where((one.density == 0) & (other.density == 0), percent), cmap="PuOr", norm=norm, aspect="auto",
        interpolation="nearest", extent=(0, tensor.columns, tensor.rows, 0),
    )  # fmt: skip
    bar = figure.colorbar(picture, cax=key)
    _label_bar(bar, texts.DIFFERENCE_KEY.format(scale=scale), signed=True)
    edges_down = np.minimum(np.arange(len(percent) + 1) * one.height, tensor.rows)
    edges_across = np.minimum(np.arange(percent.shape[1] + 1) * one.width, tensor.columns)
    if right is not None:
        difference = 100 * (one.by_row - other.by_row)
        right.stairs(difference, edges_down, orientation="horizontal", fill=True, color=PALETTE["blue"])
        right.axvline(0, color=INK, linewidth=1)
    top.stairs(100 * (one.by_column - other.by_column), edges_across, fill=True, color=PALETTE["blue"])
    top.axhline(0, color=INK, linewidth=1)
    return figure


def cells_picture(cells: np.ndarray, rows: slice, columns: slice, title: str) -> Any:
    """Exact cells: those that train are dark."""
    from matplotlib.colors import ListedColormap

    return _cells_figure(cells, ListedColormap([NOTHING, INK]), rows, columns, title, texts.DARK_TRAINS)


def two_cells_picture(
    one: np.ndarray, other: np.ndarray, rows: slice, columns: slice, title: str, names: tuple[str, str]
) -> Any:
    """Exact cells of two runs: each has its own half of a cell, and its own colour; a cell of both is full and dark."""
    from matplotlib.colors import ListedColormap

    side = 6
    upper = np.add.outer(np.arange(side), np.arange(side)) < side
    halves = np.where(upper, 1, 2)
    cells = np.where(one & other, 3, np.where(one, 1, np.where(other, 2, 0)))
    fine, half = np.repeat(np.repeat(cells, side, 0), side, 1), np.tile(halves, cells.shape)
    fine = np.where((fine == half) | (fine == 3), fine, 0)
    colours = ListedColormap([NOTHING, PALETTE["blue"], PALETTE["vermilion"], INK])
    key = texts.HALVES.format(one=names[0], other=names[1])
    return _cells_figure(fine, colours, rows, columns, title, key)


def _cells_figure(cells: np.ndarray, colours: Any, rows: slice, columns: slice, title: str, key: str) -> Any:
    from matplotlib.ticker import MaxNLocator

    height, width = rows.stop - rows.start, columns.stop - columns.start
    side = min(0.28, 6.2 / max(height, width, 1))
    wide, high = max(4.6, 1.3 + side * width), 1.3 + max(0.5, side * height)
    figure = new_figure(wide, high)
    figure.set_layout_engine("none")  # places in inches: to find them by layout takes longer than all the drawing
    axes = figure.add_axes((0.8 / wide, 0.6 / high, side * width / wide, side * height / high))
    left, right, top, bottom = columns.start - 0.5, columns.stop - 0.5, rows.start - 0.5, rows.stop - 0.5
    axes.imshow(
        cells, cmap=colours, vmin=0, vmax=colours.N - 1, interpolation="nearest", aspect="auto",
        extent=(left, right, bottom, top),
    )  # fmt: skip
    if side >= 0.06:
        axes.vlines(np.arange(columns.start + 1, columns.stop) - 0.5, bottom, top, colors=PAPER, linewidth=0.6)
        axes.hlines(np.arange(rows.start + 1, rows.stop) - 0.5, left, right, colors=PAPER, linewidth=0.6)
    axes.tick_params(labelsize=9, colors=INK, length=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_title(in_figure(shorten(title, LONGEST_TITLE)), loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.set_xlabel(in_figure(texts.COLUMN_KEY.format(key=key)), fontsize=9, color=INK)
    axes.set_ylabel(texts.ROW if height > 1 else "", fontsize=9, color=INK)
    if height == 1:
        axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    return figure


def strip_difference_picture(
    difference: np.ndarray, overlap: np.ndarray, layers: list[str], kinds: list[str], title: str, scale: str
) -> Any:
    """Layers by module kinds: how much more the first run trains, and the overlap of the two, in every cell.

    Args:
        difference: percentage points, [layer, kind]; NaN where the model has nothing.
        overlap: Jaccard of the entries there, from 0 to 1; NaN where neither trains any.
    """
    from matplotlib import colormaps

    kinds_down = len(kinds) > 12 >= len(layers)
    rows, columns = (kinds, layers) if kinds_down else (layers, kinds)
    if kinds_down:
        difference, overlap = difference.T, overlap.T
    height, width = difference.shape
    names = 0.075 * max(len(shorten(name, 32)) for name in rows)
    figure = new_figure(max(1.4 + names + 0.86 * width, 0.4 + 0.09 * len(title)), 1.95 + 0.42 * height)
    axes = figure.add_subplot()
    axes.set_facecolor(PAPER)
    axes.patch.set(hatch="////", edgecolor="#C8C8C8")
    norm, colours = _both_ways(difference), colormaps["PuOr"]
    picture = axes.pcolormesh(np.ma.masked_invalid(difference), cmap=colours, norm=norm, edgecolor=PAPER, linewidth=1.5)
    for (row, column), value in np.ndenumerate(difference):
        if np.isfinite(value):
            same = overlap[row, column]
            cell = texts.CELL_SAME if np.isfinite(same) else texts.CELL_NEITHER
            text = cell.format(difference=_signed(value), share=f"{100 * same:.0f}")
            ink = max((INK, PAPER), key=lambda ink: contrast(ink, colours(norm(value))))
        else:
            text, ink = "–", INK
        place = axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8, color=ink)
        place.set_in_layout(False)
    axes.set_xticks(np.arange(width) + 0.5, [wrapped(name) for name in columns], fontsize=8.5)
    axes.set_yticks(np.arange(height) + 0.5, [in_figure(shorten(name, 32)) for name in rows], fontsize=9)
    axes.invert_yaxis()
    axes.xaxis.tick_top()
    axes.tick_params(length=0, colors=INK)
    axes.set_title(in_figure(title), loc="left", fontsize=11, fontweight="bold", color=INK, pad=10)
    figure.supxlabel(texts.SAME_KEY, x=0.01, ha="left", fontsize=8.5, color=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(picture, ax=axes, pad=0.015, fraction=0.04, aspect=30, shrink=min(1.0, 8 / height))
    _label_bar(bar, scale, signed=True)
    return figure


def _with_margins(tensor: Tensor, title: str) -> tuple[Any, Any, Any, Any, Any]:
    """A figure with axes for an image, for its rows at the right, for its columns on top, and for the key.

    Places are said in inches: to find them by layout takes as long as all the drawing.
    """
    flat = tensor.rows == 1
    width, height = 8.0, 2.7 if flat else 5.5
    figure = new_figure(width, height)
    figure.set_layout_engine("none")

    def axes_at(left: float, bottom: float, wide: float, high: float, **shared: Any) -> Any:
        return figure.add_axes((left / width, bottom / height, wide / width, high / height), **shared)

    across, down = (6.25, 0.75) if flat else (4.65, 3.75)
    image = axes_at(0.8, 0.5, across, down)
    top = axes_at(0.8, 0.65 + down, across, height - down - 1.05, sharex=image)
    right = None if flat else axes_at(0.95 + across, 0.5, 1.4, down)
    key = axes_at(7.15, 0.5, 0.13, height - 0.9 if flat else down)
    image.set_facecolor(NOTHING)
    for axes in filter(None, (right, top)):
        tidy(axes)
        axes.tick_params(labelsize=8.5)
    top.locator_params(axis="y", nbins=3)
    image.tick_params(labelsize=9, colors=INK)
    top.tick_params(labelbottom=False)
    top.set_ylabel(texts.PER_CENT_OF_COLUMN, fontsize=8.5, color=INK)
    if right is None:
        image.set_yticks([])
    else:
        image.set_ylabel(texts.ROW, fontsize=9, color=INK)
        right.locator_params(axis="x", nbins=3)
        right.set_ylim(tensor.rows, 0)
        right.set_yticks([])
        right.set_xlabel(texts.PER_CENT_OF_ROW, fontsize=8.5, color=INK)
    image.set_xlim(0, tensor.columns)
    said = in_figure(shorten(title, LONGEST_TITLE))
    figure.suptitle(said, x=0.01, y=1 - 0.1 / height, ha="left", fontsize=11, fontweight="bold", color=INK)
    return figure, image, right, top, key


def _size(blocks: Blocks) -> str:
    said = texts.BLOCK_SIZES[blocks.height > 1, blocks.width > 1]
    return said.format(rows=blocks.height, columns=blocks.width)


def _colours() -> Any:
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("density", colormaps["cividis_r"](np.linspace(*DARKEST, 64)))


def _both_ways(values: np.ndarray) -> Any:
    """The same limits on both sides of 0, by logarithm away from it."""
    from matplotlib.colors import SymLogNorm

    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    most = float(sizes.max()) if sizes.size else 1.0
    least = max(float(sizes.min()) if sizes.size else 1.0, most / 1000)
    return SymLogNorm(least, vmin=-most, vmax=most)


def _signed(value: float) -> str:
    if value == 0:
        return "0"
    return ("+" if value > 0 else "−") + three_digits(abs(value))


def _label_bar(bar: Any, text: str, *, signed: bool = False) -> None:
    inches = bar.ax.get_window_extent().height / bar.ax.figure.dpi
    lines = textwrap.wrap(text, max(24, int(13 * inches)))
    bar.set_label("\n".join(map(in_figure, lines)), fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8.5, colors=INK, which="both")
    bar.ax.yaxis.set_major_formatter(lambda value, _: _signed(value) if signed else three_digits(value))
    norm = bar.mappable.norm
    if signed and inches < 2.5:  # numbers beside 0 would stand on each other
        bar.set_ticks([norm.vmin, 0, norm.vmax])
    if not signed and 1 < norm.vmax / max(norm.vmin, 1e-9) < 100:  # powers of ten alone would leave it without numbers
        from matplotlib.ticker import LogLocator

        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    bar.minorticks_off()
    bar.outline.set_visible(False)
