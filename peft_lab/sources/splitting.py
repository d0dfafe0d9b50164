"""Draw rows by label, the same ones on every machine for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def draw(
    labels: Sequence[Any] | None, candidates: np.ndarray, count: int, seed: int, *, leave: int, least: int
) -> np.ndarray:
    """Return ``count`` of ``candidates`` (row numbers), each label in proportion, in ascending order.

    Of every label ``leave`` rows are left behind and ``least`` are taken where there are enough. Fewer than
    ``count`` come back where ``leave`` forbids more. ``labels`` of None draws from all alike.
    """
    import numpy as np

    # RandomState and not default_rng: its stream is frozen, so a split can be drawn again years from now.
    order = np.random.RandomState(seed).permutation(candidates)
    groups: dict[Any, list[int]] = {}
    for row in order.tolist():
        groups.setdefault(None if labels is None else labels[row], []).append(row)
    names = sorted(groups, key=str)
    sizes = np.array([len(groups[name]) for name in names])
    total = _totals(labels, names, sizes)
    most = np.minimum(sizes, np.maximum(total - leave, 0))
    quota = most * min(1.0, count / max(1, int(most.sum())))
    take = np.maximum(np.floor(quota).astype(int), np.minimum(least, most))
    # Largest remainders first; where the least for each label took too many, the fullest labels give back.
    turn = np.argsort(-(quota - np.floor(quota)), kind="stable")
    while take.sum() < min(count, int(most.sum())):
        for place in turn:
            if take.sum() < count and take[place] < most[place]:
                take[place] += 1
    while take.sum() > count and (take > least).any():
        take[int(np.argmax(take - least))] -= 1
    chosen = [row for name, some in zip(names, take, strict=True) for row in groups[name][:some]]
    return np.sort(np.array(chosen, dtype=np.int64))


def _totals(labels: Sequence[Any] | None, names: Sequence[Any], sizes: np.ndarray) -> np.ndarray:
    """Return how many rows each label has in all, candidates or not."""
    import numpy as np

    if labels is None:
        return np.array([sizes.sum()]) if len(names) else sizes
    counts = dict.fromkeys(names, 0)
    for label in labels:
        if label in counts:
            counts[label] += 1
    return np.array([counts[name] for name in names])
