"""Which of the constructs that were tested are kept for each label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peft_lab.methods._construct_statistics import Statistics
from peft_lab.methods._construct_windows import spelled

if TYPE_CHECKING:
    from peft_lab.methods._constructs import Table

SURE = 1.96
"""Standard errors above which the log-odds speak for a label."""
SAME = 0.9
"""Share of texts in common above which two constructs are one."""
NO_MORE = 0.05
"""Chance that what a longer construct tells is told by a part of it; above, the part is enough."""


@dataclass(frozen=True)
class Construct:
    """Something that speaks for a label."""

    kind: int
    """Tokens side by side; 0 for two with others between them."""
    ids: tuple[int, ...]
    label: int
    inside: int
    """Texts of the label that have it."""
    having: int
    """Texts that have it."""
    z: float
    adjusted: float
    chi_square: float


def choose(table: Table, statistics: Statistics, most: int, false_discovery: float, size: int) -> list[Construct]:
    """The most telling constructs of each label, each said once."""
    chosen = []
    telling = (statistics.adjusted <= false_discovery) & (statistics.z > SURE)
    for label in range(telling.shape[1]):
        z = statistics.z[:, label]
        these = np.flatnonzero(telling[:, label])
        # Of two that tell as much, words side by side come before a pair apart.
        these = these[np.lexsort((table.kinds[these] == 0, -z[these]))][: 8 * most]
        these = _said_once(these, table, statistics.inside[:, label], size)[:most]
        for at in these:
            chosen.append(
                Construct(
                    kind=int(table.kinds[at]),
                    ids=spelled(int(table.kinds[at]), int(table.keys[at]), size),
                    label=label,
                    inside=int(statistics.inside[at, label]),
                    having=int(table.having[at]),
                    z=float(z[at]),
                    adjusted=float(statistics.adjusted[at, label]),
                    chi_square=float(statistics.chi_square[at, label]),
                )
            )
    return chosen


def _said_once(these: np.ndarray, table: Table, inside: np.ndarray, size: int) -> np.ndarray:
    """Of constructs within one another one stays, in the order given.

    Where nearly the same texts have them the longer, as "lost card" says more than "lost". Otherwise the part, unless
    the longer one tells more among the texts that have the part: "printer … the" is no better than "printer". Two that
    are not within one another both stay, as they mark other places.
    """
    from scipy.stats import hypergeom

    columns = table.presence[:, these]
    common = (columns.T @ columns).toarray()
    having, inside, kinds = table.having[these], inside[these], table.kinds[these]
    same = common >= SAME * (having[:, None] + having[None, :] - common)
    ids = [spelled(int(kind), int(key), size) for kind, key in zip(kinds, table.keys[these], strict=True)]
    # Of equal length, words side by side are more than a pair apart.
    length = np.where(kinds == 0, 1.5, kinds)
    held = (common >= having[None, :]) & (length[:, None] < length[None, :])
    dropped = np.zeros(len(these), dtype=bool)
    for part, longer in sorted(np.argwhere(held).tolist(), key=lambda pair: -length[pair[1]]):
        if dropped[longer] or not _within(ids[part], ids[longer]):
            continue
        if same[part, longer]:
            dropped[part] = True
        elif hypergeom.sf(inside[longer] - 1, having[part], inside[part], having[longer]) > NO_MORE:
            dropped[longer] = True
    return these[~dropped]


def _within(part: Sequence[int], whole: Sequence[int]) -> bool:
    """Whether the tokens stand in the whole in this order, others between them or not."""
    rest = iter(whole)
    return all(token in rest for token in part)
