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
from peft_lab.present.style import INK, PALETTE, bytes_, new_figure, score, seconds, share, shorten, tidy, words
from peft_lab.views._hiding import hiding, left_out
from peft_lab.views._studied import Seen, longest, look, names_of, said_budget, seen, split_of
from peft_lab.views.end_labels import end_labels
from peft_lab.views.labels import place_labels
from pluggy_specs import Drawing, RunView, View


class _Axis(NamedTuple):
    title: str
    phrase: str
    show: Callable[[float | None], str]
    read: Callable[[Mapping[str, Any]], float]


AXES = {
    "trainable": _Axis(
        "share of parameters that trains", "training {} of all parameters", share, lambda c: c["trainable"] / c["total"]
    ),
    "seconds": _Axis("training time", "in {}", seconds, lambda c: c["seconds"]),
    "memory": _Axis("peak memory", "with {} of memory", bytes_, lambda c: c["peak_memory"]),
}
MOST_LABELS, MOST_NAMED = 12, 6
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
        axis = AXES[self.options.against]
        trained = [one for one in seen(runs, split, headline) if not one.untrained]
        members, narrowed = _fitting(trained, self.options.budget, self.options.examples)
        every, lacking = _groups(members, axis.read)
        groups = [left for group in every if (left := group.without(self.options.hide))]
        if not groups:
            raise RunProblem(f"no run has a {split} {headline} and a {axis.title} to compare", "See %peft runs")
        front, data = _front(groups), " and ".join(sorted({shorten(run.recipe.data.source, 24) for run in runs}))
        figure = new_figure(7.6, 4.4)
        axes = tidy(
            figure.add_subplot(),
            f"{words(headline).capitalize()} against {axis.title} · {data}",
            axis.title,
            f"{split} {words(headline)}",
        )
        if self.options.against == "trainable":
            axes.set_xscale("log")
        axes.xaxis.set_major_formatter(
            lambda value, _: re.sub(r"\.?0+ ", " ", t) if "." in (t := axis.show(value)) else t
        )
        line = axes.plot([g.cost for g in front], [g.quality for g in front], color=PALETTE["grey"], zorder=1)
        line[0].set_label("front: nothing cheaper is as good")
        same = len(every[0].ids) if len({len(group.ids) for group in every}) == 1 else 0
        if any(len(g.costs) > 1 for g in groups):
            seeds = f"{same} seeds each" if same else "several seeds"
            axes.plot([], [], "|", color=PALETTE["grey"], markersize=12, label=f"{seeds}: lowest, mean, highest")
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
        best = max(groups, key=lambda g: g.quality)
        least = min(front, key=lambda g: g.cost)
        over = f" over {same} seeds" if same > 1 else ""
        alt = f"{best.name} is best: {split} {words(headline)} {score(best.quality)}{over}, {_spent(axis, best)}."
        if least is not best:
            alt += f" {least.name} costs least: {score(least.quality)}, {_spent(axis, least)}."
        alt += f" On the front: {', '.join(g.name for g in front)}."
        alt += f" {without}".rstrip()
        if narrowed:
            alt += f" {narrowed}"
        if unfinished := [one.run.id for one in lacking if one.run.id not in self.options.hide]:
            more = f" and {len(unfinished) - MOST_NAMED} others" if len(unfinished) > MOST_NAMED else ""
            alt += f" Without a result: {', '.join(unfinished[:MOST_NAMED])}{more}."
        if len({run.recipe.data.source for run in runs}) > 1:
            alt += f" These are different data ({data}), so the scores do not compare."
        return Drawing(alt, figure)


@dataclass(frozen=True)
class _Group:
    """Runs that differ in their seed only."""

    name: str
    ids: tuple[str, ...]
    costs: tuple[float, ...]
    qualities: tuple[float, ...]

    def without(self, ids: Sequence[str]) -> _Group | None:
        """The group without some of its runs; None where none is left."""
        kept = [at for at, one in enumerate(self.ids) if one not in ids]
        if not kept:
            return None
        names, costs = tuple(self.ids[at] for at in kept), tuple(self.costs[at] for at in kept)
        return _Group(self.name, names, costs, tuple(self.qualities[at] for at in kept))

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
        groups.append(_Group(names[group], ids, costs, qualities))
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
        parts += [f"{examples:,} rows"] if len({size for size, _ in places}) > 1 else []
        parts += [said_budget(budget)] if len({limit for _, limit in places}) > 1 else []
        seeds = f" ({len(own)} seeds)" if len(own) > 1 and len(counts) > 1 else ""
        names[key, (examples, budget)] = ", ".join(parts) + seeds
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
        kept = _chosen(kept, lambda one: one.examples == examples, "examples", f"{examples:,} training rows")
    if budget:
        kept = _chosen(kept, lambda one: one.budget == budget, "budget", f"a budget of {budget:g} s")
    said = []
    if not examples and _too_many(kept):
        most = max(one.examples for one in kept)
        kept = [one for one in kept if one.examples == most]
        said.append(f"{most:,} training rows (--examples shows others)")
    if not budget and _too_many(kept):
        longer = longest(one.budget for one in kept)
        kept = [one for one in kept if one.budget == longer]
        said.append(f"{said_budget(longer)} (--budget shows others)")
    return kept, f"Shown are runs with {' and '.join(said)}." if said else ""


def _too_many(members: Sequence[Seen]) -> bool:
    return len({(one.key, one.place) for one in members if one.score is not None}) > MOST_LABELS


def _chosen(members: Sequence[Seen], wanted: Callable[[Seen], bool], option: str, said: str) -> list[Seen]:
    kept = [one for one in members if wanted(one)]
    if not kept:
        raise BadOption(f"no run has {said}", "Look at %peft runs", option)
    return kept


def _front(groups: Sequence[_Group]) -> list[_Group]:
    """Groups that no cheaper one equals, cheapest first."""
    front: list[_Group] = []
    for group in sorted(groups, key=lambda g: (g.cost, -g.quality)):
        if not front or group.quality > front[-1].quality:
            front.append(group)
    return front


def _spent(axis: _Axis, group: _Group) -> str:
    return axis.phrase.format(axis.show(group.cost))


def _point(axes: Any, group: _Group, colour: str, marker: str) -> None:
    low, high = min(group.qualities), max(group.qualities)
    if len(group.qualities) > 1:
        axes.plot([group.cost] * 2, [low, high], color=colour, linewidth=2.5, alpha=0.5, zorder=2)
        axes.plot([group.cost] * len(group.qualities), group.qualities, "_", color=colour, markersize=9, zorder=2)
    axes.plot(group.cost, group.quality, marker, color=colour, markersize=9, zorder=3)
