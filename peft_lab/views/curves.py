"""How loss and metric went during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

import pluggy_specs
from peft_lab.errors import BadOption, RunProblem, nearest
from peft_lab.present.curve import LOSS, quantities, series, smoothed
from peft_lab.present.style import INK, LINES, in_figure, new_figure, score, seconds, shorten, tidy, words
from peft_lab.texts import cards
from peft_lab.texts import views as texts
from peft_lab.views._hiding import hiding, left_out
from pluggy_specs import Drawing, RunView, View

DASHES = ("-", "--", ":", "-.")
FEW = 4  # with more runs, raw losses and rings would bury the lines
OVER = 0.02
OFF = 0.4
"""What is left of the name of a run that is left out. Its line is gone; the axes and the other colours stay."""


@dataclass(frozen=True)
class _Line:
    """A run in the picture."""

    name: str
    points: Sequence[Mapping[str, Any]]
    look: Mapping[str, Any]
    """Its colour, its kind of line, and whether it is to be seen."""

    @property
    def shown(self) -> bool:
        return bool(self.look["visible"])


class Curves(View):
    """Training loss and the validation metric of one run or many."""

    name = "curves"
    summary = "training loss and validation metric over the steps, the best state marked"
    many = True

    class Options(pluggy_specs.Options):
        """What is drawn, and along what."""

        along: Literal["step", "seconds", "epoch"] = Field("step", description="what the horizontal axis counts")
        metrics: tuple[str, ...] = Field(
            (), description="what is drawn, such as train.loss or validation.accuracy; none: loss and the main score"
        )
        hide: tuple[str, ...] = hiding()

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw the runs into the same axes, one pair of axes for each quantity."""
        without = left_out(self.options.hide, runs)
        lines = self._lines(runs)
        metrics = self._metrics(lines, runs[0].headline)
        rows, columns = (len(metrics) + 1) // 2, min(2, len(metrics))
        figure = new_figure(9.6 if columns > 1 else 7.2, (3.4 if len(runs) < 6 else 3.8) * rows)
        grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
        said: list[list[str]] = [[] for _ in lines]
        for axes, metric in zip(grid.flat, metrics, strict=False):
            tidy(axes, _title(metric), texts.ALONG[self.options.along]).tick_params(labelbottom=True)
            for line, sentences in zip(lines, said, strict=True):
                values = series(line.points, *_parts(metric), self.options.along)
                _draw(axes, line, values, metric, few=len(lines) <= FEW)
                sentences += [told] if line.shown and (told := self._told(values, metric, len(lines) <= FEW)) else []
            if not metric.startswith("train."):
                _within_a_share(axes)
        for axes in grid.flat[len(metrics) :]:
            axes.set_visible(False)
        if not any(series(line.points, *_parts(metric))[0].size for line in lines for metric in metrics):
            raise RunProblem("there is nothing to draw: no run has logged a step", "See %peft runs")
        _legend(figure, lines, metrics[-1], state=not self.options.metrics)
        # The score is what people look for first, and stands at the right.
        alt = [
            texts.CURVE_OF.format(run=line.name, curves=", ".join(reversed(s)))
            for line, s in zip(lines, said, strict=True)
            if s
        ]
        return Drawing(" ".join([*alt, without]).rstrip(), figure)

    def _lines(self, runs: Sequence[RunView]) -> list[_Line]:
        return [
            _Line(
                texts.RUN_AND_METHOD.format(run=run.id, method=shorten(run.recipe.method, 24)),
                run.history.to_dict("records"),
                {
                    "color": LINES[at % len(LINES)],
                    "linestyle": DASHES[at // len(LINES) % len(DASHES)],
                    "linewidth": 1.9,
                    "visible": run.id not in self.options.hide,
                },
            )
            for at, run in enumerate(runs)
        ]

    def _metrics(self, lines: Sequence[_Line], headline: str) -> list[str]:
        """What is drawn, in its order."""
        if not self.options.metrics:
            return [LOSS, f"validation.{headline}"]
        known = quantities(point for line in lines for point in line.points)
        for name in self.options.metrics:
            if name not in known:
                raise BadOption(f"no run has logged {name!r}", nearest(name, known), "metrics")
        return list(dict.fromkeys(self.options.metrics))

    def _told(self, values: Any, metric: str, few: bool) -> str:
        """The main number of a line."""
        if not values[1].size:
            return ""
        split, name = _parts(metric)
        if split == "train":
            said = texts.LOSS_WENT if metric == LOSS else texts.OTHER_LOSS_WENT
            first, last = score(values[1][0]), score(smoothed(values[1])[-1])
            return said.format(metric=words(name), first=first, last=last) if few else ""
        best = _best(values[1], name)
        at = float(values[0][best])
        where = {"step": f"{at:.0f}", "seconds": seconds(at), "epoch": f"{at:.3g}"}[self.options.along]
        said = texts.BEST[self.options.along]
        return said.format(split=_split(split), metric=words(name), value=score(values[1][best]), at=where)


def _parts(metric: str) -> tuple[str, str]:
    split, _, name = metric.partition(".")
    return split, name


def _title(metric: str) -> str:
    split, name = _parts(metric)
    title = texts.CURVE_TITLES.get(split, texts.CURVE_TITLE)
    return in_figure(title.format(split=split.capitalize(), metric=words(name)))


def _split(name: str) -> str:
    return cards.SPLITS.get(name, name)


def _best(values: Any, name: str) -> int:
    """The place of the best value: of a loss the lowest, of a score the highest."""
    return int(values.argmin() if "loss" in name else values.argmax())


def _draw(axes: Any, line: _Line, values: Any, metric: str, few: bool) -> None:
    """A line that is not to be seen is drawn as well, so that the axes stay."""
    split, name = _parts(metric)
    if split == "train":
        if not values[0].size:
            return
        if few:
            axes.plot(*values, color=line.look["color"], visible=line.shown, alpha=0.22, linewidth=0.8)
        axes.plot(values[0], smoothed(values[1]), **line.look)
        return
    axes.plot(*values, **line.look, marker="o", markersize=4)
    if values[1].size and few:
        at = _best(values[1], name)
        ring: dict[str, Any] = {
            "markersize": 10,
            "markerfacecolor": "none",
            "markeredgecolor": INK,
            "visible": line.shown,
        }
        axes.plot(values[0][at], values[1][at], "o", **ring)


def _within_a_share(axes: Any) -> None:
    """An axis of shares, such as accuracies, ends little beyond 0 and 1, although a single point asks for more."""
    values = [value for line in axes.lines for value in line.get_ydata()]
    if values and min(values) >= 0 and max(values) <= 1:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -OVER), min(high, 1 + OVER))


