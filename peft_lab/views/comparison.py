"""Quality against what it cost: the picture that chooses a method."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.errors import BadOption, RunProblem
from peft_lab.present.style import INK, PALETTE, bytes_, new_figure, score, seconds, share, tidy, words
from peft_lab.texts import study_views
from peft_lab.texts import views as texts
from peft_lab.views._hiding import hiding, left_out
from peft_lab.views._studied import Seen, data_of, longest, look, names_of, other_data, said_budget, seen, split_of
from peft_lab.views._told_apart import End, highest
from peft_lab.views.end_labels import end_labels
from peft_lab.views.labels import place_labels
from pluggy_specs import Drawing, RunView, View


class _Axis(NamedTuple):
    show: Callable[[float | None], str]
    read: Callable[[Mapping[str, Any]], float]


AXES = {
    "trainable": _Axis(share, lambda c: c["trainable"] / c["total"]),
    "seconds": _Axis(seconds, lambda c: c["seconds"]),
    "memory": _Axis(bytes_, lambda c: c["peak_memory"]),
}
MOST_LABELS, MOST_NAMED = 12, 6
DECADE, NARROWEST = 10, 4
"""Factors between the ends of an axis: from here on powers of ten are enough to read it by; it is never less than."""
MOST_BESIDE = 8
"""Points with their names beside them; of more, names stand at the right with their markers, the best on top."""


class Comparison(View):
    """One point a recipe, its seeds spread around it, and the front that no other recipe beats."""

    name = "comparison"
    summary = "quality against trainable share, time or memory, with the Pareto front"
    many = True

    class Options(pluggy_specs.Options):
        """What quality is set against."""

        against: Literal["trainable", "seconds", "memory"] = Field(
            "trainable", description="the cost on the horizontal axis"
        )
        examples: int = Field(
            0, ge=0, description="only runs with so many training rows; 0: as many as can be labelled"
        )
        budget: float = Field(
            0, ge=0, description="only runs with this time budget in seconds; 0: as many as can be labelled"
        )
        hide: tuple[str, ...] = hiding()

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw all runs that have a result."""
        without = left_out(self.options.hide, runs)
        headline = runs[0].headline if runs else "accuracy"
        split = split_of(runs, headline)
        against = self.options.against
        axis, cost = AXES[against], texts.COSTS[against]
        trained = [one for one in seen(runs, split, headline) if not one.untrained]
        members, narrowed = _fitting(trained, self.options.budget, self.options.examples)
        every, lacking = _groups(members, axis.read)
        groups = [left for group in every if (left := group.without(self.options.hide))]
        if not groups:
            raise RunProblem(f"no run has a {split} {headline} and a {cost} to compare", "See %peft runs")
        front, name = _front(groups), study_views.SCORE_OF.format(split=split, metric=words(headline))
        figure = new_figure(7.6, 4.4)
        axes = tidy(
            figure.add_subplot(),
            texts.COMPARISON_TITLE.format(metric=words(headline).capitalize(), cost=cost, data=data_of(runs)),
            cost,
            name,
        )

        def shown(value: float, _: object) -> str:
            return re.sub(r"\.?0+ ", " ", t) if "." in (t := axis.show(value)) else t

        if against == "trainable":
            _by_factors(axes, [cost for group in every for cost in group.costs])
        axes.xaxis.set_major_formatter(shown)
        line = axes.plot([g.cost for g in front], [g.quality for g in front], color=PALETTE["grey"], zorder=1)
        line[0].set_label(texts.COMPARISON_FRONT)
        same = len(every[0].ids) if len({len(group.ids) for group in every}) == 1 else 0
        if any(len(g.costs) > 1 for g in groups):
            seeds = texts.SEEDS_EACH.format(count=same) if same else texts.SEVERAL_SEEDS
            axes.plot([], [], "|", color=PALETTE["grey"], markersize=12, label=seeds)
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
        looks = {group.name: look(at) for at, group in enumerate(every)}
        for group in every:  # unseen, so that the axes hold all
            axes.plot(group.costs, group.qualities, "o", markersize=9, visible=False)
            axes.plot(group.cost, group.quality, "o", markersize=9, visible=False)
        for group in groups:
            _point(axes, group, looks[group.name].colour, looks[group.name].marker)
        axes.margins(0.14, 0.16)
        points = [(g.cost, g.quality) for g in groups]
        bars = [(g.cost, min(g.qualities), max(g.qualities)) for g in groups if len(g.costs) > 1]
        if len(groups) > MOST_BESIDE:
            end_labels(axes, points, [g.name for g in groups], [looks[g.name] for g in groups], leaders=False)
        else:
            place_labels(axes, points, [g.name for g in groups], bars=bars)
        kept = [one for one in trained if one.run.id not in self.options.hide]
        top = highest([End(g.name, g.key, dict(zip(g.seeds, g.qualities, strict=True))) for g in groups], kept)
        best = next(g for g in groups if g.name == top.name)
        least = min(front, key=lambda g: g.cost)
        one, over = (texts.IS_BEST, texts.IS_BEST_OVER) if top.shown else (texts.IS_HIGHEST, texts.IS_HIGHEST_OVER)
        first = texts.ALL_THE_SAME if top.equal else (over if same > 1 else one)[against]
        said = [first, texts.COSTS_LEAST[against]]
        about = [
            {"recipe": g.name, "score": name, "value": score(g.quality), "count": same, "cost": axis.show(g.cost)}
            for g in (best, least)
        ]
        alt = [one.format(**facts) for one, facts in zip(said, about, strict=True)][
            : 1 if least is best and not top.equal else 2
        ]
        alt.insert(1, top.said)
        alt += [texts.ON_THE_FRONT.format(recipes=", ".join(g.name for g in front)), without, narrowed]
        alt += [_unfinished([one.run.id for one in lacking if one.run.id not in self.options.hide]), other_data(runs)]
        return Drawing(" ".join(filter(None, alt)), figure)


