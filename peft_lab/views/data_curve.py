"""How much data each method needs: score over the number of training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.errors import BadOption, RunProblem
from peft_lab.present.style import INK, in_figure, new_figure, score, tidy, words
from peft_lab.present.table import Table
from peft_lab.texts import study_views as texts
from peft_lab.views._hiding import hiding, left_out
from peft_lab.views._studied import (
    Look,
    Seen,
    data_of,
    longest,
    look,
    names_of,
    other_data,
    said_budget,
    seen,
    split_of,
    without_result,
)
from peft_lab.views._told_apart import End, highest
from peft_lab.views.end_labels import end_labels
from pluggy_specs import Drawing, RunView, View

NEAR = 0.07
"""Sizes nearer than this share of the axis get one number."""
DODGE = 0.03
"""Width over which the bars of all methods stand at one size, as a share of the axis."""


@dataclass(frozen=True)
class Line:
    """A method over sizes: its scores at each."""

    name: str
    key: str
    look: Look
    by_seed: Mapping[int, Mapping[int, float]]
    visible: bool

    @property
    def scores(self) -> Mapping[int, tuple[float, ...]]:
        """Of all seeds, at each size."""
        return {size: tuple(own.values()) for size, own in self.by_seed.items()}

    def mean(self, size: int) -> float:
        """The mean over seeds."""
        return float(np.mean(self.scores[size]))


class DataCurve(View):
    """A line for each method: means over seeds, bars from the lowest to the highest seed."""

    name = "data-curve"
    summary = "score over the number of training rows, a line for each method, bars over seeds"
    many = True

    class Options(pluggy_specs.Options):
        """Which time budget is drawn."""

        budget: float = Field(
            0, ge=0, description="runs with this time budget in seconds; 0: those that may take longest"
        )
        hide: tuple[str, ...] = hiding()

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw all runs that have a result."""
        without = left_out(self.options.hide, runs)
        headline = runs[0].headline if runs else "accuracy"
        split = split_of(runs, headline)
        every = seen(runs, split, headline)
        members, budget, others = self._within_budget([one for one in every if not one.untrained])
        baseline = [one for one in every if one.untrained]
        lines = _lines(members, self.options.hide)
        floors = _lines(baseline, self.options.hide)
        drawn = [line for line in (*lines, *floors) if line.visible]
        if not any(line.visible for line in lines):
            raise RunProblem(f"no run has a {split} {headline} to draw", "See %peft runs")
        sizes = sorted({size for line in lines for size in line.scores})
        figure = new_figure(8.2, max(4.3, 1.5 + 0.21 * len(drawn)))
        name = texts.SCORE_OF.format(split=split, metric=words(headline))
        axes = tidy(
            figure.add_subplot(),
            in_figure(texts.DATA_TITLE.format(metric=words(headline).capitalize(), data=data_of(runs))),
            texts.ROWS_AXIS if len(sizes) > 1 else texts.ROW_AXIS,
            name,
        )
        _sizes_axis(axes, sizes)
        places = _draw(axes, lines)
        most = max(len(values) for line in lines for values in line.scores.values())
        note = texts.MEAN_AND_BAR.format(seeds=most) if most > 1 else texts.ONE_SEED
        note = "; ".join(filter(None, (note, _draw_floors(axes, floors))))
        figure.supxlabel(in_figure(note), x=0.01, ha="left", fontsize=8.5, color=INK)
        shown = [(line, place) for line, place in zip(lines, places, strict=True) if line.visible]
        points = [(place, line.mean(max(line.scores))) for line, place in shown]
        looks = [line.look for line, _ in shown]
        end_labels(axes, points, [line.name for line, _ in shown], looks)
        names = names_of(every)
        said = [_sentence(drawn, sizes, name, most, self._kept(every)), _floor(floors, name)]
        said += [texts.OTHER_BUDGETS.format(budget=said_budget(budget), others=others)] if others else []
        said += [without, without_result(members, names, _place), other_data(runs)]
        return Drawing(" ".join(filter(None, said)), figure, text=str(_table(drawn, sizes, name)))

    def _kept(self, every: Sequence[Seen]) -> list[Seen]:
        """All that were trained and are not hidden."""
        return [one for one in every if not one.untrained and one.run.id not in self.options.hide]

    def _within_budget(self, members: Sequence[Seen]) -> tuple[list[Seen], float | None, str]:
        """The runs of one budget, that budget, and what others there are."""
        budgets = list(dict.fromkeys(one.budget for one in members))
        if not budgets:
            return [], None, ""
        wanted = self.options.budget or longest(budgets)
        if wanted not in budgets:
            known = ", ".join(f"{b:g}" for b in sorted(b for b in budgets if b is not None))
            raise BadOption(f"no run has a budget of {wanted:g} s", f"There is: {known or 'none has one'}", "budget")
        others = ", ".join(said_budget(budget) for budget in budgets if budget != wanted)
        return [one for one in members if one.budget == wanted], wanted, others


def _place(one: Seen) -> str:
    return texts.AT_ROWS.format(rows=f"{one.examples:,}")


