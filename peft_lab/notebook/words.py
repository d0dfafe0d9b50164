"""Cuts a line into words. A backslash is a backslash (paths, patterns), and an apostrophe inside a word is one, too."""

from __future__ import annotations

from typing import NamedTuple

from peft_lab.errors import BadOption

QUOTES = "\"'"


class Word(NamedTuple):
    """A word of the line; one that began with a quote is never a flag."""

    text: str
    quoted: bool


def split(line: str) -> list[Word]:
    """The words of a line. A lone ``#`` begins a comment; a semicolon at the end, which hides output, is no word.

    Raises:
        BadOption: a quote is not closed.
    """
    words: list[Word] = []
    text, inside, quoted, quote = "", False, False, ""
    for at, char in enumerate(line):
        if quote:
            if char == quote:
                quote = ""
            else:
                text += char
        elif char in QUOTES and (not inside or text.endswith(("=", ","))):
            quote, quoted, inside = char, quoted or not inside, True
        elif char.isspace():
            if inside:
                words.append(Word(text, quoted))
            text, inside, quoted = "", False, False
        elif char == "#" and not inside and not line[at + 1 : at + 2].strip():
            break
        else:
            text, inside = text + char, True
    if quote:
        raise BadOption(f"a quote {quote} is not closed", f"Put {quote} at the end of the text")
    if inside:
        words.append(Word(text, quoted))
    if words and not words[-1].quoted:
        last = words.pop().text.rstrip(";")
        words += [Word(last, False)] if last else []
    return words
