"""Two methods on the same test texts with several seeds: what would hold with other seeds and other texts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

DRAWS = 2_000


@dataclass(frozen=True)
class TwoLevels:
    """Mean difference of two methods over seeds and texts, its interval, and a p value."""

    difference: float
    low: float
    high: float
    p: float
    seeds: int
    texts: int
    level: float
    spread_seeds: float
    """Share of the variance of the difference that other seeds would make; the rest is other texts."""

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``no difference shown``."""
        if not self.p <= self.level:
            return "no difference shown"
        return "better" if self.difference > 0 else "worse"


def two_levels(a: np.ndarray, b: np.ndarray, *, level: float = 0.05, draws: int = DRAWS) -> TwoLevels:
    """Bootstrap over texts and seeds at once, [seed, text] in each: what is right, or any score of a text.

    Seeds and texts are crossed, not nested: every seed answers the same texts. Means of seeds and means of texts are
    drawn again, independently, and what both move the mean by is added. That counts what a seed and a text have with
    each other twice: draws are narrowed to the variance that the mean squares of a crossed design estimate (never under
    that of either alone). The interval is that of percentiles; ``p`` is twice the share of draws on the far side of 0,
    ``(b + 1) / (m + 1)``.
    """
    one, other = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if one.shape != other.shape or one.ndim != 2 or not one.size:
        raise ValueError(f"{one.shape} and {other.shape} are not [seed, text] of the same runs")
    apart = one - other
    seeds, texts = apart.shape
    difference = float(apart.mean())
    rng = np.random.default_rng(seeds * 1_000_003 + texts)
    moved_by_seeds = _moved(apart.mean(axis=1) - difference, rng, draws)
    moved_by_texts = _moved(apart.mean(axis=0) - difference, rng, draws)
    of_seeds, of_texts, rest = _variances(apart)
    whole = max(of_seeds, of_texts, of_seeds + of_texts - rest)
    drawn = moved_by_seeds + moved_by_texts
    if of_seeds + of_texts > 0:
        drawn = drawn * math.sqrt(whole / (of_seeds + of_texts))
    drawn = difference + drawn
    low, high = (float(q) for q in np.quantile(drawn, (level / 2, 1 - level / 2)))
    beyond = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p = min(1.0, 2 * (int(beyond) + 1) / (draws + 1))
    return TwoLevels(
        difference, low, high, p, seeds, texts, level, max(0.0, 1 - of_texts / whole) if whole > 0 else 0.0
    )


def _moved(deviations: np.ndarray, rng: np.random.Generator, draws: int) -> np.ndarray:
    """What drawing things again moves their mean by. That few things understate their spread is undone."""
    n = len(deviations)
    if n < 2:
        return np.zeros(draws)
    moved = np.stack([deviations[rng.integers(0, n, n)].mean() for _ in range(draws)])
    return moved * math.sqrt(n / (n - 1))


def _variances(apart: np.ndarray) -> tuple[float, float, float]:
    """Variance of the mean by the mean squares of seeds, of texts, and of what is left, in a crossed design."""
    seeds, texts = apart.shape
    by_seed, by_text, mean = apart.mean(axis=1), apart.mean(axis=0), apart.mean()
    left = apart - by_seed[:, None] - by_text[None, :] + mean
    freedom = (seeds - 1) * (texts - 1)
    return (
        float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0,
        float(by_text.var(ddof=1)) / texts if texts > 1 else 0.0,
        float((left**2).sum()) / freedom / (seeds * texts) if freedom else 0.0,
    )
