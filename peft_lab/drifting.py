"""Whether new answers have the format that a run was trained on: arithmetic on losses of tokens, no model.

Format tokens are those that stand, with the token before them, in many of the answers, or were boilerplate where the
run found roles. In answers of the old format a trained model foresees them; where the format changed it does not, or
there are hardly any. A run that does not foresee its own format tells nothing by its losses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from peft_lab.by_role import Taught, rows_of
from pluggy_specs import Artifact
from pluggy_specs.pieces import BOILERPLATE

Pair = tuple[int, int]
"""A token and the one before it."""
SUPPORT = 0.3
"""A pair that at least this share of the answers have belongs to their format."""
FORESEEN = 0.5
"""A token with a loss above this is foreseen badly: it is less likely than 60 %."""
UNLEARNED = 0.5
"""A run that foresees more than this share of its own format badly has not learned it, and its losses tell nothing. A
choice of this project: language models that were trained have 0.2 to 0.3, those with random weights 1."""
DRAWS, SURE = 2000, 0.995
"""What is chance: up to this quantile over so many draws of held-out rows."""
LEAST_RISE, LEAST_FALL = 0.1, 0.25
"""What is no change, however sure it is: of the share foreseen badly, a rise in points; of the known format, a fall as
a part of what held-out rows have."""
ELSEWHERE = 2
"""Rows that must have boilerplate for it to be known: what one row alone has can be found in no other. Of a held-out
row these must be others, so that new rows are not measured against rows that the format was read from."""
EXAMPLES, LONGEST = 6, 24
"""Stretches that are shown, and how many tokens of each."""


@dataclass(frozen=True)
class Drift:
    """What became of the format."""

    share: float
    """Of the new format tokens, those that are foreseen badly."""
    old_share: float
    """The same of held-out rows of the old data."""
    threshold: float
    """Above which that is no chance."""
    rows: int
    old_rows: int
    tokens: int
    """New format tokens."""
    old_tokens: int
    known: float
    """Share of the new answers' tokens that the old format has, too."""
    old_known: float
    least_known: float
    """Below which that is no chance."""
    lost: bool
    """Whether new answers hold much less of the known format: in share, and in tokens an answer. Longer values alone
    lower the first, shorter answers the second."""
    examples: Sequence[tuple[tuple[int, ...], int, float]] = field(default_factory=tuple)
    """Stretches of tokens foreseen badly, with in how many answers and their mean loss, the commonest first."""

    @property
    def learned(self) -> bool:
        """Whether losses tell anything: the run foresees its own format."""
        return self.old_tokens > 0 and self.old_share <= UNLEARNED

    @property
    def enough(self) -> bool:
        """Whether so many new format tokens can tell anything: some share of them would be no chance."""
        return self.tokens > 0 and self.threshold < 1

    @property
    def risen(self) -> bool:
        """Whether new format tokens are foreseen worse than held-out ones."""
        return self.learned and self.share > self.threshold

    @property
    def changed(self) -> bool:
        """Whether roles must be found again."""
        return self.lost or self.risen

    @property
    def told(self) -> bool:
        """Whether anything can be said."""
        return self.changed or (self.learned and self.enough)


def boilerplate_pairs(roles: Artifact) -> set[Pair]:
    """Pairs that were boilerplate at least every second time, and not in one row alone."""
    times: Counter[Pair] = Counter()
    boilerplate: Counter[Pair] = Counter()
    rows = list(rows_of(roles).values())
    for row in rows:
        for pair, role in zip(pairs_of(row), row.values["role"].tolist(), strict=True):
            times[pair] += 1
            boilerplate[pair] += role == BOILERPLATE
    having = _having(rows)
    return {pair for pair, many in times.items() if 2 * boilerplate[pair] >= many and having[pair] >= ELSEWHERE}


