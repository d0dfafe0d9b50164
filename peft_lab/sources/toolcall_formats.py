"""How a tool call is written, and which of its characters every call of that format has: the true roles.

What every call has is boilerplate: brackets, quotes, phrases that lead to the call; and the name in a closing tag, as
it only repeats. The name of the tool, those of its arguments and their values follow from the prompt: reasoning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pluggy_specs.pieces import BOILERPLATE, REASONING

Arguments = Mapping[str, str | int]
Pieces = Iterator[tuple[str, int]]
Span = tuple[int, int, int]
"""Where characters begin, where they end, and their role."""

THOUGHTS = (
    "Thought: I have to find out what is wanted here. One of the tools can do it.",
    "Thought: The user needs something done, and there is a tool for it.",
    "Thought: Let me look at the tools that I have. This one fits the request.",
)
OPENINGS = (
    "Based on the user's request, I will use",
    "To take care of this, the right tool is",
    "In order to help the user, I am going to call",
)
CLOSINGS = ("By doing so, the request is taken care of.", "That should give what was asked for.")


@dataclass(frozen=True)
class Format:
    """A way to write a call."""

    said: str
    write: Callable[[str, Arguments, int], Pieces]
    """From the tool, its arguments, and a number that chooses among phrases."""
    frame: re.Pattern[str]
    """The whole of an answer: the groups ``tool`` and ``arguments``."""
    argument: re.Pattern[str]
    """One argument: the groups ``name`` and ``value``, or ``number`` for the latter."""


def written(pieces: Iterable[tuple[str, int]]) -> tuple[str, list[Span]]:
    """An answer, and the role of each of its characters; neighbours of one role are one span."""
    text, spans = "", []
    for role, some in groupby((piece for piece in pieces if piece[0]), key=lambda piece: piece[1]):
        start, text = len(text), text + "".join(part for part, _ in some)
        spans.append((start, len(text), role))
    return text, spans


def spans_of(answer: str) -> list[Span]:
    """The roles of the characters of an answer in any of the formats.

    Raises:
        ValueError: it is in none of them.
    """
    for one in FORMATS.values():
        if whole := one.frame.fullmatch(answer):
            found = [whole.span("tool")]
            for argument in one.argument.finditer(answer, *whole.span("arguments")):
                found += [argument.span("name"), argument.span(argument.lastgroup or 0)]
            return _between(found, len(answer))
    raise ValueError(f"{answer[:60]!r} is not written in one of the formats {', '.join(FORMATS)}")


def token_roles(spans: Sequence[Span], offsets: Iterable[tuple[int, int]]) -> list[int]:
    """The role of each token, by most of its characters; -1 where it has none in the answer.

    Args:
        offsets: where each token begins and ends in the answer.
    """
    roles = []
    for start, end in offsets:
        shares = {BOILERPLATE: 0, REASONING: 0}
        for first, last, role in spans:
            shares[role] += max(0, min(end, last) - max(start, first))
        if not any(shares.values()):
            roles.append(-1)
        else:
            roles.append(REASONING if shares[REASONING] >= shares[BOILERPLATE] else BOILERPLATE)
    return roles


def _between(found: Sequence[tuple[int, int]], end: int) -> list[Span]:
    spans, place = [], 0
    for first, last in found:
        spans += [(place, first, BOILERPLATE), (first, last, REASONING)]
        place = last
    return [span for span in [*spans, (place, end, BOILERPLATE)] if span[0] < span[1]]


# --- the formats ------------------------------------------------------------------------------------------------------


def _object(arguments: Arguments) -> Pieces:
    yield "{", BOILERPLATE
    for place, (name, value) in enumerate(arguments.items()):
        yield f'{", " if place else ""}"', BOILERPLATE
        yield name, REASONING
        yield '": ', BOILERPLATE
        yield from _quoted(value)
    yield "}", BOILERPLATE


def _quoted(value: str | int) -> Pieces:
    if isinstance(value, int):
        yield str(value), REASONING
        return
    yield '"', BOILERPLATE
    yield json.dumps(value, ensure_ascii=False)[1:-1], REASONING
    yield '"', BOILERPLATE


def _json(tool: str, arguments: Arguments, phrase: int) -> Pieces:
    yield '{"name": "', BOILERPLATE
    yield tool, REASONING
    yield '", "arguments": ', BOILERPLATE
    yield from _object(arguments)
    yield "}", BOILERPLATE


def _react(tool: str, arguments: Arguments, phrase: int) -> Pieces:
    yield f"{THOUGHTS[phrase % len(THOUGHTS)]}\nAction: ", BOILERPLATE
    yield tool, REASONING
    yield "\nAction Input: ", BOILERPLATE
    yield from _object(arguments)


def _xml(tool: str, arguments: Arguments, phrase: int) -> Pieces:
    yield "<call>\n<tool>", BOILERPLATE
    yield tool, REASONING
    yield "</tool>\n", BOILERPLATE
    for name, value in arguments.items():
        yield "<", BOILERPLATE
        yield name, REASONING
        yield ">", BOILERPLATE
        yield str(value), REASONING
        yield f"</{name}>\n", BOILERPLATE
    yield "</call>", BOILERPLATE


def _sentence(tool: str, arguments: Arguments, phrase: int) -> Pieces:
    yield f"{OPENINGS[phrase % len(OPENINGS)]} ", BOILERPLATE
    yield tool, REASONING
    names = list(arguments)
    for name, value in arguments.items():
        link = " with " if name == names[0] else " and " if name == names[-1] else ", "
        yield link, BOILERPLATE
        yield name, REASONING
        yield " ", BOILERPLATE
        yield from _quoted(value)
    yield f". {CLOSINGS[phrase % len(CLOSINGS)]}", BOILERPLATE


_VALUE = r'"(?P<value>(?:[^"\\]|\\.)*)"|(?P<number>-?\d+)'
_PAIR = re.compile(rf'"(?P<name>\w+)": (?:{_VALUE})')
_OBJECT = r"(?P<arguments>\{.*\})"


def _one_of(phrases: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, phrases))})"


FORMATS: Mapping[str, Format] = {
    "json": Format("JSON", _json, re.compile(rf'\{{"name": "(?P<tool>\w+)", "arguments": {_OBJECT}\}}'), _PAIR),
    "react": Format(
        "thought, action and its input",
        _react,
        re.compile(rf"{_one_of(THOUGHTS)}\nAction: (?P<tool>\w+)\nAction Input: {_OBJECT}"),
        _PAIR,
    ),
    "xml": Format(
        "tags",
        _xml,
        re.compile(r"<call>\n<tool>(?P<tool>\w+)</tool>\n(?P<arguments>(?:.*\n)*)</call>"),
        re.compile(r"<(?P<name>\w+)>(?P<value>.*?)</(?P=name)>\n"),
    ),
    "sentence": Format(
        "a sentence",
        _sentence,
        re.compile(rf"{_one_of(OPENINGS)} (?P<tool>\w+)(?P<arguments> with .*)\. {_one_of(CLOSINGS)}"),
        re.compile(rf"(?: with | and |, )(?P<name>\w+) (?:{_VALUE})"),
    ),
}
"""By name."""