def _legend(figure: Any, lines: Sequence[_Line], metric: str, *, state: bool) -> None:
    """All runs with the best of a quantity, also those left out: the axes keep their place."""
    from matplotlib.lines import Line2D

    few, (split, name) = len(lines) <= FEW, _parts(metric)
    scored = split != "train"
    labels = []
    for line in lines:
        values = series(line.points, split, name)[1]
        label = line.name
        if scored and values.size:
            label = texts.CURVE_LEGEND.format(run=line.name, best=score(values[_best(values, name)]))
        labels.append(in_figure(label))
    marker: dict[str, Any] = {"marker": "o", "markersize": 4} if scored else {}
    if state:
        best = texts.BEST_STATE_RINGED if few else texts.BEST_STATE
    else:
        best = texts.BEST_METRIC_RINGED if few else texts.BEST_METRIC
    legend = figure.legend(
        [Line2D([], [], **line.look, **marker) for line in lines],
        labels,
        loc="outside right upper",
        fontsize=9,
        frameon=False,
        labelcolor=INK,
        title=best.format(metric=words(name)) if scored else None,
        handlelength=2.8,
        title_fontsize=9,
        alignment="left",
    )
    for text, line in zip(legend.get_texts(), lines, strict=True):
        text.set_alpha(None if line.shown else OFF)
