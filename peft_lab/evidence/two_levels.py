"""Two methods on the same test texts with several seeds: what would hold with other seeds and other texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from peft_lab.evidence.comparing import BETTER, NOTHING_SHOWN, WORSE
from peft_lab.evidence.correction import holm
from peft_lab.evidence.summary import t_quantile

Pair = tuple[str, str]


@dataclass(frozen=True)
class TwoLevels:
    """Mean difference of two methods over seeds and texts, its interval, and a p value."""

    difference: float
    low: float
    high: float
    p: float
    """NaN for one seed: what others would do is not known."""
    seeds: int
    texts: int
    level: float
    spread_seeds: float
    """Share of the variance of the difference that other seeds would make; the rest is other texts. NaN: not known."""

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``no difference shown``."""
        return _verdict(self.difference, self.p, self.level)


@dataclass(frozen=True)
class OnTexts:
    """A method against another on other texts and with other seeds, corrected for what else was compared."""

    method: str
    found: TwoLevels
    corrected_p: float
    """By Holm, over ``family`` comparisons; NaN for one seed."""
    family: int

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``no difference shown``."""
        return _verdict(self.found.difference, self.corrected_p, self.found.level)


def two_levels(a: np.ndarray, b: np.ndarray, *, level: float = 0.05) -> TwoLevels:
    """What is right, or any score of a text, of two methods, [seed, text] in each.

    Seeds and texts are crossed, not nested: every seed answers the same texts. Two t-tests must agree, so the larger p
    and the wider interval count. One is over the means of seeds. The other has the variance that seeds and texts make
    together, as the mean squares of a crossed design give it, with Satterthwaite's degrees of freedom. It alone would
    be too sure with few seeds, the first one wherever seeds agree because they answer the same texts.
    """
    one, other = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if one.shape != other.shape or one.ndim != 2 or not one.size:
        raise ValueError(f"{one.shape} and {other.shape} are not [seed, text] of the same runs")
    apart = one - other
    seeds, texts = apart.shape
    difference = float(apart.mean())
    of_seeds, of_texts, rest = _variances(apart)
    whole = of_seeds + of_texts - rest
    tests = [(whole, _freedom(of_seeds, of_texts, rest, seeds, texts))]
    if seeds > 1:
        tests.append((of_seeds, seeds - 1.0))
    half = max(_half(variance, freedom, level) for variance, freedom in tests)
    p = max(_p(difference, variance, freedom) for variance, freedom in tests) if seeds > 1 else math.nan
    share = math.nan if seeds < 2 else 1 - of_texts / whole if whole > 0 else 0.0
    return TwoLevels(difference, difference - half, difference + half, p, seeds, texts, level, share)


def on_texts(
    pairs: Mapping[Pair, tuple[np.ndarray, np.ndarray]], against: str, *, level: float = 0.05
) -> list[OnTexts]:
    """The comparisons with one method, corrected over all pairs.

    Args:
        pairs: of two methods, [seed, text] of each. Where ``against`` was found to be the best in the same answers:
            every pair of methods, as any of them could have come out best.
        against: the method that the others are compared with.
        level: chance of one false alarm or more.
    """
    found = {pair: two_levels(*answers, level=level) for pair, answers in pairs.items()}
    corrected = holm([result.p for result in found.values()])
    made = []
    for (pair, result), p in zip(found.items(), corrected, strict=True):
        if against in pair:
            method = pair[pair[0] == against]
            known = result if method == pair[0] else _turned(result)
            made.append(OnTexts(method, known, math.nan if math.isnan(result.p) else float(p), len(found)))
    return made


def _verdict(difference: float, p: float, level: float) -> str:
    if not p <= level:
        return NOTHING_SHOWN
    return BETTER if difference > 0 else WORSE


def _turned(result: TwoLevels) -> TwoLevels:
    return replace(result, difference=-result.difference, low=-result.high, high=-result.low)


def _variances(apart: np.ndarray) -> tuple[float, float, float]:
    """Variance of the mean by the mean squares of seeds, of texts, and of what is left, in a crossed design.

    Those of seeds and of texts hold what is left too, so they are at least as large: seeds of few texts agree by
    chance.
    """
    seeds, texts = apart.shape
    by_seed, by_text, mean = apart.mean(axis=1), apart.mean(axis=0), apart.mean()
    left = apart - by_seed[:, None] - by_text[None, :] + mean
    freedom = (seeds - 1) * (texts - 1)
    rest = float((left**2).sum()) / freedom / (seeds * texts) if freedom else 0.0
    return (
        max(rest, float(by_seed.var(ddof=1)) / seeds) if seeds > 1 else 0.0,
        max(rest, float(by_text.var(ddof=1)) / texts) if texts > 1 else 0.0,
        rest,
    )


def _freedom(of_seeds: float, of_texts: float, rest: float, seeds: int, texts: int) -> float:
    """Satterthwaite (1946): the degrees of freedom of a variance that is put together of others."""
    parts = ((of_seeds, seeds - 1), (of_texts, texts - 1), (rest, (seeds - 1) * (texts - 1)))
    spread = sum(variance**2 / freedom for variance, freedom in parts if freedom)
    return max(1.0, (of_seeds + of_texts - rest) ** 2 / spread) if spread else 1.0


def _half(variance: float, freedom: float, level: float) -> float:
    return t_quantile(1 - level / 2, freedom) * math.sqrt(variance)


def _p(difference: float, variance: float, freedom: float) -> float:
    from scipy.special import stdtr

    if variance <= 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(difference) / math.sqrt(variance)))
