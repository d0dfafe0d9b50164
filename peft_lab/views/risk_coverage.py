"""What is gained by handing the least sure answers to a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.judging.answers import classes_of
from peft_lab.judging.risk import area, coverage_at, risk_coverage
from peft_lab.present.style import INK, LINES, PALETTE, in_figure, new_figure, share, shorten, tidy
from peft_lab.texts import views as texts
from peft_lab.views._hiding import hiding, left_out
from pluggy_specs import Drawing, RunView, View

DASHES = ("-", "--", ":", "-.")
MARKERS = "osD^v"


class RiskCoverageView(View):
    """The share of wrong answers among the surest ones, from few of them to all."""

    name = "risk-coverage"
    summary = "wrong answers left when only the surest are given, the others going to a person"
    needs = ("test-answers",)
    many = True

    class Options(pluggy_specs.Options):
        """What can be borne."""

        risk: float = Field(0.05, ge=0, le=1, description="share of wrong answers that can be borne")
        hide: tuple[str, ...] = hiding()

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """One line a run; a mark where the risk that can be borne is reached."""
        without = left_out(self.options.hide, runs)
        bearable, asked = self.options.risk, f"{100 * self.options.risk:.3g} %"
        figure = new_figure(7.2, 4.2)
        axes = tidy(figure.add_subplot(), texts.RISK_TITLE, texts.COVERAGE_AXIS, texts.RISK_AXIS)
        axes.axhline(bearable, color=PALETTE["grey"], linestyle=(0, (1, 2)), label=texts.BEARABLE.format(risk=asked))
        said, highest = [], bearable
        for at, run in enumerate(runs):
            if run.id in self.options.hide:
                continue
            test = classes_of(run)
            curve = risk_coverage(test.confidence, ~test.correct)
            colour, dash = LINES[at % len(LINES)], DASHES[at // len(LINES) % len(DASHES)]
            name = f"{run.id} {shorten(run.recipe.method, 24)}"
            axes.plot(curve.coverage, curve.risk, dash, color=colour, linewidth=2, label=in_figure(name))
            reached = coverage_at(curve, bearable)
            if reached == reached:
                look: dict[str, Any] = {"color": colour, "markeredgecolor": INK, "markersize": 9}
                there = float(curve.risk[round(reached * len(test)) - 1])
                axes.plot(reached, there, MARKERS[at % len(MARKERS)], **look)
            highest = max(highest, float(np.max(curve.risk[len(test) // 20 :])))
            sentence = texts.RISK_SAID if reached == reached else texts.RISK_SAID_NONE
            said.append(
                sentence.format(
                    run=name,
                    error=share(float(curve.risk[-1])),
                    answers=f"{len(test):,}",
                    share=share(reached) if reached == reached else "",
                    risk=asked,
                    area=f"{area(curve):.3f}",
                )
            )
        axes.set(xlim=(0, 1.02), ylim=(0, min(1.02, highest * 1.15 + 0.01)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}".replace("%", " %"))
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=9, labelcolor=INK)
        return Drawing(" ".join([*said, without]).rstrip(), figure)
