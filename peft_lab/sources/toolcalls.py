"""Requests and the tool calls that answer them, made up from packaged words: the role of every character is known.

For teaching, and for asking whether roles that were found are the true ones. What is no frame in a call follows from
the prompt: the tool, from what is wanted; the names of its arguments, which are others in every request, from the tools
that are known; the values stand in the request as they are or in other words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

from peft_lab.conversation import Conversation, Message
from peft_lab.errors import BadOption, nearest
from peft_lab.sources.toolcall_formats import FORMATS, Span, spans_of, written
from pluggy_specs import DatasetSource

FOLDER = Path(__file__).parent / "data" / "toolcalls"
TRAIN, TEST = 240, 60
NUMBERS = ("count", "amount")
DISTRACTORS = 1
"""Other tools that are known beside the one that is called."""
HOURS = (
    "one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
)
PAST = {"00": "{} o'clock", "15": "a quarter past {}", "30": "half past {}"}


def generate(
    rows: int, seed: int = 0, format: str = "json", *, converted: float = 0.2, but: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Return rows with ``text`` (the request), ``text_pair`` (the tools), ``label`` (the call) and ``roles``.

    ``roles`` are :func:`roles_of` the row. Equal arguments give equal rows; another format, the same requests.

    Args:
        format: ``json``, ``react``, ``xml`` or ``sentence``.
        converted: share of numbers, times, dates and currencies that are asked for in other words than the answer has.
        but: requests that are not wanted.

    Raises:
        BadOption: there is no such format.
    """
    if format not in FORMATS:
        raise BadOption(f"there is no format {format!r}", nearest(format, FORMATS), "format")
    draw, told = Random(seed), set(but)
    made: list[dict[str, Any]] = []
    while len(made) < rows:
        kinds = list(_known("requests"))
        kind, *others = _some(draw, kinds, 1 + DISTRACTORS)
        names = _names(draw, kind)
        called = _tool(draw, kind, names)
        tools = _some(draw, [called, *(_tool(draw, other, _names(draw, other)) for other in others)], 1 + DISTRACTORS)
        asked, values = _request(draw, kind, converted)
        arguments = {names[argument]: value for argument, value in values.items()}
        phrase = draw.randrange(1 << 16)
        if asked in told:
            continue
        told.add(asked)
        answer, spans = written(FORMATS[format].write(called["name"], arguments, phrase))
        text, context = Conversation((Message("user", asked),), tuple(tools)).columns()
        made.append({"text": text, "text_pair": context, "label": answer, "roles": spans})
    return made


def roles_of(row: Mapping[str, Any]) -> list[Span]:
    """The true role of every character of a row's answer: (start, end, 1 for reasoning or 0 for boilerplate).

    Raises:
        ValueError: the answer is no call in one of the formats.
    """
    return spans_of(row["label"])


def toolcall_sources() -> Iterable[DatasetSource]:
    """The data sets: one for each format, all of the same requests."""
    for name, how in FORMATS.items():
        yield DatasetSource(
            name="toolcalls" if name == "json" else f"toolcalls-{name}",
            summary=f"requests and the tool calls that answer them, as {how.said}: which tokens are frame is known",
            splits=partial(_splits, name),
            task="causal",
            text_pair="text_pair",
            licence="Apache-2.0",
        )


