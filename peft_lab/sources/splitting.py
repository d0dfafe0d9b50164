"""Draw rows by label, or in groups, the same ones on every machine for the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def draw(
    codes: np.ndarray | None,
    candidates: np.ndarray,
    count: int,
    seed: int,
    *,
    leave: int,
    least: int,
    among: np.ndarray | None = None,
) -> np.ndarray:
    """Return ``count`` of ``candidates`` (row numbers), each label in proportion, in ascending order.

    Of every label ``leave`` rows are left behind and ``least`` are taken where there are enough. Fewer than
    ``count`` come back where ``leave`` forbids more.

    Args:
        codes: the label of each row as a number that follows the alphabet; None draws from all rows alike.
        among: row numbers of which ``leave`` are left; all when not given.
    """
    import numpy as np

    # RandomState and not default_rng: its stream is frozen, so a split can be drawn again years from now.
    order = np.random.RandomState(seed).permutation(candidates)
    groups = np.zeros(len(order), dtype=np.int32) if codes is None else codes[order]
    order = order[np.argsort(groups, kind="stable")]
    present, sizes = np.unique(groups, return_counts=True)
    total = sizes if codes is None else np.bincount(codes if among is None else codes[among])[present]
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
    ends = np.cumsum(sizes)
    chosen = [order[end - size : end - size + some] for end, size, some in zip(ends, sizes, take, strict=True)]
    return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *chosen]))


def in_turn(codes: np.ndarray | None, candidates: np.ndarray, seed: int) -> np.ndarray:
    """Return all ``candidates`` (row numbers) in an order of which every beginning has each label in proportion.

    The first rows are one of each label. Behind them a label has, among the first of all, its share of them to within
    two rows. So whoever takes the first 30 has all that whoever takes the first 20 has.

    Args:
        codes: the label of each row as a number that follows the alphabet; None orders all rows alike.
    """
    import numpy as np

    order = np.random.RandomState(seed).permutation(candidates)
    if codes is None:
        return order
    groups = codes[order]
    order = order[np.argsort(groups, kind="stable")]
    sizes = np.unique(groups, return_counts=True)[1]
    size = np.repeat(sizes, sizes)
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # The middle of a label's n-th part comes when n parts of all have come; the first of each come before everything.
    when = np.where(place == 0, -1.0, (place + 0.5) / size)
    return order[np.lexsort((-size, when))]


def whole_in_turn(groups: np.ndarray, candidates: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return rows of whole groups, ascending: ``count`` at most, but one group at least; with more come more groups.

    Args:
        groups: the number of the group of each row.
        candidates: row numbers; a group is drawn where all of its rows are among them.
    """
    import numpy as np

    order, place, sizes = _whole_groups(groups, candidates, seed)
    enough = max(1, int((np.cumsum(sizes[order]) <= count).sum()))
    return np.flatnonzero(np.isin(place, order[:enough]))


def draw_whole(groups: np.ndarray, candidates: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return rows of whole groups, ascending: ``count`` at most, or one small group where none has so few.

    Args:
        groups: the number of the group of each row.
        candidates: row numbers; a group is drawn where all of its rows are among them.
    """
    import numpy as np

    order, place, sizes = _whole_groups(groups, candidates, seed)
    drawn = np.cumsum(sizes[order]) <= count
    if not drawn.any() and len(order):
        drawn[np.argmin(sizes[order])] = True
    return np.flatnonzero(np.isin(place, order[drawn]))


def _whole_groups(groups: np.ndarray, candidates: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups all of whose rows are candidates, in the order of the seed; the group of each row; the size of each group.

    Groups are counted from 0 here, in the order of their numbers.
    """
    import numpy as np

    among = np.zeros(len(groups), dtype=bool)
    among[candidates] = True
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    whole = np.flatnonzero(np.bincount(place, weights=among) == sizes)
    return np.random.RandomState(seed).permutation(whole), place, sizes


def apart(groups: np.ndarray, once: np.ndarray, count: int) -> np.ndarray:
    """Return the rows of the groups that stand nowhere else; where those are too few, of those whose last row does not.

    Where most conversations begin with the same greeting, hardly one has nothing in common with any other.

    Args:
        groups: the number of the group of each row, the rows of a group one after another.
        once: numbers of the rows whose text stands nowhere else.
        count: how many rows are wanted.
    """
    import numpy as np

    alone = np.zeros(len(groups), dtype=bool)
    alone[once] = True
    ends = np.flatnonzero(np.append(groups[1:] != groups[:-1], True))
    starts = np.append(0, ends[:-1] + 1)
    sizes = ends - starts + 1
    wholly = np.add.reduceat(alone, starts, dtype=np.int64) == sizes if len(groups) else np.zeros(0, dtype=bool)
    fit = wholly if sizes[wholly].sum() >= count else alone[ends]
    return np.flatnonzero(np.repeat(fit, sizes))
