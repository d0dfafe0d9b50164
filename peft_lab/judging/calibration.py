"""Whether a model is as often right as it says: expected calibration error, and the temperature that mends it.

ECE = sum over bins of (n_b / n) |accuracy_b - mean confidence_b|, with bins of equal width (lower, upper]
(arXiv:1706.04599). The temperature divides all outputs; it never changes an answer, only how sure the model says to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from peft_lab.judging.answers import softmax

BINS = 15
LOWEST, HIGHEST = 0.05, 20.0
"""Between these a temperature is looked for: where every answer is right, the likelihood would ask for 0."""


@dataclass(frozen=True)
class Reliability:
    """For each bin of confidence how many items lie in it, how sure the model was of them and how often right."""

    edges: np.ndarray
    count: np.ndarray
    confidence: np.ndarray
    """Mean of the bin; NaN where it is empty."""
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error; NaN without items."""
        total = self.count.sum()
        if not total:
            return float("nan")
        there = self.count > 0
        gaps = np.abs(self.accuracy[there] - self.confidence[there])
        return float((self.count[there] * gaps).sum() / total)


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> Reliability:
    """Sort items into bins of equal width; one that lies on an edge belongs to the bin below, 0 to the first."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    number = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(number, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(number, weights=confidence, minlength=bins) / count
        right = np.bincount(number, weights=np.asarray(correct, dtype=np.float64), minlength=bins) / count
    return Reliability(edges, count, mean, right)


def log_loss(outputs: np.ndarray, label: np.ndarray, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood of the right labels."""
    scaled = np.asarray(outputs, dtype=np.float64) / temperature
    top = scaled.max(-1, keepdims=True)
    whole = top[:, 0] + np.log(np.exp(scaled - top).sum(-1))
    return float((whole - scaled[np.arange(len(label)), label]).mean())


def brier(outputs: np.ndarray, label: np.ndarray, temperature: float = 1.0) -> float:
    """Mean squared distance of the probabilities from what was right, over all labels: 0 at best, 2 at worst."""
    shares = softmax(outputs, temperature)
    shares[np.arange(len(label)), label] -= 1.0
    return float(np.square(shares).sum(-1).mean())


def fit_temperature(outputs: np.ndarray, label: np.ndarray) -> float:
    """The temperature with the least negative log-likelihood on held-out items that chose nothing else.

    The loss is convex in 1 / temperature, so it has one minimum along any scale of it; it is found within 0.05 and 20.
    """
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        return log_loss(outputs, label, float(np.exp(logarithm)))

    bounds = (float(np.log(LOWEST)), float(np.log(HIGHEST)))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    # The search looks at neither 1 nor the ends: what is no better than 1 is 1, and a loss that only falls is an end.
    return float(np.exp(min((0.0, *bounds, float(found.x)), key=loss)))
