"""Which rows go through a model together: little padding, few passes, what prompts begin with in common read once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from peft_lab.methods._shad_rows import Row

TOKENS, ANSWERS, ROWS = 4096, 1024, 32
"""Most tokens, answer tokens and rows of one pass, with padding."""
BEGIN = 128
"""Tokens that could be computed in the time it takes to begin a pass: weights are read from memory, however few tokens
there are. 32 to 60 where the processor has no matrix units for bf16, up to 300 where it has."""


@dataclass
class Group:
    """Rows of one pass, and what was read before their answers, where it is kept."""

    rows: Sequence[Row]
    kept: Any = None
    below: Any = None
    """What the layers below the change made of the answers, once that is known."""

    @property
    def sizes(self) -> list[int]:
        """Tokens of the answers, without one that nothing stands before."""
        return [len(row.ids) - max(1, row.border) for row in self.rows]


def before_answer(row: Row) -> np.ndarray:
    """The tokens that are the same for all answers; the last one before the answer already tells its first token."""
    return row.ids[: max(0, row.border - 1)]


def alike(prompts: Sequence[np.ndarray]) -> int:
    """How many tokens all of them begin with."""
    shortest = min(map(len, prompts))
    first = prompts[0][:shortest]
    same = np.logical_and.reduce([prompt[:shortest] == first for prompt in prompts])
    return int(shortest if same.all() else same.argmin())


def worth_sharing(shared: int, many: int) -> bool:
    """Whether to read once what so many prompts begin with is less than to read it with the rest of each."""
    return (many - 1) * shared > BEGIN


def as_long(rows: Sequence[Row], many: int) -> list[list[Row]]:
    """Rows in batches of so many that are about as long, the longest first."""
    ordered = sorted(rows, key=lambda row: len(row.ids), reverse=True)
    return [ordered[at : at + many] for at in range(0, len(ordered), many)]


def grouped(rows: Sequence[Row], most: int = ROWS) -> Iterator[Group]:
    """Rows in groups that one pass can hold, the longest first."""
    group: list[Row] = []
    for row in sorted(rows, key=lambda row: len(row.ids), reverse=True):
        more = [*group, row]
        prompt, answer = (
            max(map(len, parts)) for parts in ([before_answer(r) for r in more], [r.answer for r in more])
        )
        if group and (len(more) > most or not _fits(len(more), prompt, answer)):
            yield Group(group)
            more = [row]
        group = more
    if group:
        yield Group(group)


def cheapest(rows: Sequence[Row]) -> list[Group]:
    """Rows in groups that one pass can hold, so that least is computed: those with prompts that begin alike together,
    or those that are as long."""
    orders = (
        sorted(rows, key=lambda row: row.ids.astype(">i4").tobytes()),
        sorted(rows, key=lambda row: (row.border, len(row.ids)), reverse=True),
    )
    return min(map(_cut, orders), key=lambda found: found[0])[1]


def _cut(rows: Sequence[Row]) -> tuple[int, list[Group]]:
    """Rows cut into groups of neighbours at the best places, and what all of them cost."""
    prompts = [before_answer(row) for row in rows]
    beside = [0, *(alike(two) for two in itertools.pairwise(prompts))]
    best: list[tuple[float, int]] = [(0, 0)] + [(math.inf, 0)] * len(rows)
    for start in range(len(rows)):
        prompt = answer = 0
        shared = len(prompts[start])
        for end in range(start + 1, min(start + ROWS, len(rows)) + 1):
            prompt, answer = max(prompt, len(prompts[end - 1])), max(answer, len(rows[end - 1].answer))
            shared = shared if end == start + 1 else min(shared, beside[end - 1])
            if end > start + 1 and not _fits(end - start, prompt, answer):
                break
            cost = best[start][0] + _computed(end - start, prompt, answer, shared)
            best[end] = min(best[end], (cost, start))
    groups, end = [], len(rows)
    while end:
        groups.append(Group(rows[best[end][1] : end]))
        end = best[end][1]
    return int(best[-1][0]), groups[::-1]


def _fits(many: int, prompt: int, answer: int) -> bool:
    """Whether one pass can hold so many rows of so many tokens."""
    return many <= ROWS and many * answer <= ANSWERS and many * (prompt + answer) <= TOKENS


def _computed(many: int, prompt: int, answer: int, shared: int) -> int:
    """Tokens that are computed for a group, padding too, and what it takes to begin; those of answers twice."""
    if worth_sharing(shared, many):
        return 3 * BEGIN + shared + many * (prompt - shared + 2 * answer)
    return 2 * BEGIN + many * (prompt + 2 * answer)
