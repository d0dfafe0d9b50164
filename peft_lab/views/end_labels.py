"""Writes the names of lines at their right ends, so that no key is needed, and none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peft_lab.present.style import INK, in_figure
from peft_lab.views._studied import Look

GAP = 1.3
"""Height of a line of text, in its size."""
MARK, TEXT = 1.045, 1.06
"""Where the marker of a line and its name stand, in widths of the axes."""


def end_labels(
    axes: Any,
    ends: Sequence[tuple[float, float]],
    names: Sequence[str],
    looks: Sequence[Look],
    size: float = 9,
    *,
    leaders: bool = True,
) -> None:
    """Write each name right of the axes at the height of its line's last point, moved apart, a thin line to each.

    The marker of the line stands beside its name. Call it last: it settles the limits of the axes. Without ``leaders``
    the marker alone tells which is which: for points all over the axes, between which lines would cross.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if not ends:
        return
    figure = axes.figure
    FigureCanvasAgg(figure)
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())
    figure.draw_without_rendering()
    high = axes.get_window_extent().height / figure.dpi * 72
    low, top = axes.get_ylim()
    places = spread([(y - low) / (top - low) for _, y in ends], GAP * size / high)
    for end, place, name, look in zip(ends, places, names, looks, strict=True):
        if leaders:
            axes.annotate(
                "",
                end,
                (MARK, place),
                xycoords="data",
                textcoords="axes fraction",
                annotation_clip=False,
                arrowprops={
                    "arrowstyle": "-",
                    "color": look.colour,
                    "linewidth": 0.8,
                    "linestyle": ":",
                    "shrinkA": 4,
                    "shrinkB": 5,
                },
            )
        axes.plot(
            [MARK], [place], look.marker, color=look.colour, markersize=6, transform=axes.transAxes, clip_on=False
        )
        axes.text(TEXT, place, in_figure(name), transform=axes.transAxes, fontsize=size, color=INK, va="center")
    figure.canvas = type(figure.canvas)(figure)


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Heights from 0 to 1, at least ``gap`` apart, in the same order, each as near to where it is wanted as can be.

    Those that would touch form a group around the mean of what its members want. Where all do not fit between 0 and 1
    they reach beyond both.
    """
    order = sorted(range(len(wanted)), key=lambda at: wanted[at])
    groups: list[list[int]] = []
    for at in order:
        groups.append([at])
        while len(groups) > 1 and _first(groups[-1], wanted, gap) - _last(groups[-2], wanted, gap) < gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    found = [0.0] * len(wanted)
    for group in groups:
        for number, at in enumerate(group):
            found[at] = _first(group, wanted, gap) + gap * number
    return found


def _first(group: Sequence[int], wanted: Sequence[float], gap: float) -> float:
    """The height of the lowest of a group."""
    width = gap * (len(group) - 1)
    start = sum(wanted[one] for one in group) / len(group) - width / 2
    return min(max(start, 0.0), 1.0 - width) if width <= 1 else 0.5 - width / 2


def _last(group: Sequence[int], wanted: Sequence[float], gap: float) -> float:
    return _first(group, wanted, gap) + gap * (len(group) - 1)
