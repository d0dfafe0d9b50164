"""Words, phrases and pairs of words that tell labels apart, found in the training split by a statistical test."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.methods._construct_choice import Construct, choose
from peft_lab.methods._construct_labels import Labels, must_have_labels, read_labels
from peft_lab.methods._construct_statistics import statistics_of
from peft_lab.methods._construct_windows import Tokens, Words, windows
from pluggy_specs import MethodContext, MethodRefused

if TYPE_CHECKING:
    import torch

    from pluggy_specs import Batch

EXAMPLES_FROM = 2000
"""Texts of which examples are taken."""


@dataclass(frozen=True)
class Constructs:
    """What was found, and where it stands in a text."""

    found: Sequence[Construct]
    """By label, the most telling first."""
    labels: Labels
    texts: int
    tested: int
    """Constructs that were tested."""
    words: Words
    reach: int
    examples: Sequence[tuple[Tokens, np.ndarray]]
    """Some training texts with their labels, [text, label]."""

    def positions(self, batch: Batch) -> torch.Tensor:
        """Which tokens of a batch belong to a construct, [text, token]; of a pair, its two ends."""
        import torch

        mask = batch["attention_mask"]
        tokens = self.words.tokens(batch["input_ids"].cpu().numpy(), mask.cpu().numpy())
        return torch.from_numpy(self.marked(tokens, self.found)).to(mask.device)

    def marked(self, tokens: Tokens, constructs: Sequence[Construct]) -> np.ndarray:
        """Which tokens belong to one of some constructs, [text, token]."""
        size = self.words.size
        wanted: dict[int, set[int]] = {}
        for one in constructs:
            wanted.setdefault(one.kind, set()).add(_key(one.ids, size))
        keys = {kind: np.array(sorted(chosen), dtype=np.int64) for kind, chosen in wanted.items()}
        marked = np.zeros_like(tokens.usable)
        for window in windows(tokens, self.words.starts(tokens), size, self.reach):
            if window.kind in keys:
                there = window.valid & np.isin(window.keys, keys[window.kind])
                for offset in window.offsets:
                    marked[:, offset : offset + there.shape[1]] |= there
        return marked


def find_constructs(
    model: torch.nn.Module, context: MethodContext, *, most: int, false_discovery: float, reach: int
) -> Constructs:
    """Read the whole training split and choose what tells its labels apart.

    Args:
        most: constructs kept for each label.
        false_discovery: share of the chosen that may be chance.
        reach: largest distance of the two words of a pair.

    Raises:
        MethodRefused: the task has no labels, or nothing tells them apart.
    """
    must_have_labels(context)
    words = Words(context.tokenizer)
    texts, given = [], []
    for batch in context.batches(sys.maxsize):
        texts.append(words.tokens(batch["input_ids"].cpu().numpy(), batch["attention_mask"].cpu().numpy()))
        given.append(batch["labels"].cpu().numpy() if "labels" in batch else None)
    labels = read_labels(given, getattr(model, "config", None))
    return tell_apart(texts, labels, words, most=most, false_discovery=false_discovery, reach=reach)


def tell_apart(
    texts: Sequence[Tokens], labels: Labels, words: Words, *, most: int, false_discovery: float, reach: int
) -> Constructs:
    """Choose what tells the labels of some texts apart; the texts come in batches, the labels in one.

    Raises:
        MethodRefused: nothing does.
    """
    table = count(texts, words, reach)
    statistics = statistics_of(table.presence.T @ labels.of_texts, table.having, labels.of_texts.sum(0), table.texts)
    found = choose(table, statistics, most, false_discovery, words.size)
    if not found:
        raise MethodRefused(
            f"none of {len(table.keys):,} words and pairs of the training texts tells the labels apart "
            f"(false discovery rate {false_discovery:g})",
            "Give more texts, or choose weights without them: --by fisher",
        )
    examples, start = [], 0
    for tokens in texts:
        if start < EXAMPLES_FROM:
            examples.append((tokens, labels.of_texts[start : start + len(tokens.ids)]))
        start += len(tokens.ids)
    return Constructs(found, labels, table.texts, len(table.keys), words, reach, examples)


@dataclass(frozen=True)
class Table:
    """Which texts have which constructs."""

    kinds: np.ndarray
    keys: np.ndarray
    presence: Any
    """Sparse 0/1, [text, construct]."""
    having: np.ndarray
    """Texts that have it, [construct]."""
    texts: int


def count(texts: Sequence[Tokens], words: Words, reach: int) -> Table:
    """Find all constructs that are neither rare nor in more than half of the texts.

    Rare is what fewer than 3 texts have, or fewer than 0.2 % of them.
    """
    from scipy.sparse import csc_matrix

    number = sum(len(tokens.ids) for tokens in texts)
    least, most = max(3, 0.002 * number), 0.5 * number
    kinds, names, rows, columns = [], [], [], []
    kept = 0
    for kind, (keys, texts_of) in sorted(_places(texts, words, reach, least).items()):
        known, which = np.unique(np.concatenate(keys), return_inverse=True)
        once = np.unique(which.ravel().astype(np.int64) * number + np.concatenate(texts_of))
        column, row = np.divmod(once, number)
        having = np.bincount(column, minlength=len(known))
        keep = (having >= least) & (having <= most)
        place = np.cumsum(keep) - 1 + kept
        kept += int(keep.sum())
        names.append(known[keep])
        kinds.append(np.full(len(names[-1]), kind))
        rows.append(row[keep[column]])
        columns.append(place[column[keep[column]]])
    where = np.concatenate(rows), np.concatenate(columns)
    presence = csc_matrix((np.ones(len(where[0]), dtype=np.float32), where), shape=(number, kept))
    having = np.asarray(presence.sum(0), dtype=float).ravel()
    return Table(np.concatenate(kinds), np.concatenate(names), presence, having, number)


def _places(
    texts: Sequence[Tokens], words: Words, reach: int, least: float
) -> dict[int, tuple[list[np.ndarray], list[np.ndarray]]]:
    """Keys by kind, and the texts they stand in. A construct with a rare token in it is rare and left out."""
    frequent = _frequent_tokens(texts, words.size, least)
    found: dict[int, tuple[list[np.ndarray], list[np.ndarray]]] = {}
    start = 0
    for tokens in texts:
        usual = tokens.usable & frequent[np.where(tokens.usable, tokens.ids, 0)]
        for window in windows(tokens, words.starts(tokens), words.size, reach):
            valid = window.valid.copy()
            for offset in window.offsets:
                valid &= usual[:, offset : offset + valid.shape[1]]
            keys, rows = found.setdefault(window.kind, ([], []))
            keys.append(window.keys[valid])
            rows.append(np.nonzero(valid)[0] + start)
        start += len(tokens.ids)
    return found


def _frequent_tokens(texts: Sequence[Tokens], size: int, least: float) -> np.ndarray:
    """Which token ids enough texts have."""
    having = np.zeros(size, dtype=np.int64)
    for tokens in texts:
        row = np.nonzero(tokens.usable)[0]
        once = np.unique(row * size + tokens.ids[tokens.usable])
        having += np.bincount(once % size, minlength=size)
    return having >= least


def _key(ids: Sequence[int], size: int) -> int:
    key = 0
    for token in ids:
        key = key * size + token
    return key
