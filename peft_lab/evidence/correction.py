"""Holm's correction: many comparisons are many chances to be wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Corrected p values: with all at or under a level called real, one false alarm or more has at most that chance.

    Holm (1979): the smallest is multiplied by their number, the next by one less, and none falls under the one before.
    Holds whatever the comparisons have to do with each other. A NaN counts as 1.
    """
    p = np.where(np.isnan(p := np.asarray(p_values, dtype=float)), 1.0, p)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1.0, stepped)
    return corrected
