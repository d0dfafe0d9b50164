"""Quality against what it cost: the picture that chooses a method."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.errors import RunProblem
from peft_lab.present.style import INK, LINES, PALETTE, bytes_, new_figure, score, seconds, share, shorten, tidy, words
from peft_lab.texts import cards
from peft_lab.texts import views as texts
from peft_lab.views._hiding import hiding, left_out
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
MARKERS = "osD^v"


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
        hide: tuple[str, ...] = hiding()

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw all runs that have a result."""
        without = left_out(self.options.hide, runs)
        headline = runs[0].headline if runs else "accuracy"
        split = "test" if any(headline in run.metrics.get("test", {}) for run in runs) else "validation"
        axis, cost = AXES[self.options.against], texts.COSTS[self.options.against]
        scored = {"split": cards.SPLITS[split], "metric": words(headline)}
        every, unfinished = _groups(runs, split, headline, axis.read)
        groups = [seen for group in every if (seen := group.without(self.options.hide))]
        if not groups:
            raise RunProblem(f"no run has a {split} {headline} and a {cost} to compare", "See %peft runs")
        front, data = _front(groups), texts.DATA_AND.join(sorted({shorten(run.recipe.data.source, 24) for run in runs}))
        figure = new_figure(7.6, 4.4)
        axes = tidy(
            figure.add_subplot(),
            texts.COMPARISON_TITLE.format(metric=words(headline).capitalize(), cost=cost, data=data),
            cost,
            texts.COMPARISON_METRIC.format(**scored),
        )
        if self.options.against == "trainable":
            axes.set_xscale("log")
        axes.xaxis.set_major_formatter(
            lambda value, _: re.sub(r"\.?0+ ", " ", t) if "." in (t := axis.show(value)) else t
        )
        line = axes.plot([g.cost for g in front], [g.quality for g in front], color=PALETTE["grey"], zorder=1)
        line[0].set_label(texts.FRONT)
        if any(len(g.costs) > 1 for g in groups):
            axes.plot([], [], "|", color=PALETTE["grey"], markersize=12, label=texts.SEVERAL_SEEDS)
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
        colours = {group.name: LINES[at % len(LINES)] for at, group in enumerate(every)}
        markers = {group.name: MARKERS[at // len(LINES) % len(MARKERS)] for at, group in enumerate(every)}
        for group in every:  # unseen, so that the axes hold all
            axes.plot(group.costs, group.qualities, "o", markersize=9, visible=False)
            axes.plot(group.cost, group.quality, "o", markersize=9, visible=False)
        for group in groups:
            _point(axes, group, colours[group.name], markers[group.name])
        axes.margins(0.14, 0.16)
        place_labels(axes, [(g.cost, g.quality) for g in groups], [g.name for g in groups])
        best = max(groups, key=lambda g: g.quality)
        least = min(front, key=lambda g: g.cost)
        said = [texts.IS_BEST.format(recipe=best.name, **scored, value=score(best.quality), spent=self._spent(best))]
        if least is not best:
            costs_least = {"recipe": least.name, "value": score(least.quality), "spent": self._spent(least)}
            said.append(texts.COSTS_LEAST.format(**costs_least))
        said.append(texts.ON_THE_FRONT.format(recipes=", ".join(g.name for g in front)))
        said += [without] if without else []
        if unfinished := [name for name in unfinished if name not in self.options.hide]:
            said.append(texts.WITHOUT_RESULT.format(runs=", ".join(unfinished)))
        if len({run.recipe.data.source for run in runs}) > 1:
            said.append(texts.OTHER_DATA.format(data=data))
        return Drawing(" ".join(said), figure)

    def _spent(self, group: _Group) -> str:
        against = self.options.against
        return texts.SPENT[against].format(cost=AXES[against].show(group.cost))


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


def _groups(runs: Sequence[RunView], split: str, headline: str, cost: Any) -> tuple[list[_Group], list[str]]:
    """Runs gathered by recipe without the seed, and the ids of those without a result."""
    found: dict[str, list[tuple[RunView, float, float]]] = {}
    left_out = []
    for run in runs:
        quality = run.metrics.get(split, {}).get(headline)
        try:
            spent = float(cost(run.cost))
        except (KeyError, TypeError, ZeroDivisionError):
            spent = 0.0
        if quality is None or not spent > 0:
            left_out.append(run.id)
            continue
        key = json.dumps(run.recipe.model_dump(mode="json", exclude={"seed"}), sort_keys=True)
        found.setdefault(key, []).append((run, spent, float(quality)))
    names = _names({key: [run for run, *_ in members] for key, members in found.items()})
    groups = []
    for key, members in found.items():
        ids, costs, qualities = zip(*((run.id, spent, quality) for run, spent, quality in members), strict=True)
        groups.append(_Group(names[key], ids, costs, qualities))
    return groups, left_out


def _names(members: Mapping[str, list[RunView]]) -> dict[str, str]:
    """The method, what sets it apart from others of the same method, and how many seeds stand behind it."""
    settings = {key: _flat(json.loads(key)) for key in members}
    method = {key: runs[0].recipe.method for key, runs in members.items()}
    names = {}
    for key, runs in members.items():
        rivals = [settings[other] for other in members if method[other] == method[key]]
        apart = [n for n, value in settings[key].items() if any(rival.get(n) != value for rival in rivals)]
        parts = [
            shorten(method[key], 30),
            *(texts.SETTING.format(name=_setting(n), value=shorten(settings[key][n], 14)) for n in apart[:2]),
        ]
        names[key] = ", ".join(parts)
        if len(runs) > 1:
            names[key] = texts.SEEDS.format(recipe=names[key], count=len(runs))
    repeated = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {
        key: texts.RECIPE_OF_RUN.format(recipe=name, run=members[key][0].id) if name in repeated else name
        for key, name in names.items()
    }


def _setting(path: str) -> str:
    return path.rpartition(".")[2].replace("_", " ")


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested settings as ``{"methods.0.options.rank": 8}``."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        return {path: value}
    return {k: v for name, part in inner for k, v in _flat(part, f"{path}.{name}".lstrip(".")).items()}


def _front(groups: Sequence[_Group]) -> list[_Group]:
    """Groups that no cheaper one equals, cheapest first."""
    front: list[_Group] = []
    for group in sorted(groups, key=lambda g: (g.cost, -g.quality)):
        if not front or group.quality > front[-1].quality:
            front.append(group)
    return front


def _point(axes: Any, group: _Group, colour: str, marker: str) -> None:
    low, high = min(group.qualities), max(group.qualities)
    if len(group.qualities) > 1:
        axes.plot([group.cost] * 2, [low, high], color=colour, linewidth=2.5, alpha=0.5, zorder=2)
        axes.plot([group.cost] * len(group.qualities), group.qualities, "_", color=colour, markersize=9, zorder=2)
    axes.plot(group.cost, group.quality, marker, color=colour, markersize=9, zorder=3)
