"""Words of answers: a word that is cut into several tokens is told by one of them, and the others follow from it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from peft_lab.methods._shad_rows import Row
from pluggy_specs.pieces import pieces_of

WITHOUT_BLANKS = ("THAI", "LAO", "KHMER", "MYANMAR")
"""Scripts, besides those of wide characters, that write no blanks between words."""


def words_in(tokenizer: Any, rows: Sequence[Row]) -> np.ndarray:
    """The number of the word that each answer token belongs to, int64 [token], one row after another.

    A word is a run of letters, digits and underscores. Where a script writes no blanks between words, as Japanese
    does, each token is a word of its own.
    """
    begins: list[bool] = []
    for row in rows:
        before = ""
        for piece in pieces_of(tokenizer, row.answer.tolist()):
            begins.append(not (before and piece and _in_word(before[-1]) and _in_word(piece[0])))
            before = piece
    return np.cumsum(begins) - 1


def largest_of_word(values: np.ndarray, words: np.ndarray) -> np.ndarray:
    """For each token the largest value of its word, [token]."""
    most = np.full(int(words.max()) + 1 if len(words) else 0, -np.inf, dtype=values.dtype)
    np.maximum.at(most, words, values)
    return most[words]


def _in_word(letter: str) -> bool:
    if not (letter.isalnum() or letter == "_"):
        return False
    if unicodedata.east_asian_width(letter) in "WF":
        return False
    return not unicodedata.name(letter, "").startswith(WITHOUT_BLANKS)
