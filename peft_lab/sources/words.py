"""Texts whose words have labels: a text is its words with single blanks between them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from peft_lab.errors import DataProblem
from peft_lab.sources.labels import kind_of

BLANKS = re.compile(r"[ \t\r\n\f\v]+")
FIRM = "\u00a0"
"""Stands for a blank inside a word: it looks like one, and does not separate."""


def words_of(text: str) -> list[str]:
    """Return the words of a text, which blanks separate."""
    return [word for word in BLANKS.split(text) if word]


def one_blank(text: str) -> str:
    """Return a text with single blanks between its words, and none around them."""
    return " ".join(words_of(text))


def as_words(value: Any, column: str) -> list[str]:
    """Return the words in a cell: of a list each one as it is, empty ones too, of a text what blanks separate.

    Raises:
        DataProblem: it holds neither.
    """
    if value is None or value != value:
        return []
    if isinstance(value, str):
        return words_of(value)
    if not isinstance(value, list | tuple):
        raise DataProblem(f"column {column!r} holds {_kind(value)}, not words", "A list of words, or a text, is needed")
    inner = next((item for item in value if isinstance(item, list | dict | bytes)), None)
    if inner is not None:
        raise DataProblem(f"column {column!r} holds lists of {kind_of(inner)}", "A list of words is needed")
    return ["" if item is None else str(item) for item in value]


def joined(words: Iterable[str]) -> str:
    """Return words as one text; a blank inside a word becomes one that does not separate."""
    return " ".join(BLANKS.sub(FIRM, word.strip(" \t\r\n\f\v")) for word in words)


def _kind(value: Any) -> str:
    return kind_of(value) if isinstance(value, dict | bytes) else "single values"
