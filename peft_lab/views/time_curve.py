"""How much time each method needs: score over seconds of training, between time budgets or within runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.errors import BadOption, RunProblem
from peft_lab.present.curve import series
from peft_lab.present.style import INK, in_figure, new_figure, score, seconds, tidy, words
from peft_lab.present.table import Table
from peft_lab.texts import study_views as texts
from peft_lab.views._hiding import hiding, left_out
from peft_lab.views._studied import Look, Seen, data_of, look, names_of, other_data, seen, split_of, without_result
from peft_lab.views._told_apart import End, highest
from peft_lab.views.end_labels import end_labels
from pluggy_specs import Drawing, RunView, View

WIDE = 12
"""From this ratio of the longest to the shortest time on, the axis is logarithmic."""
BANDS = 4
"""With more lines, bands from the lowest to the highest seed would bury them."""


@dataclass(frozen=True)
class Line:
    """A method over time: mean, lowest and highest of its seeds at each of ``at`` seconds."""

    name: str
    key: str
    look: Look
    at: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ends: Mapping[int, float]
    """The last score of each seed that has one there."""
    seeds: int
    visible: bool


class TimeCurve(View):
    """A line for each method: the score after so many seconds of training, evaluation and loading not counted."""

    name = "time-curve"
    summary = "score over seconds of training: between time budgets, or the best so far within runs"
    many = True

    class Options(pluggy_specs.Options):
        """What is set against time."""

        of: Literal["auto", "budgets", "within"] = Field(
            "auto",
            description="budgets: the final score of runs with several time budgets; within: the best validation score "
            "so far in each run; auto: budgets where there are several",
        )
        examples: int = Field(0, ge=0, description="runs with so many training rows; 0: the most")
        hide: tuple[str, ...] = hiding()

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw all runs that have a result."""
        without = left_out(self.options.hide, runs)
        headline = runs[0].headline if runs else "accuracy"
        split = split_of(runs, headline)
        every = seen(runs, split, headline)
        members, size, others = self._of_size([one for one in every if not one.untrained])
        between = self._between(members)
        lines = _lines(members, self.options.hide, headline, between)
        drawn = [line for line in lines if line.visible]
        if not drawn:
            if between:
                raise RunProblem(f"no run has a {split} {headline} to draw over time", "See %peft runs")
            raise RunProblem("no run has an evaluation on validation to draw over time", "See %peft runs")
        name = (texts.SCORE_OF if between else texts.BEST_SO_FAR).format(split=split, metric=words(headline))
        figure = new_figure(8.2, max(4.3, 1.5 + 0.21 * len(drawn)))
        axes = tidy(
            figure.add_subplot(),
            in_figure(texts.TIME_TITLE.format(metric=words(headline).capitalize(), data=data_of(runs))),
            texts.TIME_AXIS,
            name,
        )
        _time_axis(axes, lines)
        for line in lines:
            _draw(axes, line, between, len(lines) <= BANDS)
        axes.margins(y=0.06)
        figure.supxlabel(in_figure(_note(lines, between)), x=0.01, ha="left", fontsize=8.5, color=INK)
        ends = [(line.at[-1], line.mean[-1]) for line in drawn]
        end_labels(axes, ends, [line.name for line in drawn], [line.look for line in drawn])
        said = [
            _sentence(drawn, name, [one for one in every if not one.untrained and one.run.id not in self.options.hide])
        ]
        said += [texts.OTHER_ROWS.format(rows=f"{size:,}", others=others)] if others else []
        said += [without]
        said += [without_result(members, names_of(every), _place)] if between else []
        said += [other_data(runs)]
        return Drawing(" ".join(filter(None, said)), figure, text=str(_table(drawn, name)))

    def _of_size(self, members: Sequence[Seen]) -> tuple[list[Seen], int, str]:
        """The runs of one size, that size, and what others there are."""
        sizes = sorted({one.examples for one in members})
        if not sizes:
            return [], 0, ""
        size = self.options.examples or sizes[-1]
        if size not in sizes:
            raise BadOption(f"no run has {size:,} training rows", f"There is: {', '.join(map(str, sizes))}", "examples")
        others = ", ".join(f"{other:,}" for other in sizes if other != size)
        return [one for one in members if one.examples == size], size, others

    def _between(self, members: Sequence[Seen]) -> bool:
        """Whether final scores of several budgets are drawn."""
        several = len({one.budget for one in members}) > 1
        if self.options.of == "budgets" and not several:
            raise BadOption("these runs have one time budget", "Draw --of within, or train with others", "of")
        return several if self.options.of == "auto" else self.options.of == "budgets"


def _place(one: Seen) -> str:
    return texts.WITHIN.format(budget=seconds(one.budget)) if one.budget is not None else texts.WITHOUT_BUDGET


def _lines(members: Sequence[Seen], hide: Sequence[str], headline: str, between: bool) -> list[Line]:
    lines = []
    for at, (key, name) in enumerate(names_of(members).items()):
        own = [one for one in members if one.key == key]
        kept = [one for one in own if one.run.id not in hide]
        made = (_over_budgets if between else _within_runs)(kept or own, headline)
        if made is not None:
            times, values, seeds = made
            mean, low, high = values.mean(axis=0), values.min(axis=0), values.max(axis=0)
            if between:
                mean, low, high = (
                    np.array([f(one[np.isfinite(one)]) for one in values.T]) for f in (np.mean, np.min, np.max)
                )
            ends = {seed: float(value) for seed, value in zip(seeds, values[:, -1], strict=True) if np.isfinite(value)}
            lines.append(Line(name, key, look(at), times, mean, low, high, ends, len(seeds), bool(kept)))
    return lines


