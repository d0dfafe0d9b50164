"""Typing errors as people make them, drawn by chance and the same each time: what they cost is what a model is asked.

Each letter is hit with the same chance. What happens to it depends on its script:

==========================  ==========================================================================================
Latin                       a key beside it, its neighbour in the word before it, left out, or its accent left out
kana                        voicing or its size lost (が か, っ つ), the other kana, the next one first, left out
other letters               the next one first, left out, twice
==========================  ==========================================================================================

Blanks stay, and no word becomes empty: where words have labels they keep them. Which Chinese character somebody would
choose wrongly hangs on how it is typed, and is not imitated: such a character changes places, is left out or doubled.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
SMALL = dict(zip("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ", "あいうえおつやゆよわアイウエオツヤユヨワ", strict=True))
VOICING = "\u3099\u309a"
KANA = 0x60
"""Between a hiragana and its katakana."""


def _neighbours() -> dict[str, str]:
    """The keys beside each key of a keyboard in English order; rows stand half a key apart."""
    place = {key: (row, column + row / 2) for row, keys in enumerate(ROWS) for column, key in enumerate(keys)}
    return {
        key: "".join(
            other
            for other, (r, c) in place.items()
            if other != key and abs(r - place[key][0]) <= 1 and abs(c - place[key][1]) <= 1
        )
        for key in place
    }


BESIDE = _neighbours()


def with_typos(text: str, share: float, seed: int = 0) -> str:
    """The text with about that share of its letters mistyped; equal texts, shares and seeds give equal typos."""
    draw = random.Random(f"typos {seed} {share} {text}")
    parts = re.split(r"(\s+)", text)
    return "".join(part if not part or part.isspace() else _mistyped(part, share, draw) for part in parts)


def mistyped_rows(rows: Sequence[Mapping[str, Any]], share: float, seed: int, pair: bool) -> list[dict[str, Any]]:
    """Rows with typos in ``text``, and with ``pair`` in the second text as well."""
    names = ("text", "text_pair") if pair else ("text",)
    return [
        {name: with_typos(value, share, seed) if name in names and value else value for name, value in row.items()}
        for row in rows
    ]


def _mistyped(word: str, share: float, draw: random.Random) -> str:
    letters = _letters(word)
    out: list[str] = []
    at = 0
    while at < len(letters):
        letter = letters[at]
        following = letters[at + 1] if at + 1 < len(letters) else ""
        at += 1
        if not letter[0].isalnum() or draw.random() >= share:
            out.append(letter)
            continue
        way = draw.choice(_ways(letter, following))
        typed, eaten = way(letter, following, draw)
        at += eaten
        out.append(typed)
    changed = "".join(out)
    return changed if changed.strip() else word


def _letters(word: str) -> list[str]:
    """What is read as one letter: a character with the marks behind it."""
    found: list[str] = []
    for character in word:
        joins = bool(found) and (unicodedata.category(character)[0] == "M" or character in "\u200c\u200d")
        if joins or (found and found[-1].endswith("\u200d")):
            found[-1] += character
        else:
            found.append(character)
    return found


Way = Callable[[str, str, random.Random], tuple[str, int]]
"""What a letter becomes, given the next one, and how many of those behind it are used up."""


def _ways(letter: str, following: str) -> list[Way]:
    plain, bare = letter[0].lower(), _without_accent(letter)
    kana = _is_kana(letter[0])
    ways: list[Way] = [_left_out]
    if following and following[0].isalnum() and following != letter:
        ways.append(_swapped)
    if plain in BESIDE and len(letter) == 1:
        ways.append(_beside)
    elif bare != letter:
        ways.append(lambda letter, following, draw: (bare, 0))
    elif kana and letter in SMALL:
        ways.append(lambda letter, following, draw: (SMALL[letter], 0))
    elif not kana:
        ways.append(_twice)
    if kana and (other := _other_kana(letter)) != letter:
        ways.append(lambda letter, following, draw: (other, 0))
    return ways


def _left_out(letter: str, following: str, draw: random.Random) -> tuple[str, int]:
    return "", 0


def _swapped(letter: str, following: str, draw: random.Random) -> tuple[str, int]:
    return following + letter, 1


def _twice(letter: str, following: str, draw: random.Random) -> tuple[str, int]:
    return letter * 2, 0


def _beside(letter: str, following: str, draw: random.Random) -> tuple[str, int]:
    key = draw.choice(BESIDE[letter.lower()])
    return (key.upper() if letter.isupper() else key), 0


def _without_accent(letter: str) -> str:
    """The letter without its marks; of kana without the sign of voicing."""
    apart = unicodedata.normalize("NFD", letter)
    bare = "".join(c for c in apart if c in VOICING or not unicodedata.combining(c))
    if _is_kana(letter[0]):
        bare = "".join(c for c in apart if c not in VOICING)
    elif not unicodedata.name(letter[0], "").startswith("LATIN"):
        return letter  # marks are vowels elsewhere: without them it is another letter
    return unicodedata.normalize("NFC", bare)


def _is_kana(character: str) -> bool:
    return "\u3041" <= character <= "\u3096" or "\u30a1" <= character <= "\u30f6"


def _other_kana(letter: str) -> str:
    """The same sound in the other kana, as a conversion that went wrong leaves it."""
    code = ord(letter[0])
    if len(letter) > 1:
        return letter
    return chr(code + KANA) if "\u3041" <= letter <= "\u3096" else chr(code - KANA)
