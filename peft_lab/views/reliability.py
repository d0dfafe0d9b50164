"""Whether a model is as often right as it says to be sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.judging.answers import classes_of, kept_answers, softmax
from peft_lab.judging.calibration import BINS, fit_temperature, reliability
from peft_lab.present.style import INK, PALETTE, in_figure, new_figure, share, tidy
from pluggy_specs import Drawing, RunView, View


class ReliabilityView(View):
    """Certainty against right answers, and how many answers stand behind each bar."""

    name = "reliability"
    summary = "how often a model is right when it says how sure it is"
    needs = ("test-answers",)

    class Options(pluggy_specs.Options):
        """How finely certainty is cut."""

        bins: int = Field(BINS, ge=2, le=50, description="bins of equal width")

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Bars for the model as it is, dots after a temperature that validation asks for."""
        (run,) = runs
        test = classes_of(run)
        found = reliability(test.confidence, test.correct, self.options.bins)
        figure = new_figure(7.2, 4.8)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        tidy(upper, f"How sure it says to be, and how often it is right · {in_figure(run.id)}", "", "right answers")
        line: dict[str, Any] = {"color": INK, "linewidth": 1.2, "zorder": 3}
        upper.plot([0, 1], [0, 1], "--", **line, label="as often right as it says (below: too sure)")
        width = 1 / self.options.bins
        middle = (found.edges[1:] + found.edges[:-1]) / 2
        there = found.count > 0
        bars = {"width": width * 0.86, "color": PALETTE["blue"], "label": "as it is"}
        upper.bar(middle[there], found.accuracy[there], **bars)
        alt = (
            f"{run.id} says to be {share(float(test.confidence.mean()))} sure on average and is right in "
            f"{share(float(test.correct.mean()))} of {len(test):,} answers of test; expected calibration error "
            f"{found.error:.3f} in {self.options.bins} bins."
        )
        validation = kept_answers(run, "validation")
        if validation is not None and len(validation.answered):
            known = validation.answered
            temperature = fit_temperature(known.outputs, known.label)
            after = reliability(softmax(test.outputs, temperature).max(-1), test.correct, self.options.bins)
            full = after.count > 0
            dots: dict[str, Any] = {"color": PALETTE["vermilion"], "markeredgecolor": INK, "markersize": 7}
            dots |= {"zorder": 4, "clip_on": False}
            label = f"outputs divided by {temperature:.2f}"
            upper.plot(after.confidence[full], after.accuracy[full], "D", label=label, **dots)
            alt += f" With outputs divided by {temperature:.2f}, found on validation: {after.error:.3f}."
        tidy(lower, "", "how sure it says to be of its answer", "answers")
        lower.bar(middle, found.count, width=width * 0.86, color=PALETTE["grey"])
        low = float(np.floor(found.edges[:-1][there].min() * 10) / 10) if there.any() else 0.0
        upper.set(xlim=(low, 1), ylim=(0, 1.02))
        for axis in (lower.xaxis, upper.yaxis):
            axis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=9, labelcolor=INK)
        return Drawing(alt, figure)
