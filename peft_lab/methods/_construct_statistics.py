"""Whether a construct tells a label from the others: a test, a correction for many tests, and a direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEW = 5.0
"""Expected texts in a cell below which chi-square is not to be trusted."""
PRIOR = 0.5
"""Texts of the prior for each training text: what occurs nowhere else must not have infinite odds."""


@dataclass(frozen=True)
class Statistics:
    """For every construct and label, [construct, label]."""

    inside: np.ndarray
    """Texts of the label that have the construct."""
    chi_square: np.ndarray
    """NaN where the exact test was used."""
    adjusted: np.ndarray
    """p-values after Benjamini and Hochberg."""
    z: np.ndarray
    """Log-odds in standard errors; above zero where the construct speaks for the label."""


def statistics_of(inside: np.ndarray, having: np.ndarray, labelled: np.ndarray, texts: int) -> Statistics:
    """Test every construct against every label.

    Args:
        inside: texts with the construct and the label, [construct, label].
        having: texts with the construct, [construct].
        labelled: texts with the label, [label].
        texts: all of them.
    """
    from scipy.stats import false_discovery_control

    chi_square = np.full(inside.shape, np.nan)
    p = np.ones(inside.shape)
    z = np.zeros(inside.shape)
    for label, size in enumerate(labelled):
        if 0 < size < texts:
            a = inside[:, label]
            chi_square[:, label], p[:, label] = _independence(a, having, float(size), float(texts))
            z[:, label] = _log_odds(a, having, float(size), float(texts))
    adjusted = false_discovery_control(p.ravel()).reshape(p.shape) if p.size else p
    return Statistics(inside, chi_square, adjusted, z)


def _independence(a: np.ndarray, having: np.ndarray, size: float, texts: float) -> tuple[np.ndarray, np.ndarray]:
    """Chi-square with one degree of freedom and its p-value; Fisher's exact test where cells are small."""
    from scipy.stats import chi2

    b, c = having - a, size - a
    d = texts - having - c
    below = having * (texts - having) * size * (texts - size)
    statistic = np.divide(texts * (a * d - b * c) ** 2, below, out=np.zeros_like(below), where=below > 0)
    p = chi2.sf(statistic, 1)
    smallest = np.minimum(having, texts - having) * min(size, texts - size) / texts
    exact = smallest < FEW
    p[exact] = _exact(a[exact], having[exact], size, texts)
    statistic[exact] = np.nan
    return statistic, p


def _exact(a: np.ndarray, having: np.ndarray, size: float, texts: float) -> np.ndarray:
    """Fisher's exact test, two-sided as twice the smaller tail. Equal tables are computed once: they are many."""
    from scipy.stats import hypergeom

    tables, where = np.unique(np.stack([a, having], axis=1), axis=0, return_inverse=True)
    a, having = tables.T
    more = a * texts > having * size
    p = np.ones(len(tables))
    p[more] = hypergeom.sf(a[more] - 1, texts, having[more], size)
    p[~more] = hypergeom.cdf(a[~more], texts, having[~more], size)
    return np.clip(2 * p, 0, 1)[where.ravel()]


def _log_odds(a: np.ndarray, having: np.ndarray, size: float, texts: float) -> np.ndarray:
    """Difference of smoothed log-odds between the label's texts and the others, over its standard error.

    The prior is Dirichlet in proportion to how often the construct occurs at all (Monroe, Colaresi and Quinn 2008).
    """
    prior, weight = PRIOR * having, PRIOR * texts
    b = having - a
    own = np.log(a + prior) - np.log(size + weight - a - prior)
    others = np.log(b + prior) - np.log(texts - size + weight - b - prior)
    return (own - others) / np.sqrt(1 / (a + prior) + 1 / (b + prior))
