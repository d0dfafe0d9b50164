"""Judgements with their pictures, in one output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.judging.answers import CLASSES, kept_answers
from peft_lab.judging.judgement import Judgement
from peft_lab.judging.tables import details, side_by_side, summary
from peft_lab.listings.results import drawn
from peft_lab.present.stack import Stack
from peft_lab.run import Run

if TYPE_CHECKING:
    from peft_lab.host import Host


def judged(host: Host, runs: Sequence[Run], judgements: Sequence[Judgement], risk: float) -> Stack:
    """One run with its pictures, labels and mistakes; several runs in one table and one picture."""
    several = len(runs) > 1
    table = side_by_side(judgements) if several else summary(judgements[0])
    below = [] if several else details(judgements[0])
    return Stack((table, *_pictures(host, runs, risk), *below))


def _pictures(host: Host, runs: Sequence[Run], risk: float) -> Iterator[Any]:
    from peft_lab.recipe import checked

    with_labels = [run for run in runs if (kept := kept_answers(run)) is not None and kept.kind == CLASSES]
    if not with_labels:
        return
    if len(runs) == 1:
        yield drawn(host, "reliability", host.find("views", "reliability")(), with_labels)
    cls = host.find("views", "risk-coverage")
    yield drawn(host, "risk-coverage", cls(checked(cls.Options, {"risk": risk}, "judge")), with_labels)