def _lines(members: Sequence[Seen], hide: Sequence[str]) -> list[Line]:
    """Lines in the order of runs; hidden runs are left out of them, but keep the looks of others as they are."""
    names = names_of(members)
    lines = []
    for at, (key, name) in enumerate(names.items()):
        own = [one for one in members if one.key == key and one.score is not None]
        kept = [one for one in own if one.run.id not in hide]
        scores: dict[int, dict[int, float]] = {}
        for one in kept or own:
            if one.score is not None:
                scores.setdefault(0 if one.untrained else one.examples, {})[one.seed] = one.score
        if scores:
            lines.append(Line(name, key, look(at, own[0].untrained), dict(sorted(scores.items())), bool(kept)))
    return lines


def _sizes_axis(axes: Any, sizes: Sequence[int]) -> None:
    """A logarithmic axis with the sizes as its numbers, those left out that would touch a larger one."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_xscale("log")
    if len(sizes) > 1:
        width = np.log(sizes[-1] / sizes[0])
        room = np.exp(0.07 * width)
    else:
        width, room = 1.0, 1.5
    axes.set_xlim(sizes[0] / room, sizes[-1] * room)
    shown: list[int] = []
    for size in reversed(sizes):
        if not shown or np.log(shown[-1] / size) >= NEAR * width:
            shown.append(size)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{round(value):,}")


def _draw(axes: Any, lines: Sequence[Line]) -> list[float]:
    """Draw all lines, a little beside each other so that bars do not cover each other; where each one ends."""
    low, high = axes.get_xlim()
    ends = []
    for at, line in enumerate(lines):
        beside = (high / low) ** (DODGE * (at / max(1, len(lines) - 1) - 0.5)) if len(lines) > 1 else 1.0
        sizes = list(line.scores)
        how: dict[str, Any] = {"color": line.look.colour, "visible": line.visible}
        at_sizes = [size * beside for size in sizes]
        means = [line.mean(size) for size in sizes]
        axes.plot(at_sizes, means, line.look.marker, linestyle=line.look.dashes, markersize=5.5, linewidth=1.4, **how)
        for place, size in zip(at_sizes, sizes, strict=True):
            values = line.scores[size]
            if len(values) > 1:
                axes.plot([place] * 2, [min(values), max(values)], linewidth=2.2, alpha=0.45, zorder=1.5, **how)
        ends.append(at_sizes[-1])
    axes.margins(y=0.06)
    axes.set_ylim(axes.get_ylim())
    return ends


def _draw_floors(axes: Any, floors: Sequence[Line]) -> str:
    """Scores without training, as dotted lines where they are within what is drawn; in words in any case."""
    low, high = axes.get_ylim()
    said = []
    for line in floors:
        if not line.visible:
            continue
        within = low <= line.mean(0) <= high
        if within:
            axes.axhline(line.mean(0), color=line.look.colour, linestyle=line.look.dashes, zorder=1)
        where = "dotted" if within else "below" if line.mean(0) < low else "above"
        said.append(texts.FLOOR[where].format(name=line.name, value=score(line.mean(0))))
    return "; ".join(said)


def _sentence(drawn: Sequence[Line], sizes: Sequence[int], name: str, most: int, runs: Sequence[Seen]) -> str:
    """Who is best with the most rows, or has only the highest mean there; and who with the fewest."""
    shown = [size for size in sizes if any(size in line.scores for line in drawn)]
    there = [End(line.name, line.key, line.by_seed[shown[-1]]) for line in drawn if shown[-1] in line.by_seed]
    top = highest(there, runs)
    few = max((line for line in drawn if shown[0] in line.by_seed), key=lambda line: line.mean(shown[0]))
    if top.equal:
        said = texts.SAME_WITH_ROWS
    elif len(shown) > 1:
        best = (texts.BEST_WITH_BOTH, texts.BEST_WITH_BOTH_OVER)
        said = (best if top.shown else (texts.HIGHEST_WITH_BOTH, texts.HIGHEST_WITH_BOTH_OVER))[most > 1]
    else:
        best = (texts.BEST_WITH_ROWS, texts.BEST_WITH_ROWS_OVER)
        said = (best if top.shown else (texts.HIGHEST_WITH_ROWS, texts.HIGHEST_WITH_ROWS_OVER))[most > 1]
    many = {"rows": f"{shown[-1]:,}", "best": top.name, "score": name, "value": score(top.mean), "seeds": most}
    said = said.format(**many, few=f"{shown[0]:,}", other=few.name, less=score(few.mean(shown[0])))
    return f"{said} {top.said}".strip()


def _floor(floors: Sequence[Line], name: str) -> str:
    shown = [line for line in floors if line.visible]
    return " ".join(texts.FLOOR_SAID.format(name=line.name.capitalize(), value=score(line.mean(0))) for line in shown)


def _table(drawn: Sequence[Line], sizes: Sequence[int], name: str) -> Table:
    rows = [
        [line.name, *(score(line.mean(size)) if size in line.scores else None for size in sizes)]
        if 0 not in line.scores
        else [line.name, *[score(line.mean(0))] * len(sizes)]
        for line in drawn
    ]
    return Table(texts.BY_ROWS.format(score=name), (texts.METHOD, *(f"{size:,}" for size in sizes)), rows)