def compare_formats(old: Sequence[Taught], new: Sequence[Taught], known: set[Pair], seed: int = 0) -> Drift:
    """Whether format tokens are foreseen worse, or are hardly there any more.

    Args:
        old: held-out rows of the data that the run was trained on, with losses ``after``.
        new: rows that may have another format, with the same.
        known: boilerplate of the old format; empty where no roles were found.
        seed: of the draws for the thresholds.
    """
    known = known | _repeated(old)
    having = _having(old)
    of_old, of_new = _in_each(old, known), _in_each(new, known | _repeated(new))
    by_row = _counts(old, of_old, _in_each(old, {pair for pair in known if having[pair] > ELSEWHERE}))
    was, now = by_row.sum(0), _counts(new, of_new, _in_each(new, known)).sum(0)
    # Held-out rows are a sample as well: what is chance lies between two draws of them.
    draw, each = np.random.default_rng(seed), np.full(len(old), 1 / len(old))
    as_new, as_old = (draw.multinomial(many, each, DRAWS) @ by_row for many in (len(new), len(old)))

    def least(of: Callable[[np.ndarray], np.ndarray]) -> float:
        fall = float(np.quantile(of(as_new) - of(as_old), 1 - SURE))
        return float(of(was)) + min(fall, -LEAST_FALL * float(of(was)))

    rise = float(np.quantile(_badly(as_new) - _badly(as_old), SURE))
    return Drift(
        share=float(_badly(now)),
        old_share=float(_badly(was)),
        threshold=float(_badly(was)) + max(LEAST_RISE, rise),
        rows=len(new),
        old_rows=len(old),
        tokens=int(now[OF_FORMAT]),
        old_tokens=int(was[OF_FORMAT]),
        known=float(_known(now)),
        old_known=float(_known(was)),
        least_known=max(0.0, least(_known)),
        lost=bool(all(of(now) < least(of) for of in (_known, _known_each))),
        examples=tuple(_examples(new, of_new)),
    )


def pairs_of(row: Taught) -> list[Pair]:
    """Each supervised token of a row with the token before it."""
    return list(zip(row.before.tolist(), row.ids.tolist(), strict=True))


def _having(rows: Sequence[Taught]) -> Counter[Pair]:
    """How many rows have each pair."""
    return Counter(pair for row in rows for pair in set(pairs_of(row)))


def _repeated(rows: Sequence[Taught]) -> set[Pair]:
    """Pairs that many of the rows have, and at least two."""
    return {pair for pair, many in _having(rows).items() if many >= max(2, SUPPORT * len(rows))}


def _in_each(rows: Sequence[Taught], pairs: set[Pair]) -> list[np.ndarray]:
    """Which supervised tokens of each row are among these."""
    return [np.array([pair in pairs for pair in pairs_of(row)], dtype=bool) for row in rows]


BADLY, OF_FORMAT, KNOWN, TOKENS, ROWS = range(5)
"""Columns of counts."""


def _counts(rows: Sequence[Taught], of_format: Sequence[np.ndarray], known: Sequence[np.ndarray]) -> np.ndarray:
    """Counts by row. A loss that is no number is none of a token that is foreseen."""
    return np.array(
        [
            [np.sum(~(row.values["after"][part] <= FORESEEN)), part.sum(), held.sum(), len(held), 1]
            for row, part, held in zip(rows, of_format, known, strict=True)
        ]
    )


def _badly(counts: np.ndarray) -> np.ndarray:
    """Of format tokens, the share that is foreseen badly."""
    return np.asarray(counts[..., BADLY] / np.maximum(1, counts[..., OF_FORMAT]))


def _known(counts: np.ndarray) -> np.ndarray:
    """Of all tokens, the share that is in the known format."""
    return np.asarray(counts[..., KNOWN] / np.maximum(1, counts[..., TOKENS]))


def _known_each(counts: np.ndarray) -> np.ndarray:
    """Tokens of an answer that are in the known format."""
    return np.asarray(counts[..., KNOWN] / counts[..., ROWS])


def _examples(rows: Sequence[Taught], parts: Sequence[np.ndarray]) -> list[tuple[tuple[int, ...], int, float]]:
    answers: Counter[tuple[int, ...]] = Counter()
    losses: dict[tuple[int, ...], list[float]] = {}
    for row, part in zip(rows, parts, strict=True):
        at = np.flatnonzero(part & ~(row.values["after"] <= FORESEEN))
        stretches = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if len(at) else []
        known = {tuple(row.ids[one[:LONGEST]].tolist()): one for one in stretches}
        answers.update(known.keys())
        for ids, one in known.items():
            losses.setdefault(ids, []).append(float(row.values["after"][one].mean()))
    return [(ids, many, float(np.mean(losses[ids]))) for ids, many in answers.most_common(EXAMPLES)]
