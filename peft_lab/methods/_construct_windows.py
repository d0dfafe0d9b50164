"""Where words, phrases and pairs of words stand in tokenised texts, whole batches at a time."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LONGEST = 3
"""Tokens of the longest phrase."""
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""Scripts that set no blanks between words, by the beginning of their letters' Unicode names."""


@dataclass(frozen=True)
class Tokens:
    """Token ids of some texts, [text, token], and which of them are text: padding and special tokens are not."""

    ids: np.ndarray
    usable: np.ndarray


@dataclass(frozen=True)
class Window:
    """All places of one shape: tokens at some distances from a first one."""

    kind: int
    """How many tokens stand side by side; 0 for two with others between them."""
    offsets: tuple[int, ...]
    keys: np.ndarray
    """What stands there, as one number, [text, first token]."""
    valid: np.ndarray
    """Where it holds whole words and lies within one text, [text, first token]."""


class Words:
    """Tells which tokens start a word, and puts tokens into words again."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.size = len(tokenizer)
        vocabulary = [token for token in tokenizer.get_vocab() if isinstance(token, str)]
        self._pieces = sum(token.startswith("##") and token[2:3].isalnum() for token in vocabulary) > 1
        self._blanks = next((mark for mark in "Ġ▁" if sum(token.startswith(mark) for token in vocabulary) > 1), "")
        self._special = np.array(sorted(set(tokenizer.all_special_ids)), dtype=np.int64)
        self._starts = np.full(self.size, -1, dtype=np.int8)

    def tokens(self, ids: np.ndarray, attention: np.ndarray) -> Tokens:
        """The texts without padding and special tokens."""
        usable = attention.astype(bool) & ~np.isin(ids, self._special) & (ids < self.size)
        return Tokens(ids, usable)

    def starts(self, tokens: Tokens) -> np.ndarray:
        """Which tokens start a word, [text, token]. The first of a text does, whatever it looks like."""
        ids = np.where(tokens.usable, tokens.ids, 0)
        unknown = np.unique(ids[tokens.usable])
        for token in unknown[self._starts[unknown] < 0]:
            self._starts[token] = self._starts_a_word(int(token))
        before = np.zeros_like(tokens.usable)
        before[:, 1:] = tokens.usable[:, :-1]
        return tokens.usable & ((self._starts[ids] > 0) | ~before)

    def _starts_a_word(self, token: int) -> bool:
        text = str(self.tokenizer.convert_ids_to_tokens(token))
        if self._pieces:
            return not text.startswith("##")
        if not self._blanks or text.startswith(self._blanks):
            return True
        shown = self.tokenizer.convert_tokens_to_string([text]).strip()
        return bool(shown) and unicodedata.name(shown[0], "").startswith(UNSPACED)

    def many(self, ids: Sequence[int]) -> int:
        """How many words tokens side by side are."""
        there = np.array([ids], dtype=np.int64)
        return int(self.starts(Tokens(there, np.ones_like(there, dtype=bool))).sum())

    def text(self, ids: Sequence[int]) -> str:
        """Tokens as people read them."""
        return " ".join(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False).split())

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text of each token with the blank before it, so that joined they are the text.

        A character that takes several tokens stands at the last of them.
        """
        shown, before = [], ""
        names = self.tokenizer.convert_ids_to_tokens(list(map(int, ids)))
        for end in range(1, len(names) + 1):
            text = self.tokenizer.convert_tokens_to_string(names[:end])
            if text.endswith("\ufffd") and end < len(names):
                shown.append("")
                continue
            same = zip(before, text, strict=False)  # a piece may change how the one before it is written
            shown.append(text[next((at for at, (one, other) in enumerate(same) if one != other), len(before)) :])
            before = text
        return shown


def windows(tokens: Tokens, starts: np.ndarray, vocabulary: int, reach: int) -> Iterator[Window]:
    """Single words, phrases of up to :data:`LONGEST` tokens, and ordered pairs of words with others between them.

    All hold whole words, so that people can read them; of a word with more tokens the first :data:`LONGEST` stand for
    it. None reaches over a special token, such as the one between two texts.

    Args:
        reach: the largest distance within a pair; its smallest is 2.
    """
    parts = np.cumsum(~tokens.usable, axis=1)
    ends = tokens.usable.copy()
    ends[:, :-1] &= starts[:, 1:] | ~tokens.usable[:, 1:]
    side_by_side = [(length, tuple(range(length))) for length in range(1, LONGEST + 1)]
    apart = [(0, (0, distance)) for distance in range(2, reach + 1)]
    for kind, offsets in side_by_side + apart:
        width = tokens.ids.shape[1] - offsets[-1]
        if width < 1:
            continue
        keys = np.zeros((len(tokens.ids), width), dtype=np.int64)
        for offset in offsets:
            keys = keys * vocabulary + tokens.ids[:, offset : offset + width]
        end = slice(offsets[-1], offsets[-1] + width)
        valid = starts[:, :width] & tokens.usable[:, end] & (parts[:, :width] == parts[:, end])
        if kind == 0:
            valid &= ends[:, :width] & starts[:, end] & ends[:, end]
        elif kind < LONGEST:
            valid &= ends[:, end]
        else:
            one_word = ~(starts[:, 1 : width + 1] | starts[:, end])
            valid &= ends[:, end] | one_word
        yield Window(kind, offsets, keys, valid)


def spelled(kind: int, key: int, vocabulary: int) -> tuple[int, ...]:
    """The token ids behind a key."""
    ids: list[int] = []
    for _ in range(kind or 2):
        key, last = divmod(key, vocabulary)
        ids.append(last)
    return tuple(reversed(ids))
