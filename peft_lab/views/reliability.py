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
from peft_lab.texts import views as texts
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
        tidy(upper, texts.RELIABILITY_TITLE.format(run=in_figure(run.id)), "", texts.RIGHT_AXIS)
        line: dict[str, Any] = {"color": INK, "linewidth": 1.2, "zorder": 3}
        upper.plot([0, 1], [0, 1], "--", **line, label=texts.AS_SURE_AS_RIGHT)
        width = 1 / self.options.bins
        middle = (found.edges[1:] + found.edges[:-1]) / 2
        there = found.count > 0
        bars = {"width": width * 0.86, "color": PALETTE["blue"], "label": texts.AS_IT_IS}
        upper.bar(middle[there], found.accuracy[there], **bars)
        alt = texts.RELIABILITY_SAID.format(
            run=run.id,
            sure=share(float(test.confidence.mean())),
            right=share(float(test.correct.mean())),
            answers=f"{len(test):,}",
            error=f"{found.error:.3f}",
            bins=self.options.bins,
        )
        validation = kept_answers(run, "validation")
        if validation is not None and len(validation.answered):
            known = validation.answered
            temperature = fit_temperature(known.outputs, known.label)
            after = reliability(softmax(test.outputs, temperature).max(-1), test.correct, self.options.bins)
            full = after.count > 0
            dots: dict[str, Any] = {"color": PALETTE["vermilion"], "markeredgecolor": INK, "markersize": 7}
            dots |= {"zorder": 4, "clip_on": False}
            label = texts.COOLED.format(temperature=f"{temperature:.2f}")
            upper.plot(after.confidence[full], after.accuracy[full], "D", label=label, **dots)
            alt += " " + texts.RELIABILITY_COOLED.format(temperature=f"{temperature:.2f}", error=f"{after.error:.3f}")
        tidy(lower, "", texts.SURE_AXIS, texts.ANSWERS_AXIS)
        lower.bar(middle, found.count, width=width * 0.86, color=PALETTE["grey"])
        low = float(np.floor(found.edges[:-1][there].min() * 10) / 10) if there.any() else 0.0
        upper.set(xlim=(low, 1), ylim=(0, 1.02))
        for axis in (lower.xaxis, upper.yaxis):
            axis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=9, labelcolor=INK)
        return Drawing(alt, figure)
