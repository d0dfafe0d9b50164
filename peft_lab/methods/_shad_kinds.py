"""Rows by what their answers begin with: calls of tools and plain answers in one data set have two formats, not one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from peft_lab.methods._shad_rows import LEAST, Row

SHARE, MOST = 0.1, 3
"""Answers that begin alike are a kind when this share of all do; so many kinds at most, beside all others."""


@dataclass(frozen=True)
class Kinds:
    """First tokens by which answers are told apart; answers that begin otherwise are one more kind.

    Shuffled together, the answers of two formats change places with each other: a few calls of tools among many plain
    answers then teach the model more about which of the two comes than about how a call is written.
    """

    first: tuple[int, ...] = ()

    def split(self, rows: Iterable[Row]) -> list[list[Row]]:
        """The rows of each kind, those of no kind last."""
        parts: list[list[Row]] = [[] for _ in (*self.first, None)]
        for row in rows:
            begins = int(row.answer[0])
            parts[self.first.index(begins) if begins in self.first else -1].append(row)
        return parts


def kinds_of(rows: Sequence[Row], least: int = LEAST) -> Kinds:
    """The kinds of some rows. A kind, also that of all others, has at least so many answers that differ."""
    answers: dict[int, set[bytes]] = {}
    having: dict[int, int] = {}
    for row in rows:
        begins = int(row.answer[0])
        answers.setdefault(begins, set()).add(row.answer.tobytes())
        having[begins] = having.get(begins, 0) + 1
    common = [t for t in having if having[t] >= SHARE * len(rows) and len(answers[t]) >= least]
    first = sorted(common, key=lambda token: having[token], reverse=True)[:MOST]
    while first and len(set().union(*(answers[t] for t in answers if t not in first))) < least:
        first.pop()  # too few are left over: the smallest kind goes with them
    return Kinds(tuple(first))