def _splits(format: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    train = generate(TRAIN, 0, format)
    test = generate(TEST, 1, format, but=(row["text"] for row in train))
    columns = ("text", "text_pair", "label")
    return {
        split: [{name: row[name] for name in columns} for row in some]
        for split, some in (("train", train), ("test", test))
    }


@cache
def _known(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def _one(draw: Random, among: Sequence[Any]) -> Any:
    # randrange, because how choice and sample use the generator has changed between versions of Python.
    return among[draw.randrange(len(among))]


def _some(draw: Random, among: Sequence[Any], count: int) -> list[Any]:
    """Different ones, in the order in which they were drawn."""
    left = list(among)
    return [left.pop(draw.randrange(len(left))) for _ in range(count)]


def _names(draw: Random, kind: str) -> dict[str, str]:
    """What each argument of a tool is called."""
    return {name: _one(draw, about["called"]) for name, about in _known("requests")[kind]["arguments"].items()}


def _tool(draw: Random, kind: str, names: Mapping[str, str]) -> dict[str, Any]:
    """A tool for something, under one of its names."""
    about = _known("requests")[kind]
    types = {name: "integer" if what["is"] in NUMBERS else "string" for name, what in about["arguments"].items()}
    return {
        "name": f"{_one(draw, about['verbs'])}_{_one(draw, about['nouns'])}",
        "description": about["does"],
        "parameters": {"type": "object", "properties": {names[name]: {"type": type_} for name, type_ in types.items()}},
    }


def _request(draw: Random, kind: str, converted: float) -> tuple[str, dict[str, str | int]]:
    """What is asked, and the arguments that follow from it."""
    about = _known("requests")[kind]
    said: dict[str, str] = {}
    meant: dict[str, str | int] = {}
    for name, argument in about["arguments"].items():
        what = argument["is"]
        while name not in meant or list(meant.values()).count(meant[name]) > 1:
            # Both are always drawn: how something is said must not change what is asked for afterwards.
            other_words = draw.random() < converted
            said[name], meant[name] = MAKERS[what](draw, other_words) if what in MAKERS else _word(draw, what)
    asked = _one(draw, about["asked"]).format(**said)
    return asked[0].upper() + asked[1:], meant


def _word(draw: Random, what: str) -> tuple[str, str]:
    word = _one(draw, list(_known("words")[what]))
    return word, word


def _of(*kinds: str, between: str = " ") -> Callable[[Random, bool], tuple[str, str]]:
    def make(draw: Random, other_words: bool) -> tuple[str, str]:
        words = between.join(_word(draw, kind)[0] for kind in kinds)
        return words, words

    return make


def _listed(what: str) -> Callable[[Random, bool], tuple[str, str | int]]:
    """A word that stands for something, or that itself."""

    def make(draw: Random, other_words: bool) -> tuple[str, str | int]:
        word, meant = _one(draw, list(_known("words")[what].items()))
        return (word if other_words else str(meant)), meant

    return make


def _date(draw: Random, other_words: bool) -> tuple[str, str]:
    number, month = 1 + draw.randrange(28), _word(draw, "month")[0]
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 20, "th")
    meant = f"{number} {month}"
    return (f"the {number}{ending} of {month}" if other_words else meant), meant


def _time(draw: Random, other_words: bool) -> tuple[str, str]:
    hour, minute = 8 + draw.randrange(14), _one(draw, list(PAST))
    part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    words = f"{PAST[minute].format(HOURS[(hour - 1) % 12])} {part}"
    meant = f"{hour:02}:{minute}"
    return (words if other_words else meant), meant


def _amount(draw: Random, other_words: bool) -> tuple[str, int]:
    number = 11 + draw.randrange(989)
    return str(number), number


def _code(draw: Random, other_words: bool) -> tuple[str, str]:
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
    code = f"{_one(draw, letters)}{_one(draw, letters)}-{draw.randrange(10_000, 100_000)}"
    return code, code


def _shelf(draw: Random, other_words: bool) -> tuple[str, str]:
    shelf = f"{_one(draw, 'ABCDEFGHJK')}-{draw.randrange(10, 100)}"
    return shelf, shelf


def _event(draw: Random, other_words: bool) -> tuple[str, str]:
    event = f"{_word(draw, 'meeting')[0]} with {_word(draw, 'first')[0]}"
    return event, event


MAKERS: Mapping[str, Callable[[Random, bool], tuple[str, str | int]]] = {
    "person": _of("first", "last"),
    "product": _of("colour", "made_of", "thing"),
    "sentence": _of("who", "does", "when"),
    "count": _listed("count"),
    "money": _listed("money"),
    "date": _date,
    "time": _time,
    "amount": _amount,
    "order": _code,
    "shelf": _shelf,
    "event": _event,
}
"""What is said and what it means, for kinds that are more than one word of a list; asked for in other words or not."""
