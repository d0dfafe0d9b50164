"""Whether new answers have the format that a run was trained on: arithmetic on losses of tokens, no model.

Format tokens are those that stand, with the token before them, in many of the answers, or were boilerplate where the
run found roles. In answers of the old format a trained model foresees them; where the format changed it does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from peft_lab.by_role import Taught, rows_of
from pluggy_specs import Artifact
from pluggy_specs.pieces import BOILERPLATE

Pair = tuple[int, int]
"""A token and the one before it."""
SUPPORT = 0.3
"""A pair that at least this share of the answers have belongs to their format."""
QUANTILE, LEAST_LOSS = 0.95, 0.5
"""A loss has risen that is above this quantile of those of format tokens before, and above this number: a token less
likely than 60 % is none that a model is sure of."""
DRAWS, SURE, LEAST_SHARE = 2000, 0.99, 0.1
"""The threshold: this quantile over so many draws of held-out rows, and at least this share."""
EXAMPLES, LONGEST = 6, 24
"""Stretches that are shown, and how many tokens of each."""


@dataclass(frozen=True)
class Drift:
    """What became of the format."""

    share: float
    """Of the new format tokens, those whose loss has risen."""
    old_share: float
    """The same of held-out rows of the old data."""
    threshold: float
    loss: float
    """Above which a loss has risen."""
    rows: int
    old_rows: int
    tokens: int
    """New format tokens."""
    known: float
    """Share of the new answers' tokens that the old format has, too."""
    old_known: float
    examples: Sequence[tuple[tuple[int, ...], int, float]] = field(default_factory=tuple)
    """Stretches of tokens whose loss has risen, with in how many answers and their mean loss, the commonest first."""

    @property
    def changed(self) -> bool:
        """Whether roles must be found again. Answers without any format have changed as well."""
        return not self.tokens or self.share > self.threshold


def boilerplate_pairs(roles: Artifact) -> set[Pair]:
    """Pairs that were boilerplate at least every second time."""
    times: Counter[Pair] = Counter()
    boilerplate: Counter[Pair] = Counter()
    for row in rows_of(roles).values():
        for pair, role in zip(pairs_of(row), row.values["role"].tolist(), strict=True):
            times[pair] += 1
            boilerplate[pair] += role == BOILERPLATE
    return {pair for pair, many in times.items() if 2 * boilerplate[pair] >= many}


def compare_formats(old: Sequence[Taught], new: Sequence[Taught], known: set[Pair], seed: int = 0) -> Drift:
    """Whether the losses of format tokens have risen.

    Args:
        old: held-out rows of the data that the run was trained on, with losses ``after``.
        new: rows that may have another format, with the same.
        known: boilerplate of the old format; empty where no roles were found.
        seed: of the draws for the threshold.
    """
    before, now = (_format(rows, known) for rows in (old, new))
    losses = np.concatenate([row.values["after"][part] for row, part in zip(old, before, strict=True)])
    limit = max(LEAST_LOSS, float(np.quantile(losses, QUANTILE)) if len(losses) else 0.0)
    risen_before, risen = (
        np.array(
            [[(row.values["after"][part] > limit).sum(), part.sum()] for row, part in zip(rows, parts, strict=True)]
        )
        for rows, parts in ((old, before), (new, now))
    )
    draw = np.random.default_rng(seed).integers(len(old), size=(DRAWS, len(new)))
    sums = risen_before[draw].sum(1)
    shares = sums[:, 0] / np.maximum(1, sums[:, 1])
    tokens = int(risen[:, 1].sum())
    return Drift(
        share=float(risen[:, 0].sum() / max(1, tokens)),
        old_share=float(risen_before[:, 0].sum() / max(1, risen_before[:, 1].sum())),
        threshold=max(LEAST_SHARE, float(np.quantile(shares, SURE))),
        loss=limit,
        rows=len(new),
        old_rows=len(old),
        tokens=tokens,
        known=_share_of(new, known | _repeated(old)),
        old_known=_share_of(old, known | _repeated(old)),
        examples=tuple(_examples(new, now, limit)),
    )


def pairs_of(row: Taught) -> list[Pair]:
    """Each supervised token of a row with the token before it."""
    return list(zip(row.before.tolist(), row.ids.tolist(), strict=True))


def _repeated(rows: Sequence[Taught]) -> set[Pair]:
    """Pairs that many of the rows have, and at least two."""
    having = Counter(pair for row in rows for pair in set(pairs_of(row)))
    return {pair for pair, many in having.items() if many >= max(2, SUPPORT * len(rows))}


def _format(rows: Sequence[Taught], known: set[Pair]) -> list[np.ndarray]:
    """Which supervised tokens of each row are of its format."""
    of_format = known | _repeated(rows)
    return [np.array([pair in of_format for pair in pairs_of(row)], dtype=bool) for row in rows]


def _share_of(rows: Sequence[Taught], pairs: set[Pair]) -> float:
    every = [pair in pairs for row in rows for pair in pairs_of(row)]
    return float(np.mean(every)) if every else 0.0


def _examples(
    rows: Sequence[Taught], parts: Sequence[np.ndarray], limit: float
) -> list[tuple[tuple[int, ...], int, float]]:
    answers: Counter[tuple[int, ...]] = Counter()
    losses: dict[tuple[int, ...], list[float]] = {}
    for row, part in zip(rows, parts, strict=True):
        at = np.flatnonzero(part & (row.values["after"] > limit))
        stretches = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if len(at) else []
        known = {tuple(row.ids[one[:LONGEST]].tolist()): one for one in stretches}
        answers.update(known.keys())
        for ids, one in known.items():
            losses.setdefault(ids, []).append(float(row.values["after"][one].mean()))
    return [(ids, many, float(np.mean(losses[ids]))) for ids, many in answers.most_common(EXAMPLES)]
