"""How loss and metric went during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from peft_lab.errors import RunProblem
from peft_lab.present.curve import series, smoothed
from peft_lab.present.style import INK, LINES, in_figure, new_figure, score, shorten, tidy, words
from pluggy_specs import Drawing, RunView, View

DASHES = ("-", "--", ":", "-.")
FEW = 4  # with more runs, raw losses and rings would bury the lines


class Curves(View):
    """Training loss and the validation metric of one run or many."""

    name = "curves"
    summary = "training loss and validation metric over the steps, the best state marked"
    many = True

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw the runs into the same two axes."""
        headline = runs[0].headline
        figure = new_figure(9.6, 3.4 if len(runs) < 6 else 3.8)
        left, right = figure.subplots(1, 2, sharex=True)
        tidy(left, "Training loss", "step")
        tidy(right, f"Validation {words(headline)}", "step")
        said = []
        for at, run in enumerate(runs):
            points = run.history.to_dict("records")
            loss, metric = series(points, "train", "loss"), series(points, "validation", headline)
            look = {
                "color": LINES[at % len(LINES)],
                "linestyle": DASHES[at // len(LINES) % len(DASHES)],
                "linewidth": 1.9,
            }
            if loss[0].size:
                if len(runs) <= FEW:
                    left.plot(*loss, color=look["color"], alpha=0.22, linewidth=0.8)
                left.plot(loss[0], smoothed(loss[1]), **look)
            name = f"{run.id} {shorten(run.recipe.method, 24)}"
            right.plot(*metric, **look, marker="o", markersize=4, label=_label(name, metric[1]))
            said.append(_sentence(name, loss[1] if len(runs) <= FEW else loss[1][:0], metric, headline))
            if metric[1].size and len(runs) <= FEW:
                best = int(metric[1].argmax())
                right.plot(
                    metric[0][best], metric[1][best], "o", markersize=10, markerfacecolor="none", markeredgecolor=INK
                )
        if not any(said):
            raise RunProblem("there is nothing to draw: no run has logged a step", "See %peft runs")
        figure.legend(
            *right.get_legend_handles_labels(),
            loc="outside right upper",
            fontsize=9,
            frameon=False,
            labelcolor=INK,
            title="best state, ringed" if len(runs) <= FEW else "best state",
            handlelength=2.8,
            title_fontsize=9,
            alignment="left",
        )
        return Drawing(" ".join(filter(None, said)), figure)


def _label(name: str, metric: Any) -> str:
    return in_figure(f"{name}  {score(metric.max())}" if metric.size else name)


def _sentence(name: str, loss: Any, metric: Any, headline: str) -> str:
    parts = []
    if metric[1].size:
        best = int(np.argmax(metric[1]))
        parts.append(f"best validation {words(headline)} {score(metric[1][best])} at step {metric[0][best]:.0f}")
    if loss.size:
        parts.append(f"loss from {score(loss[0])} to {score(smoothed(loss)[-1])}")
    return f"{name}: {', '.join(parts)}." if parts else ""
