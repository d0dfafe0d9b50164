"""What is gained by handing the least sure answers to a person: risk against coverage, and the area under it.

Items are sorted by confidence, the surest first. Over the first k of n the coverage is k / n and the risk r_k the share
of wrong answers. Items of equal confidence cannot be told apart, so each counts with the mean of its group, and a
threshold lies between groups only: nothing here depends on the order in which texts came.

Two areas are in use and differ: form A is the mean of all r_k; form B the trapezoids between coverage 1 / n and 1, over
1 - 1 / n (as torch-uncertainty has it). What is shown is form A, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RiskCoverage:
    """Risk over the first k items for each k, the surest first."""

    coverage: np.ndarray
    risk: np.ndarray
    confidence: np.ndarray
    """Of the k-th item: the threshold at which just these are answered."""
    ends: np.ndarray
    """Where a threshold can lie: behind the last of equally sure items."""


def risk_coverage(confidence: np.ndarray, wrong: np.ndarray) -> RiskCoverage:
    """The curve; ``wrong`` is 1 for a wrong answer, or what a wrong one costs."""
    order = np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")
    sorted_confidence = np.asarray(confidence, dtype=np.float64)[order]
    sorted_wrong = np.asarray(wrong, dtype=np.float64)[order]
    count = len(order)
    ends = np.ones(count, dtype=bool)
    ends[:-1] = sorted_confidence[:-1] != sorted_confidence[1:]
    group = np.concatenate([[0], np.cumsum(ends)[:-1]]) if count else np.zeros(0, dtype=np.int64)
    sizes = np.bincount(group)
    means = np.bincount(group, weights=sorted_wrong) / sizes if count else np.zeros(0)
    k = np.arange(1, count + 1)
    return RiskCoverage(k / max(count, 1), np.cumsum(means[group]) / k, sorted_confidence, ends)


def area(curve: RiskCoverage, form: str = "A") -> float:
    """AURC in form A or B; NaN where there are too few items for it."""
    count = len(curve.risk)
    if count < (1 if form == "A" else 2):
        return float("nan")
    if form == "A":
        return float(curve.risk.mean())
    steps = np.diff(curve.coverage) * (curve.risk[1:] + curve.risk[:-1]) / 2
    return float(steps.sum() / (1 - curve.coverage[0]))


def excess_area(curve: RiskCoverage) -> float:
    """How far form A lies above that of a model as often right whose wrong answers all are its least sure ones.

    That one has e + (1 - e) ln(1 - e) for an error rate e (arXiv:1805.08206).
    """
    if not len(curve.risk):
        return float("nan")
    error = float(curve.risk[-1])
    least = error + ((1 - error) * np.log1p(-error) if error < 1 else 0.0)
    return area(curve) - float(least)


def coverage_at(curve: RiskCoverage, risk: float) -> float:
    """The largest share that can be answered with a risk of at most so much; NaN where there is none."""
    fits = curve.ends & (curve.risk <= risk + 1e-12)
    return float(curve.coverage[fits].max()) if fits.any() else float("nan")


def threshold_for(curve: RiskCoverage, risk: float) -> float | None:
    """The confidence from which on answers are given so that the risk is at most so much; None where there is none."""
    fits = np.flatnonzero(curve.ends & (curve.risk <= risk + 1e-12))
    return float(curve.confidence[fits[-1]]) if len(fits) else None


def at_threshold(confidence: np.ndarray, wrong: np.ndarray, threshold: float) -> tuple[float, float]:
    """Coverage and risk where answers are given from a confidence on; the risk is NaN where none is given."""
    kept = np.asarray(confidence) >= threshold
    return float(kept.mean()), float(np.asarray(wrong, dtype=np.float64)[kept].mean()) if kept.any() else float("nan")
