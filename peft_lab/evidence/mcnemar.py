"""Two runs on one test set: do they differ in which texts they get right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

FEW = 25
"""Texts that only one of them gets right, under which the exact form is used."""
EXACT, APPROXIMATE = "exact binomial", "chi-square with continuity correction"


@dataclass(frozen=True)
class McNemar:
    """The four counts and the test. It says whether these two runs differ on new texts, not whether two methods do."""

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float
    form: str
    statistic: float
    """Chi-square; NaN in the exact form."""
    difference: float
    """Share right of a less that of b."""
    low: float
    high: float
    """Ends of its interval by Bonett and Price (2012)."""
    level: float

    @property
    def verdict(self) -> str:
        """Of a against b: ``better``, ``worse`` or ``no difference shown``."""
        if not self.p <= self.level:
            return "no difference shown"
        return "better" if self.difference > 0 else "worse"

    @property
    def n(self) -> int:
        """Texts."""
        return self.both + self.only_a + self.only_b + self.neither


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray, level: float = 0.05) -> McNemar:
    """McNemar's test (1947) on what each of two runs got right of the same texts, in the same order."""
    from scipy.special import chdtrc, ndtri

    a, b = (np.asarray(correct, dtype=bool).ravel() for correct in (correct_a, correct_b))
    if len(a) != len(b) or not len(a):
        raise ValueError(f"{len(a)} answers and {len(b)} are not those of one test set")
    both, only_a, only_b = int((a & b).sum()), int((a & ~b).sum()), int((b & ~a).sum())
    n, apart = len(a), only_a + only_b
    if apart < FEW:
        form, statistic, p = EXACT, math.nan, _binomial_p(only_a, apart)
    else:
        statistic = max(0, abs(only_a - only_b) - 1) ** 2 / apart
        form, p = APPROXIMATE, float(chdtrc(1, statistic))
    one, other = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = float(ndtri(1 - level / 2)) * math.sqrt((one + other - (one - other) ** 2) / (n + 2))
    ends = (max(-1.0, one - other - half), min(1.0, one - other + half))
    return McNemar(both, only_a, only_b, n - both - apart, p, form, statistic, (only_a - only_b) / n, *ends, level)


def _binomial_p(successes: int, trials: int) -> float:
    """Two-sided, of a fair coin: twice the smaller tail."""
    from scipy.special import bdtr

    fewer = min(successes, trials - successes)
    return min(1.0, 2 * float(bdtr(fewer, trials, 0.5))) if trials else 1.0
