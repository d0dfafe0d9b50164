"""Cuts a line into words. A backslash is a backslash (paths, patterns), and an apostrophe inside a word is one, too."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from peft_lab.errors import BadOption

QUOTES = "\"'"
BRACES = "{{"
REFERENCE = re.compile(r"\{\{([^{}]*)\}\}(?=\s|;*\s*$)")


class Word(NamedTuple):
    """A word of the line; one that began with a quote is never a flag."""

    text: str
    quoted: bool
    name: str = ""
    """Of a value of the notebook, where the word, or its part behind ``=``, is ``{{ name }}``."""


@dataclass
class Cut:
    """A line as far as it goes: its words, and what is open at its end."""

    words: list[Word] = field(default_factory=list)
    """All words but one whose quote is not closed."""
    begin: int = 0
    """Where the word at the end begins; the end of the line where a blank ended the last one."""
    quote: str = ""
    """A quote that is not closed, or ``{{``."""
    inside: int = 0
    """Where the text inside of the quote begins."""
    comment: bool = False
    """Whether the line ends in a comment."""


def cut(line: str) -> Cut:
    """The words of a line that may not be finished."""
    made = Cut(begin=len(line))
    text, inside, quoted, name, at = "", False, False, "", 0
    while at < len(line):
        char = line[at]
        if made.quote:
            if char == made.quote:
                made.quote = ""
            else:
                text += char
        elif char in QUOTES and (not inside or text.endswith(("=", ","))):
            made.begin = made.begin if inside else at
            made.quote, made.inside = char, at + 1
            quoted, inside = quoted or not inside, True
        elif line.startswith(BRACES, at) and (not inside or (text.startswith("--") and text.endswith("="))):
            made.begin = made.begin if inside else at
            inside = True
            found = REFERENCE.match(line, at)
            if found is None:
                made.quote, made.inside = BRACES, at + len(BRACES)
                return made
            text, name, at = text + found[0], found[1].strip() or " ", found.end() - 1
        elif char.isspace():
            if inside:
                made.words.append(Word(text, quoted, name))
            text, inside, quoted, name, made.begin = "", False, False, "", len(line)
        elif char == "#" and not inside and not line[at + 1 : at + 2].strip():
            made.comment = True
            break
        else:
            made.begin = made.begin if inside else at
            text, inside = text + char, True
        at += 1
    if inside and not made.quote:
        made.words.append(Word(text, quoted, name))
    return made


def split(line: str) -> list[Word]:
    """The words of a line. A lone ``#`` begins a comment; a semicolon at the end, which hides output, is no word.

    Raises:
        BadOption: a quote, or ``{{``, is not closed.
    """
    made = cut(line)
    if made.quote == BRACES:
        raise BadOption("{{ is not closed", "A value of the notebook is {{ name }}; text with braces goes in quotes")
    if made.quote:
        raise BadOption(f"a quote {made.quote} is not closed", f"Put {made.quote} at the end of the text")
    words = made.words
    if words and not words[-1].quoted:
        last = words.pop()
        text = last.text.rstrip(";")
        words += [last._replace(text=text)] if text else []
    return words


def is_quiet(line: str) -> bool:
    """Whether a line ends in a semicolon, which hides its output as it does after Python."""
    words = cut(line).words
    return bool(words) and not words[-1].quoted and words[-1].text.endswith(";")