def _by_factors(axes: Any, costs: Sequence[float]) -> None:
    """A logarithmic axis on which some value is always named, and no two names touch."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    least, most = min(costs), max(costs)
    if most >= DECADE * least:  # a power of ten is in sight
        axes.xaxis.set_minor_formatter("")
        return
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    if most * most < NARROWEST * least * least:
        middle, half = (least * most) ** 0.5, NARROWEST**0.5
        axes.set_xlim(middle / half, middle * half)


@dataclass(frozen=True)
class _Group:
    """Runs that differ in their seed only."""

    name: str
    key: str
    seeds: tuple[int, ...]
    ids: tuple[str, ...]
    costs: tuple[float, ...]
    qualities: tuple[float, ...]

    def without(self, ids: Sequence[str]) -> _Group | None:
        """The group without some of its runs; None where none is left."""
        kept = [at for at, one in enumerate(self.ids) if one not in ids]
        if not kept:
            return None
        names, costs = tuple(self.ids[at] for at in kept), tuple(self.costs[at] for at in kept)
        seeds, qualities = tuple(self.seeds[at] for at in kept), tuple(self.qualities[at] for at in kept)
        return _Group(self.name, self.key, seeds, names, costs, qualities)

    @property
    def cost(self) -> float:
        return float(np.mean(self.costs))

    @property
    def quality(self) -> float:
        return float(np.mean(self.qualities))


def _groups(members: Sequence[Seen], cost: Callable[[Mapping[str, Any]], float]) -> tuple[list[_Group], list[Seen]]:
    """Runs gathered by recipe without the seed, rows and time being part of it, and those without a result."""
    found: dict[tuple[str, tuple[int, float | None]], list[tuple[Seen, float, float]]] = {}
    lacking = []
    for one in members:
        try:
            spent = float(cost(one.run.cost))
        except (KeyError, TypeError, ZeroDivisionError):
            spent = 0.0
        if one.score is None or not spent > 0:
            lacking.append(one)
            continue
        found.setdefault((one.key, one.place), []).append((one, spent, one.score))
    names = _names({group: [one for one, *_ in own] for group, own in found.items()})
    groups = []
    for group, own in found.items():
        ids, costs, qualities = zip(*((one.run.id, spent, value) for one, spent, value in own), strict=True)
        seeds = tuple(one.seed for one, *_ in own)
        groups.append(_Group(names[group], group[0], seeds, ids, costs, qualities))
    return groups, lacking


def _names(members: Mapping[tuple[str, tuple[int, float | None]], list[Seen]]) -> dict[Any, str]:
    """The method, what sets it apart from others of the same method, and its seeds where these are not as many."""
    every = [one for own in members.values() for one in own]
    methods = names_of(every)
    counts = {len(own) for own in members.values()}
    names = {}
    for (key, (examples, budget)), own in members.items():
        places = {place for other, place in members if methods[other] == methods[key]}
        parts = [methods[key]]
        parts += [texts.OF_ROWS.format(rows=f"{examples:,}")] if len({size for size, _ in places}) > 1 else []
        parts += [said_budget(budget)] if len({limit for _, limit in places}) > 1 else []
        name = ", ".join(parts)
        several = len(own) > 1 and len(counts) > 1
        names[key, (examples, budget)] = texts.OF_SEEDS.format(recipe=name, count=len(own)) if several else name
    return names


def _fitting(members: Sequence[Seen], budget: float, examples: int) -> tuple[list[Seen], str]:
    """As many as can be told apart: where there are too many, those with most rows and time; and what that leaves out.

    Args:
        members: all that could be drawn.
        budget: seconds that were asked for; 0: none was.
        examples: rows that were asked for; 0: none were.
    """
    kept = list(members)
    if examples:
        none = BadOption(f"no run has {examples:,} training rows", "Look at %peft runs", "examples")
        kept = _chosen(kept, lambda one: one.examples == examples, none)
    if budget:
        none = BadOption(f"no run has a budget of {budget:g} s", "Look at %peft runs", "budget")
        kept = _chosen(kept, lambda one: one.budget == budget, none)
    rows = time = ""
    if not examples and _too_many(kept):
        most = max(one.examples for one in kept)
        kept = [one for one in kept if one.examples == most]
        rows = f"{most:,}"
    if not budget and _too_many(kept):
        longer = longest(one.budget for one in kept)
        kept = [one for one in kept if one.budget == longer]
        time = said_budget(longer)
    said = texts.SHOWN_WITH_ROWS_WITHIN if rows and time else texts.SHOWN_WITH_ROWS if rows else texts.SHOWN_WITHIN
    return kept, said.format(rows=rows, budget=time) if rows or time else ""


def _too_many(members: Sequence[Seen]) -> bool:
    return len({(one.key, one.place) for one in members if one.score is not None}) > MOST_LABELS


def _chosen(members: Sequence[Seen], wanted: Callable[[Seen], bool], none: BadOption) -> list[Seen]:
    kept = [one for one in members if wanted(one)]
    if not kept:
        raise none
    return kept


def _front(groups: Sequence[_Group]) -> list[_Group]:
    """Groups that no cheaper one equals, cheapest first."""
    front: list[_Group] = []
    for group in sorted(groups, key=lambda g: (g.cost, -g.quality)):
        if not front or group.quality > front[-1].quality:
            front.append(group)
    return front


def _unfinished(runs: Sequence[str]) -> str:
    """A sentence about runs that have no result; empty where there are none."""
    named = ", ".join(runs[:MOST_NAMED])
    if len(runs) > MOST_NAMED:
        return texts.WITHOUT_RESULT_MORE.format(len(runs) - MOST_NAMED, runs=named)
    return study_views.WITHOUT_RESULT.format(runs=named) if runs else ""


def _point(axes: Any, group: _Group, colour: str, marker: str) -> None:
    low, high = min(group.qualities), max(group.qualities)
    if len(group.qualities) > 1:
        axes.plot([group.cost] * 2, [low, high], color=colour, linewidth=2.5, alpha=0.5, zorder=2)
        axes.plot([group.cost] * len(group.qualities), group.qualities, "_", color=colour, markersize=9, zorder=2)
    axes.plot(group.cost, group.quality, marker, color=colour, markersize=9, zorder=3)
