"""Bootstrap over few seeds, exact: all ways to draw them again with their probabilities, instead of random draws."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np

from peft_lab.evidence.summary import t_quantile

MOST_EXACT = 8
"""Seeds up to which all ways are counted: 6,435 for eight."""
DRAWS = 10_000


@lru_cache(maxsize=16)
def resamples(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of ``n`` things in samples drawn with replacement, [way, thing], and the probability of each way.

    All ways where ``n`` is at most :data:`MOST_EXACT`; else 10,000 draws of a fixed seed.
    """
    if n > MOST_EXACT:
        drawn = np.random.default_rng(n).multinomial(n, np.full(n, 1 / n), size=DRAWS)
        return drawn / n, np.full(DRAWS, 1 / DRAWS)
    chosen = np.array(list(combinations_with_replacement(range(n), n)))
    counts = (chosen[:, :, None] == np.arange(n)).sum(axis=1)
    ways = math.factorial(n) / np.prod(_factorial(n)[counts], axis=1)
    return counts / n, ways / n**n


def quantile(values: np.ndarray, weights: np.ndarray, probability: float) -> float:
    """The smallest value with at least this probability at or below it."""
    order = np.argsort(values, kind="stable")
    reached = np.searchsorted(np.cumsum(weights[order]), probability - 1e-12)
    return float(values[order][min(int(reached), len(values) - 1)])


def bootstrap_interval(values: np.ndarray, confidence: float = 0.95, *, expanded: bool = True) -> tuple[float, float]:
    """Percentile interval of the mean, values drawn again with replacement; NaN for fewer than two.

    Args:
        values: one for each seed, such as paired differences.
        confidence: of the interval.
        expanded: widened as Hesterberg (2015) proposes, as plain percentiles of few values are too narrow. Never wider
            than the lowest and the highest value, so that ``n`` of them cover at most 1 - 2 / 2**n.
    """
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    shares, weights = resamples(n)
    tail = tail_of(n, confidence) if expanded else (1 - confidence) / 2
    means = shares @ np.asarray(values, dtype=float)
    return quantile(means, weights, tail), -quantile(-means, weights, tail)


def tail_of(n: int, confidence: float) -> float:
    """What is cut off at each side, so that large samples get the usual and small ones the width of a t-interval."""
    reach = math.sqrt(n / (n - 1)) * t_quantile(0.5 + confidence / 2, n - 1)
    return 0.5 * math.erfc(reach / math.sqrt(2))


def _factorial(n: int) -> np.ndarray:
    return np.array([math.factorial(at) for at in range(n + 1)], dtype=float)
