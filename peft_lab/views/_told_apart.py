"""Whether the highest of several means is more than luck: captions call best only what the table of a study does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from peft_lab.rows import FAILED, FINISHED, Row, StudyRows
from peft_lab.texts import study_views as texts
from peft_lab.views._studied import Seen

MOST_NAMED = 6
SAME = 1e-9
"""Means nearer than this are equal: they were added in another order."""


@dataclass(frozen=True)
class End:
    """What a caption compares: a line at one place, or a point."""

    name: str
    key: str
    """What its runs share, as :class:`Seen` has it."""
    scores: Mapping[int, float]
    """By seed."""

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(np.mean(list(self.scores.values())))


@dataclass(frozen=True)
class Highest:
    """The highest of some ends, and what may be said of it."""

    name: str
    mean: float
    shown: bool
    """It is better than all others, by the tests of a study; also where there is no other."""
    equal: bool
    """All means are the same."""
    said: str
    """A sentence about those that it is not told apart from; empty where there are none."""


def highest(ends: Sequence[End], runs: Sequence[Seen]) -> Highest:
    """The end with the highest mean; of equal ones the first.

    Args:
        ends: what is drawn, at one place each.
        runs: all that were trained. Who is best at one place only, and not over all of them, is not called best: the
            table of the study, which goes over all, would say otherwise.
    """
    top = max(ends, key=lambda end: end.mean)
    others = [end for end in ends if end is not top]
    if not others:
        return Highest(top.name, top.mean, True, False, "")
    equal = all(top.mean - end.mean < SAME for end in others)
    if max(len(end.scores) for end in ends) < 2:  # nothing to compute, and scipy need not be loaded
        return Highest(top.name, top.mean, False, equal, texts.ONE_RUN_EACH)
    behind = _behind(top.name, {end.name: {(1, None, seed): v for seed, v in end.scores.items()} for end in ends}, {})
    if behind and len({end.key for end in ends}) > 1:
        keys = {end.key for end in ends}
        scores, failed = _over_all([one for one in runs if one.key in keys])
        over_all = _behind(top.key, scores, failed)
        behind = {end.name for end in others if end.name in behind and end.key in {*over_all, top.key}}
    alike = [end.name for end in others if end.name not in behind]
    if not alike:
        return Highest(top.name, top.mean, True, False, "")
    some = (texts.NOT_APART if len(alike) <= MOST_NAMED else texts.NOT_APART_MANY).format(
        others=", ".join(alike), count=len(alike)
    )
    return Highest(top.name, top.mean, False, equal, some)


Place = tuple[int, float | None, int]


def _over_all(runs: Sequence[Seen]) -> tuple[dict[str, dict[Place, float]], dict[str, list[Place]]]:
    """Scores by key, at rows, budget and seed; and where runs failed."""
    scores: dict[str, dict[Place, float]] = {}
    failed: dict[str, list[Place]] = {}
    for one in runs:
        place = (one.examples, one.budget, one.seed)
        if one.score is not None:
            scores.setdefault(one.key, {})[place] = one.score
        elif one.run.status == "failed":
            failed.setdefault(one.key, []).append(place)
    return scores, failed


def _behind(best: str, scores: Mapping[str, Mapping[Place, float]], failed: Mapping[str, Sequence[Place]]) -> set[str]:
    """Those that the best is shown to be better than, as the table of a study decides it; none where it is not best."""
    from peft_lab.evidence import comparisons
    from peft_lab.evidence.comparing import WORSE

    cells = [(name, place, FINISHED, {"score": value}) for name in scores for place, value in scores[name].items()]
    cells += [(name, place, FAILED, {}) for name in failed for place in failed[name]]
    rows = tuple(Row(n, p[0], str(p[0]), p[1], p[2], status, "score", test) for n, p, status, test in cells)
    if not scores:
        return set()
    found = comparisons(StudyRows("", {"methods": list(scores)}, rows))
    return {one.method for one in found if one.against == best and one.verdict == WORSE}
