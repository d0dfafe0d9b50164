"""Measure what counts in the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from peft_lab.bench import Bench
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.present.stack import Stack


class Judging(Bench):
    """Operations that judge what was trained."""

    @operation(
        "judge run-3",
        "judge run-3 run-5 --no-latency",
        "judge run-3 --costs costs.csv --defer 0.2 --risk 0.05",
    )
    def judge(
        self,
        *names: Annotated[str, About("runs; the last one when none is named", completes="runs")],
        costs: Annotated[Any, About("what wrong answers cost: a CSV file, or a table", completes="files")] = None,
        defer: Annotated[float | None, About("price of handing a text to a person")] = None,
        risk: Annotated[float, About("share of wrong answers that can be borne")] = 0.05,
        latency: Annotated[bool, About("take times, which need the machine for themselves")] = True,
        against: Annotated[tuple[str, ...], About("runs that differ in the seed only; found by itself")] = (),
        typos: Annotated[tuple[float, ...], About("shares of letters that are mistyped")] = (0.02, 0.05, 0.1),
    ) -> Stack:
        """Measure what counts in the field: times, certainty, risk, cost and kinds of mistakes, typing errors."""
        from peft_lab.judging.judge import judge
        from peft_lab.listings.judged import judged

        chosen = [self.run(name) for name in names] or [self._latest()]
        others = [self.run(name) for name in against] or None
        table = self.namespace.get(costs, costs) if isinstance(costs, str) else costs
        self.forget_served()  # its memory is needed
        how: dict[str, Any] = {"defer": defer, "risk": risk, "latency": latency, "against": others, "typos": typos}
        return judged(self.host, chosen, [judge(run, self.host, costs=table, **how) for run in chosen], risk)
