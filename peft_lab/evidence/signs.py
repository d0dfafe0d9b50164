"""The sign-flip test: if two methods were the same, each paired difference could as well have the other sign."""

from __future__ import annotations

import math

import numpy as np

MOST_EXACT = 32
"""Differences up to which all flips are counted."""
DRAWS = 99_999
TIE = 1e-9
"""Sums that differ by less than this share are the same: they were added in another order."""


def sign_flip_p(differences: np.ndarray) -> tuple[float, bool]:
    """The two-sided p value of "their mean is 0", and whether it is exact.

    Exact: the share of all ``2**n`` ways to set the signs in which the mean is as far from 0 or farther. Both halves of
    the differences are summed in all ways, and a sum of one half is looked up among those of the other, so that 32
    differences cost no more than 65,536 sums. Beyond, 99,999 random ways of a fixed seed: ``(b + 1) / (m + 1)``.
    """
    values = np.asarray(differences, dtype=float)
    n, reach = len(values), abs(float(values.sum()))
    if n == 0:
        return 1.0, True
    reach -= TIE * max(float(np.abs(values).sum()), 1e-300)
    if reach <= 0:
        return 1.0, n <= MOST_EXACT
    if n <= MOST_EXACT:
        one, other = _sums(values[: n // 2]), np.sort(_sums(values[n // 2 :]))
        above = len(other) - np.searchsorted(other, reach - one, side="left")
        return min(1.0, 2 * float(above.sum()) / 2.0**n), True
    rng, beyond = np.random.default_rng(n), 0
    for start in range(0, DRAWS, 10_000):
        signs = rng.integers(0, 2, size=(min(10_000, DRAWS - start), n), dtype=np.int8) * 2 - 1
        beyond += int((np.abs(signs @ values) >= reach).sum())
    return (beyond + 1) / (DRAWS + 1), False


def least_p(n: int) -> float:
    """The smallest p value that ``n`` differences can give."""
    return min(1.0, 2.0 / 2.0**n) if n <= MOST_EXACT else max(2.0 / 2.0**n, 1 / (DRAWS + 1))


def differences_needed(level: float) -> int:
    """The fewest differences whose smallest p value is at or under a level."""
    return max(1, math.ceil(1 - math.log2(level) - 1e-12))


def _sums(values: np.ndarray) -> np.ndarray:
    """The sums of values under all ways to set their signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
