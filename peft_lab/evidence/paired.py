"""Paired differences of two methods, and what can be said of them: estimate, intervals, tests, what would be needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from peft_lab.evidence.resampling import bootstrap_interval
from peft_lab.evidence.signs import differences_needed, least_p, sign_flip_p
from peft_lab.evidence.summary import t_quantile

POWER = 0.8
MOST_SEEDS = 100
Scores = Mapping[tuple[int, float | None, int], float]
"""Scores of a method by rows, budget and seed."""


@dataclass(frozen=True)
class Paired:
    """What two methods differ by. Blocks are (rows, seed): budgets of the same seed and rows are averaged first."""

    difference: float
    seeds: tuple[float, ...]
    """Mean difference of each seed."""
    blocks: int
    sizes: int
    cells: int
    """Runs of each of the two that were compared."""
    spread: float
    """Standard deviation of the seeds' differences, at least what the coarseness of the scores makes of it."""
    permutation_p: float
    exact: bool
    t_p: float
    low: float
    high: float
    """Ends of the paired bootstrap interval over seeds."""
    t_low: float
    t_high: float

    def p(self, level: float, family: int) -> float:
        """What decides: the larger p value of the two tests; that of the t-test alone where the other can never speak.

        NaN for a single seed. Depends on the design, not on the scores, so that nothing is chosen by its outcome.
        """
        if math.isnan(self.t_p):
            return math.nan
        return max(self.permutation_p, self.t_p) if self.can_flip(level, family) else self.t_p

    def can_flip(self, level: float, family: int) -> bool:
        """Whether the permutation test can reach the level after correction for so many comparisons."""
        return least_p(self.blocks) * family <= level


def paired(one: Scores, other: Scores, resolution: float = 0.0, confidence: float = 0.95) -> Paired | None:
    """Compare two methods where both have a score; None where they share nothing.

    Args:
        one: scores of the method.
        other: scores of what it is compared with.
        resolution: step between two scores that can be, such as 1 / test texts. Scores that are rounded to it carry at
            least its rounding error, also where few of them agree by chance.
        confidence: of the intervals.
    """
    shared = sorted(set(one) & set(other), key=lambda key: (key[0], key[2], str(key[1])))
    if not shared:
        return None
    by_block: dict[tuple[int, int], list[float]] = {}
    for examples, budget, seed in shared:
        key = (examples, budget, seed)
        by_block.setdefault((examples, seed), []).append(one[key] - other[key])
    blocks = {key: float(np.mean(values)) for key, values in by_block.items()}
    by_seed: dict[int, list[float]] = {}
    for (_, seed), value in blocks.items():
        by_seed.setdefault(seed, []).append(value)
    seeds = np.array([np.mean(values) for _, values in sorted(by_seed.items())])
    sizes = len({examples for examples, _ in blocks})
    permutation_p, exact = sign_flip_p(np.array(list(blocks.values())))
    floor = resolution / math.sqrt(6 * len(blocks) / len(seeds))
    n, difference = len(seeds), float(seeds.mean())
    spread = max(float(seeds.std(ddof=1)), floor) if n > 1 else math.nan
    half = t_quantile(0.5 + confidence / 2, n - 1) * spread / math.sqrt(n) if n > 1 else math.nan
    return Paired(
        difference,
        tuple(seeds.tolist()),
        len(blocks),
        sizes,
        len(shared),
        spread,
        permutation_p,
        exact,
        _t_p(difference, spread, n),
        *bootstrap_interval(seeds, confidence),
        difference - half,
        difference + half,
    )


def resolution_of(scores: Sequence[float]) -> float:
    """The smallest step between different scores of a study; 0 where all are the same."""
    steps = np.diff(np.unique(np.asarray(scores, dtype=float)))
    steps = steps[steps > 1e-9]
    return float(steps.min()) if len(steps) else 0.0


def seeds_for_flips(level: float, family: int, sizes: int) -> int:
    """Seeds from which on the permutation test can reach the level after correction."""
    return max(2, math.ceil(differences_needed(level / family) / sizes))


def detectable(spread: float, n: int, level: float) -> float:
    """The smallest difference that a t-test over ``n`` seeds of this spread shows in four of five studies."""
    return spread / math.sqrt(n) * _noncentral(n - 1, level) if n > 1 else math.nan


def seeds_to_show(difference: float, spread: float, level: float) -> int | None:
    """Seeds with which a difference of this size is shown in four of five studies; None for more than a hundred."""
    if not difference or math.isnan(spread):
        return None
    return next((n for n in range(2, MOST_SEEDS + 1) if detectable(spread, n, level) <= abs(difference)), None)


def _t_p(difference: float, spread: float, n: int) -> float:
    from scipy.special import stdtr

    if n < 2:
        return math.nan
    if spread == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(difference) / spread * math.sqrt(n)))


@lru_cache(maxsize=1024)
def _noncentral(freedom: int, level: float) -> float:
    """The distance from 0, in standard errors, at which a t-test of this level has its power."""
    from scipy.optimize import brentq
    from scipy.special import nctdtr

    edge = t_quantile(1 - level / 2, freedom)
    return float(brentq(lambda away: 1 - nctdtr(freedom, away, edge) - POWER, 0.0, 4 * edge + 10))
