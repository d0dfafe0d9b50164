"""Prompts with answers as token ids, and answers that change places: what SHAD tunes on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pluggy_specs import Batch, MethodRefused
from pluggy_specs.pieces import UNSUPERVISED, digest_of

if TYPE_CHECKING:
    import torch

LEAST, SHARE = 48, 0.01
"""Rows that are shuffled: this share of all, and at least so many."""


@dataclass(frozen=True)
class Row:
    """One prompt with its answer."""

    number: int
    """Its number in the table."""
    ids: np.ndarray
    """Tokens without padding, int32."""
    border: int
    """The place of the first supervised token."""

    @property
    def answer(self) -> np.ndarray:
        """Tokens of the answer with the one that ends it."""
        return self.ids[self.border :]

    @property
    def digest(self) -> str:
        """SHA-256 of the tokens, by which the same row is known in other runs."""
        return digest_of(self.ids.tolist())


def rows_of(batches: Iterable[Batch]) -> list[Row]:
    """The rows of some batches, by number."""
    found = []
    for batch in batches:
        ids, kept, labels, numbers = (batch[n].cpu().numpy() for n in ("input_ids", "attention_mask", "labels", "row"))
        for at, number in enumerate(numbers.tolist()):
            here = kept[at].astype(bool)
            taught = labels[at][here] != UNSUPERVISED
            if taught.any():
                found.append(Row(number, ids[at][here].astype(np.int32), int(taught.argmax())))
    return sorted(found, key=lambda row: row.number)


def sample_size(rows: int, wanted: int | None) -> int:
    """How many rows are shuffled: as many as wanted, else 1 % and at least 48; never more than there are.

    Raises:
        MethodRefused: there are fewer than two.
    """
    if rows < 2:
        raise MethodRefused(f"{rows} row has no other to change answers with", f"Give at least {LEAST} rows")
    return min(rows, wanted or max(LEAST, math.ceil(SHARE * rows)))


def deranged(answers: Sequence[bytes], draw: np.random.Generator) -> np.ndarray:
    """Whose answer each row gets, [row]: never its own, nor one equal to its own where that can be helped.

    Rows with equal answers stand side by side in a random order of groups, and each takes the answer that stands as
    many places on as the largest group has rows. Where all answers differ this is a random cycle.

    Raises:
        MethodRefused: all answers are the same.
    """
    groups: dict[bytes, list[int]] = {}
    for number, answer in enumerate(answers):
        groups.setdefault(answer, []).append(number)
    if len(groups) < 2:
        raise MethodRefused("all answers are the same, so that nothing tells format from content", "Give others")
    members = [draw.permutation(group) for group in groups.values()]
    order = np.concatenate([members[i] for i in draw.permutation(len(members))])
    whose = np.empty(len(answers), dtype=np.int64)
    whose[order] = np.roll(order, -max(map(len, members)))
    return whose


def shuffled(rows: Sequence[Row], draw: np.random.Generator, longest: int) -> list[Row]:
    """The same prompts, each with the answer of another row.

    Args:
        longest: tokens a row may have; more are cut at the beginning of the prompt.
    """
    whose = deranged([row.answer.tobytes() for row in rows], draw)
    return [_joined(row, rows[int(other)].answer, longest) for row, other in zip(rows, whose, strict=True)]


def behind_other_prompts(
    rows: Sequence[Row], draw: np.random.Generator, longest: int
) -> tuple[list[Row], list[Row], np.ndarray]:
    """The same answers, each behind its own prompt and behind that of another row.

    Where the longer of two answers leaves less room than a prompt takes, both prompts lose their beginning: a prompt
    that was cut more than the other would tell less, whatever it says.

    Returns:
        The rows with their own prompts, those with other prompts, and whether the other row has another answer, [row].
    """
    whose = deranged([row.answer.tobytes() for row in rows], draw)
    own, other, differ = [], [], []
    for row, at in zip(rows, whose.tolist(), strict=True):
        room = longest - max(len(row.answer), len(rows[at].answer)) + len(row.answer)
        own.append(_joined(row, row.answer, room))
        other.append(replace(_joined(rows[at], row.answer, room), number=row.number))
        differ.append(row.answer.tobytes() != rows[at].answer.tobytes())
    return own, other, np.array(differ)


def _joined(row: Row, answer: np.ndarray, longest: int) -> Row:
    prompt = row.ids[: row.border][max(0, row.border + len(answer) - longest) :]
    if not len(prompt):  # the first token of an answer is told from the one before it
        prompt = row.ids[row.border - 1 : row.border]
    return Row(row.number, np.concatenate([prompt, answer]), len(prompt))


def padded(rows: Sequence[Row], pad: int, device: torch.device) -> dict[str, torch.Tensor]:
    """A batch of rows, padded at the right."""
    import torch

    width = max(len(row.ids) for row in rows)
    out = {
        "input_ids": torch.full((len(rows), width), pad, dtype=torch.long),
        "attention_mask": torch.zeros((len(rows), width), dtype=torch.long),
        "labels": torch.full((len(rows), width), UNSUPERVISED, dtype=torch.long),
        "row": torch.tensor([row.number for row in rows]),
    }
    for at, row in enumerate(rows):
        ids = torch.from_numpy(row.ids.astype(np.int64))
        out["input_ids"][at, : len(ids)] = ids
        out["attention_mask"][at, : len(ids)] = 1
        out["labels"][at, row.border : len(ids)] = ids[row.border :]
    return {name: values.to(device) for name, values in out.items()}


def digest_of_rows(rows: Sequence[Row]) -> str:
    """SHA-256 of all rows: text, tokenizer and length limit at once, as they are what made the tokens."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.number}:{row.border}:".encode())
        digest.update(row.ids.astype("<i4").tobytes())
    return digest.hexdigest()


def shared_by(rows: Sequence[Row], least: float = 0.5) -> float:
    """Share of answer tokens that stand in at least this share of the answers: how much of a format they have."""
    having: dict[int, int] = {}
    for row in rows:
        for token in np.unique(row.answer).tolist():
            having[token] = having.get(token, 0) + 1
    common = np.array([token for token, many in having.items() if many >= least * len(rows)], dtype=np.int32)
    every = np.concatenate([row.answer for row in rows])
    return float(np.isin(every, common).mean())
