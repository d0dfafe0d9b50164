"""Words of answers: a word that is cut into several tokens is told by one of them, and the others follow from it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from peft_lab.methods._shad_rows import Row
from pluggy_specs.pieces import pieces_of

WITHOUT_BLANKS = ("THAI", "LAO", "KHMER", "MYANMAR")
"""Scripts, besides those of wide characters, that write no blanks between words."""
JOINERS = "\u200c\u200d"
"""Stand inside of words, as in Persian and Hindi."""


def words_in(tokenizer: Any, rows: Sequence[Row]) -> np.ndarray:
    """The number of the word that each answer token belongs to, int64 [token], one row after another.

    A word is a run of letters with their marks, digits and underscores. Where a script writes no blanks between words,
    as Japanese does, each token is a word of its own, and so are the tokens of one letter together.
    """
    begins = [first for row in rows for first in _beginnings(pieces_of(tokenizer, row.answer.tolist()))]
    return np.cumsum(begins) - 1


def _beginnings(pieces: Sequence[str]) -> Iterator[bool]:
    """Whether a word begins at each piece. A letter that takes several tokens stands at the last of them."""
    before, inside = "", False
    for at, piece in enumerate(pieces):
        text = piece or next(filter(None, pieces[at:]), "")
        yield not inside and not (before and text and _in_word(before) and _in_word(text[0]))
        inside = not piece
        before = piece[-1:] or before


def largest_of_word(values: np.ndarray, words: np.ndarray) -> np.ndarray:
    """For each token the largest value of its word, [token]."""
    most = np.full(int(words.max()) + 1 if len(words) else 0, -np.inf, dtype=values.dtype)
    np.maximum.at(most, words, values)
    return most[words]


def _in_word(letter: str) -> bool:
    if not (letter.isalnum() or letter == "_" or letter in JOINERS or unicodedata.category(letter)[0] == "M"):
        return False
    if unicodedata.east_asian_width(letter) in "WF":
        return False
    return not unicodedata.name(letter, "").startswith(WITHOUT_BLANKS)
