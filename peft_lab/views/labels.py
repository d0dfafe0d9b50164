"""Puts names beside points so that none covers another."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from peft_lab.present.style import INK, in_figure

PLACES = [(dx, dy) for reach in (9, 20, 34, 50, 68) for dx, dy in (
    (reach, 0), (-reach, 0), (0, reach), (0, -reach), (reach, reach), (-reach, reach), (reach, -reach), (-reach, -reach)
)]  # fmt: skip
CROSSED = 24
"""Points that a name goes farther rather than to stand on a bar."""
Box = tuple[float, float, float, float]


def place_labels(
    axes: Any,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    size: float = 9,
    bars: Sequence[tuple[float, float, float]] = (),
) -> None:
    """Write each name at the free place nearest to its point, with a thin line where it is far. Call it last.

    Args:
        axes: where the points stand.
        points: one for each name.
        names: what is written.
        size: of the text.
        bars: upright ones that no name should cover: their place, lower and upper end.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = axes.figure
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    pixel = figure.dpi / 72
    inside = axes.get_window_extent(renderer).extents
    spots = [tuple(axes.transData.transform(point)) for point in points]
    taken: list[Box] = [(x - 6 * pixel, y - 6 * pixel, x + 6 * pixel, y + 6 * pixel) for x, y in spots]
    ends = [(axes.transData.transform((x, low)), axes.transData.transform((x, high))) for x, low, high in bars]
    upright = [(one[0] - 3 * pixel, one[1], other[0] + 3 * pixel, other[1]) for one, other in ends]
    for own, (point, name) in enumerate(zip(points, names, strict=True)):
        text = axes.annotate(
            in_figure(name),
            point,
            (0, 0),
            textcoords="offset points",
            fontsize=size,
            color=INK,
            zorder=5,
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 5},
        )
        extent = text.get_window_extent(renderer)
        others = taken[:own] + taken[own + 1 :]
        best = min(PLACES, key=lambda at: _cost(_box(spots[own], at, extent, pixel), at, others, inside, upright))
        text.set(position=best, ha=_side(best[0], "left", "right"), va=_side(best[1], "bottom", "top"))
        if max(map(abs, best)) < 20:
            text.arrow_patch.set_visible(False)
        taken.append(_box(spots[own], best, extent, pixel))
    figure.canvas = type(figure.canvas)(figure)


def _box(spot: tuple[float, float], at: tuple[int, int], extent: Any, pixel: float) -> Box:
    x, y = spot[0] + at[0] * pixel, spot[1] + at[1] * pixel
    left = x - {1: 0, 0: 0.5, -1: 1}[_sign(at[0])] * extent.width
    low = y - {1: 0, 0: 0.5, -1: 1}[_sign(at[1])] * extent.height
    return left, low, left + extent.width, low + extent.height


def _cost(box: Box, at: tuple[int, int], taken: Sequence[Box], inside: Any, bars: Sequence[Box]) -> float:
    """Area covered, then area outside the axes, then distance; a thin bar behind a name is worth some distance."""
    covered = sum(_overlap(box, other) for other in taken)
    outside = (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, tuple(inside))
    crossed = sum(_overlap(box, bar) > 0 for bar in bars)
    return 100 * covered + 100 * outside + CROSSED * crossed + max(map(abs, at)) + 0.01 * PLACES.index(at)


def _overlap(one: Box, other: Box) -> float:
    return max(0.0, min(one[2], other[2]) - max(one[0], other[0])) * max(
        0.0, min(one[3], other[3]) - max(one[1], other[1])
    )


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def _side(offset: float, positive: str, negative: str) -> str:
    return positive if offset > 0 else negative if offset < 0 else "center"