def _over_budgets(own: Sequence[Seen], headline: str) -> tuple[np.ndarray, np.ndarray, list[int]] | None:
    """Mean seconds that runs of each budget really took, their scores, [seed, budget], and the seeds."""
    scored = [one for one in own if one.score is not None and one.run.cost.get("seconds")]
    if not scored:
        return None
    budgets = sorted({one.budget for one in scored}, key=lambda b: float("inf") if b is None else b)
    seeds = sorted({one.seed for one in scored})
    values = np.full((len(seeds), len(budgets)), np.nan)
    for one in scored:
        values[seeds.index(one.seed), budgets.index(one.budget)] = one.score
    times = [float(np.mean([o.run.cost["seconds"] for o in scored if o.budget == budget])) for budget in budgets]
    order = np.argsort(times, kind="stable")
    return np.array(times)[order], values[:, order], seeds


def _within_runs(own: Sequence[Seen], headline: str) -> tuple[np.ndarray, np.ndarray, list[int]] | None:
    """Times of evaluations of any seed from the first that all have, the best score so far, [seed, time], and seeds.

    Of several budgets the longest stands for the others, which are its beginnings.
    """
    found, seeds = [], []
    by_seed: dict[int, Seen] = {}
    for one in own:
        rival = by_seed.get(one.seed)
        if rival is None or (one.budget or np.inf) > (rival.budget or np.inf):
            by_seed[one.seed] = one
    for seed, one in by_seed.items():
        times, values = series(one.run.history.to_dict("records"), "validation", headline, "seconds")
        if len(times):
            found.append((times, np.maximum.accumulate(values)))
            seeds.append(seed)
    if not found:
        return None
    start = max(times[0] for times, _ in found)
    grid = np.unique(np.concatenate([[start], *[times[times >= start] for times, _ in found]]))
    reached = [values[np.searchsorted(times, grid, side="right") - 1] for times, values in found]
    return grid, np.array(reached), seeds


def _time_axis(axes: Any, lines: Sequence[Line]) -> None:
    first, last = min(line.at[0] for line in lines), max(line.at[-1] for line in lines)
    if last > WIDE * first > 0:
        from matplotlib.ticker import LogLocator, NullLocator

        axes.set_xscale("log")
        room = (last / first) ** 0.05
        axes.set_xlim(first / room, last * room)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(0, last * 1.04)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.4g}")


def _draw(axes: Any, line: Line, between: bool, bands: bool) -> None:
    colour, shown = line.look.colour, line.visible
    how: dict[str, Any] = {"color": colour, "linestyle": line.look.dashes, "visible": shown, "linewidth": 1.7}
    if between:
        axes.plot(line.at, line.mean, marker=line.look.marker, markersize=6, **how)
        if line.seeds > 1:
            axes.vlines(line.at, line.low, line.high, color=colour, linewidth=2.4, alpha=0.45, visible=shown)
        return
    axes.step(line.at, line.mean, where="post", **how)
    marks = np.unique(np.linspace(0, len(line.at) - 1, 6).astype(int))
    axes.plot(line.at[marks], line.mean[marks], line.look.marker, color=colour, markersize=6, visible=shown)
    if line.seeds > 1 and bands:
        axes.fill_between(
            line.at, line.low, line.high, step="post", color=colour, alpha=0.13, linewidth=0, visible=shown
        )


def _note(lines: Sequence[Line], between: bool) -> str:
    most = max(line.seeds for line in lines)
    if most == 1:
        return texts.ONE_SEED
    if between:
        return texts.MEAN_AND_BAR.format(seeds=most)
    return (texts.MEAN_AND_BAND if len(lines) <= BANDS else texts.MEAN_OVER).format(seeds=most)


def _sentence(drawn: Sequence[Line], name: str, runs: Sequence[Seen]) -> str:
    """Who is ahead early, and who at the end: best, or with no more than the highest mean."""
    early = max(line.at[0] for line in drawn)
    top = highest([End(line.name, line.key, line.ends) for line in drawn], runs)
    last = next(line for line in drawn if line.name == top.name)
    end = {"best": last.name, "score": name, "value": score(last.mean[-1]), "time": seconds(last.at[-1])}

    def then(line: Line) -> float:
        return float(line.mean[max(0, np.searchsorted(line.at, early * (1 + 1e-9), side="right") - 1)])

    first = max(drawn, key=then)
    if len(drawn) > 1 and min(line.at[-1] for line in drawn) > early:
        best = (texts.AHEAD_EARLY, texts.LEADS_EARLY)
        said = (best if top.shown else (texts.HIGHEST_NOT_EARLY, texts.HIGHEST_EARLY))[first is last]
        end |= {"early": seconds(early), "first": first.name, "less": score(then(first))}
    else:
        said = texts.BEST_IN_THE_END if top.shown else texts.HIGHEST_IN_THE_END
    return f"{(texts.SAME_IN_THE_END if top.equal else said).format(**end)} {top.said}".strip()


def _table(drawn: Sequence[Line], name: str) -> Table:
    rows = [
        [line.name, seconds(line.at[at]), score(float(line.mean[at]))]
        for line in drawn
        for at in np.unique(np.linspace(0, len(line.at) - 1, min(5, len(line.at))).astype(int))
    ]
    return Table(texts.MEAN_SCORE.format(score=name), (texts.METHOD, texts.AFTER, texts.SCORE), rows)
