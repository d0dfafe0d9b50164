r"""Tokens as people can read them: blanks get marks, what cannot be seen is written out, bytes are put together.

Every text of a token goes through here, for pages, titles, tables and terminals alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from peft_lab.present.style import esc, visible
from peft_lab.texts import tokens as texts

BLANK, NEWLINE, TAB = "·", "⏎", "⇥"
LONGEST = 96
"""Characters of one token that are shown."""
_BROKEN = "\ufffd"
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffd")
"""Characters that count as letters, marks or symbols and still show nothing, or nothing of their own."""
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True)
class Chip:
    """Tokens ``start`` to ``stop`` (excluded) that are shown as one, and how they read."""

    start: int
    stop: int
    text: str


@lru_cache(maxsize=4096)
def readable(piece: str, marks: bool = True) -> str:
    r"""A token's text with ``⏎``, ``⇥`` and ``\u202e``; with ``marks`` blanks are ``·``, else they stay blanks.

    Deterministic, and never empty for a text that is not: whatever a mark could be taken for is written out.
    """
    text = _shortened(piece)
    shows = any(_shows(character) for character in text)
    return "".join(_character(c, marks, shows, first=at == 0) for at, c in enumerate(text))


def chips(pieces: Sequence[str], marks: bool = True) -> list[Chip]:
    """One chip a token, but those that hold parts of one character together.

    A tokenizer of bytes cuts a character into tokens that mean nothing alone. Such pieces come as replacement
    characters or, where one piece holds the whole character, as empty texts before it, or after it.
    """
    found: list[Chip] = []
    waiting: int | None = None
    for kind, run in groupby(range(len(pieces)), key=lambda at: _kind(pieces[at])):
        numbers = list(run)
        first, stop = numbers[0], numbers[-1] + 1
        if kind == "broken":
            text = re.sub(f"{_BROKEN}+", _BROKEN, "".join(pieces[first:stop]))
            shown = texts.BYTES.join(readable(part, marks) for part in text.split(_BROKEN))
            found.append(Chip(first if waiting is None else waiting, stop, shown))
        elif kind == "empty":
            before, after = (pieces[first - 1] if first else "", pieces[stop] if stop < len(pieces) else "")
            if found and not before[-1:].isascii() and after[:1].isascii():
                found[-1] = Chip(found[-1].start, stop, found[-1].text)
            elif after:
                waiting = first
                continue
            elif found:
                found[-1] = Chip(found[-1].start, stop, found[-1].text)
            else:
                found.append(Chip(first, stop, texts.BYTES))
        else:
            found += [Chip(at, at + 1, readable(pieces[at], marks)) for at in numbers]
            if waiting is not None:
                at = len(found) - len(numbers)
                found[at] = Chip(waiting, found[at].stop, found[at].text)
        waiting = None
    return found


@lru_cache(maxsize=8192)
def as_html(text: str, breaks: bool = True) -> str:
    """A readable text, escaped, for an element; with ``breaks`` a line may break after the mark of a blank."""
    escaped = esc(text)
    return escaped.replace(BLANK, f"{BLANK}<wbr>") if breaks else escaped


def one_line(text: str) -> str:
    """A readable text without the line breaks that follow its marks."""
    return text.replace("\n", "").replace("\t", "")


def _kind(piece: str) -> str:
    return "empty" if not piece else "broken" if _BROKEN in piece else "whole"


def _shortened(piece: str) -> str:
    if len(piece) <= LONGEST:
        return piece
    end = LONGEST // 4
    return texts.CUT_TOKEN.format(start=piece[: LONGEST - end], count=f"{len(piece):,}", end=piece[-end:])


def _shows(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNPS" and character not in _UNSEEN


def _character(character: str, marks: bool, shows: bool, first: bool) -> str:
    if character in "\n\t":
        return f"{NEWLINE}\n" if character == "\n" else f"{TAB}\t"
    if character == " ":
        return BLANK if marks else " "
    category = unicodedata.category(character)
    hidden = (
        character in _UNSEEN
        or category in ("Zs", "Co")
        or (character in (NEWLINE, TAB) or (marks and character == BLANK))
        or (character in _JOINERS and not shows)
        or (_selects(character) and first)
        or ord(character) & 0xFFFE == 0xFFFE
        or 0xFDD0 <= ord(character) <= 0xFDEF
    )
    if hidden:
        return f"\\u{ord(character):04x}"
    if first and category in ("Mn", "Mc", "Me"):
        return f"◌{character}"
    return visible(character)


def _selects(character: str) -> bool:
    """Whether it chooses between forms of the character before it."""
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
