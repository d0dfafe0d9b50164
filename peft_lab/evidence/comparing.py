"""Methods against the best one, or a named one, over a whole study: with correction, and a verdict in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from peft_lab.errors import BadOption, nearest
from peft_lab.evidence.correction import holm
from peft_lab.evidence.paired import Paired, Scores, detectable, paired, resolution_of, seeds_for_flips, seeds_to_show
from peft_lab.evidence.summary import is_baseline, score_of, scored_by
from peft_lab.rows import FAILED, UNTRAINED, StudyRows

BETTER, WORSE, NOTHING_SHOWN = VERDICTS = ("better", "worse", "no difference shown")
BOTH_TESTS, T_ALONE, NO_TEST = "both tests", "t-test alone", "no test"


@dataclass(frozen=True)
class Comparison:
    """A method against another. Differences are score of the method less score of the other: above 0 is better."""

    method: str
    against: str
    difference: float
    low: float
    high: float
    """Ends of the paired bootstrap interval (expanded percentile) over seeds."""
    t_low: float
    t_high: float
    """Ends of the paired t-interval: with few seeds the one to believe."""
    seeds: int
    above: int
    """Seeds in which the method is above the other."""
    blocks: int
    """Differences that the permutation test flips: rows by seeds."""
    sizes: int
    left_out: int
    """Cells in which one of the two has no score."""
    failed: tuple[int, int]
    """Runs that failed: of the method, of the other."""
    permutation_p: float
    exact: bool
    t_p: float
    p: float
    """The larger of both, or that of the t-test alone; see ``rests_on``."""
    corrected_p: float
    """By Holm, over ``family`` comparisons."""
    family: int
    level: float
    rests_on: str
    verdict: str
    seeds_needed: int
    """Seeds with which the permutation test could reach the level after correction."""
    detectable: float
    """The difference that such a study shows in four of five cases."""
    seeds_to_show: int | None
    """Seeds with which a difference as large as this one is shown in four of five cases; None for more than 100."""

    @property
    def differs(self) -> bool:
        """Whether a difference was shown."""
        return self.verdict != NOTHING_SHOWN


def comparisons(
    rows: StudyRows,
    against: str | None = None,
    *,
    metric: str | None = None,
    level: float = 0.05,
    examples: int | None = None,
    budget: float | str | None = "all",
) -> list[Comparison]:
    """Compare methods over all their cells, paired by rows, budget and seed; those nearest to the best come first.

    Args:
        rows: the study.
        against: a method, also a baseline. None: the best one; then every pair counts for the correction, as any of
            them could have come out best.
        metric: a score; None: the one that decides.
        level: chance of one false alarm or more among all comparisons.
        examples: only cells with so many training rows.
        budget: only cells with this budget in seconds, or None for those without; "all": all.

    Raises:
        BadOption: no method has that name.
        RunProblem: no run has the score.
    """
    metric, split = scored_by(rows, metric)
    scores: dict[str, dict[tuple[int, float | None, int], float]] = {}
    failed: dict[str, int] = {}
    for row in rows.rows:
        elsewhere = (examples is not None and row.examples != examples) or (budget != "all" and row.budget != budget)
        if elsewhere and not row.method == against == UNTRAINED:  # which has no rows, and counts everywhere
            continue
        scores.setdefault(row.method, {})
        failed[row.method] = failed.get(row.method, 0) + (row.status == FAILED)
        if (value := score_of(row, metric, split)) is not None:
            scores[row.method][row.examples, row.budget, row.seed] = value
    if against is not None and against not in scores:
        raise BadOption(f"the study {rows.name} has no method {against!r}", nearest(against, scores), "against")
    if against == UNTRAINED:
        scores[against] = _everywhere(scores)
    compared = [name for name in scores if scores[name] and (name == against or not is_baseline(rows, name))]
    if len(compared) < 2:
        return []
    resolution = resolution_of([value for own in scores.values() for value in own.values()])
    other = against or best_of({name: scores[name] for name in compared})
    pairs = [(m, other) for m in compared if m != other] if against else list(combinations(compared, 2))
    found = {pair: paired(scores[pair[0]], scores[pair[1]], resolution, 1 - level) for pair in pairs}
    known = {pair: result for pair, result in found.items() if result is not None}
    corrected = holm([result.p(level, len(known)) for result in known.values()])
    made = []
    for (pair, result), p in zip(known.items(), corrected, strict=True):
        if other not in pair:
            continue
        method = pair[0] if pair[1] == other else pair[1]
        if method != pair[0]:
            result = _turned(result)
        apart = len(set(scores[method]) ^ set(scores[other]))
        made.append(
            _comparison(method, other, result, float(p), len(known), level, apart, (failed[method], failed[other]))
        )
    return sorted(made, key=lambda c: -c.difference)


def best_of(scores: Mapping[str, Scores]) -> str:
    """The method with the highest mean over the cells that all have; where there is none, over its own."""
    shared = set.intersection(*(set(own) for own in scores.values()))
    return max(
        scores,
        key=lambda name: _mean_over_places([(k, v) for k, v in scores[name].items() if not shared or k in shared]),
    )


def _everywhere(scores: Mapping[str, Scores]) -> dict[tuple[int, float | None, int], float]:
    """Scores without training, which depend on the seed alone, at every place that others have."""
    by_seed = {seed: value for (_, _, seed), value in scores[UNTRAINED].items()}
    return {key: by_seed[key[2]] for own in scores.values() for key in own if key[2] in by_seed}


def _mean_over_places(scored: Sequence[tuple[tuple[int, float | None, int], float]]) -> float:
    places: dict[tuple[int, float | None], list[float]] = {}
    for (examples, budget, _), value in scored:
        places.setdefault((examples, budget), []).append(value)
    return float(np.mean([np.mean(values) for values in places.values()]))


def _turned(result: Paired) -> Paired:
    return replace(
        result,
        difference=-result.difference,
        seeds=tuple(-value for value in result.seeds),
        low=-result.high,
        high=-result.low,
        t_low=-result.t_high,
        t_high=-result.t_low,
    )


def _comparison(
    method: str,
    other: str,
    result: Paired,
    corrected: float,
    family: int,
    level: float,
    left_out: int,
    failed: tuple[int, int],
) -> Comparison:
    n, p = len(result.seeds), result.p(level, family)
    verdict = NOTHING_SHOWN
    if not math.isnan(p) and corrected <= level:
        verdict = BETTER if result.difference > 0 else WORSE
    ahead, behind = failed if result.difference > 0 else failed[::-1]
    if ahead > behind:  # what failed may have been what it does worst
        verdict = NOTHING_SHOWN
    rests_on = NO_TEST if math.isnan(p) else BOTH_TESTS if result.can_flip(level, family) else T_ALONE
    each = level / family
    return Comparison(
        method,
        other,
        result.difference,
        result.low,
        result.high,
        result.t_low,
        result.t_high,
        n,
        sum(value > 0 for value in result.seeds),
        result.blocks,
        result.sizes,
        left_out,
        failed,
        result.permutation_p,
        result.exact,
        result.t_p,
        p,
        corrected,
        family,
        level,
        rests_on,
        verdict,
        seeds_for_flips(level, family, result.sizes),
        detectable(result.spread, n, each),
        seeds_to_show(result.difference, result.spread, each),
    )
