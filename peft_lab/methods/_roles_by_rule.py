"""Roles by rules about the text, to compare with: what matches patterns, or the frame of JSON, is boilerplate."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from peft_lab.methods._shad_rows import Row
from pluggy_specs import MethodRefused
from pluggy_specs.pieces import pieces_of

PATTERNS = (
    r'\{\s*"name"\s*:\s*"?',
    r'"?\s*,\s*"(arguments|parameters)"\s*:\s*(\{\s*"?)?',
    r'"?\s*\}\s*\}\s*$',
    r"(?:^|\n)\s*(Thought|Action Input|Action|Observation|Final Answer|Answer)\s*:",
    r"</?[A-Za-z_][\w-]*>",
    r"(?i)\b(based on (the|your) [\w' ]{0,30}(request|question|input)s?|by doing so|in order to|let me|i will)\b",
)
"""Frames of tool calls as JSON, of Thought and Action, of tags, and a few phrases that connect."""
COMMON = 0.5
"""A key that at least this share of the JSON answers have belongs to the frame."""
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def roles_by_rule(tokenizer: Any, rows: Sequence[Row], rule: str, patterns: Sequence[str] = ()) -> list[np.ndarray]:
    """0 boilerplate or 1 reasoning for each answer token of each row. A token with any reasoning character is that;
    one without characters, such as the end of a turn, is boilerplate.

    Args:
        rule: ``regex`` or ``json``.
        patterns: what is boilerplate, for ``regex``; :data:`PATTERNS` when none is given.

    Raises:
        MethodRefused: a pattern is no regular expression, or no answer has what the rule looks for.
    """
    told = [_Told(tokenizer, row.answer) for row in rows]
    texts = [one.text for one in told]
    frames = _json_frames(texts) if rule == "json" else _matched(texts, patterns or PATTERNS)
    found = [
        np.fromiter((not frame[a:b].all() for a, b in one.spans), dtype=np.int8, count=len(one.spans))
        for one, frame in zip(told, frames, strict=True)
    ]
    if not any(frame.any() for frame in frames):
        what = "is JSON" if rule == "json" else "matches a pattern"
        raise MethodRefused(f"no answer {what}, so that no token would be boilerplate", "Say --roles shad")
    return found


class _Told:
    """An answer as text, and the characters of each token; special tokens have none."""

    def __init__(self, tokenizer: Any, ids: np.ndarray) -> None:
        special = set(tokenizer.all_special_ids)
        pieces = pieces_of(tokenizer, ids.tolist())
        pieces = ["" if token in special else piece for token, piece in zip(ids.tolist(), pieces, strict=True)]
        ends = np.cumsum([len(piece) for piece in pieces]).tolist()
        self.text = "".join(pieces)
        self.spans = list(zip([0, *ends[:-1]], ends, strict=True))


def _matched(texts: Sequence[str], patterns: Sequence[str]) -> list[np.ndarray]:
    try:
        rules = [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise MethodRefused(f"{error.pattern!r} is no regular expression: {error}") from None
    found = []
    for text in texts:
        frame = np.zeros(len(text), dtype=bool)
        for match in (m for rule in rules for m in rule.finditer(text)):
            frame[match.start() : match.end()] = True
        found.append(frame)
    return found


def _json_frames(texts: Sequence[str]) -> list[np.ndarray]:
    """Braces, brackets, commas, colons, quotes, blanks between them, and keys that most answers have."""
    parsed = [list(_objects(text)) for text in texts]
    having = Counter(key for spans in parsed for key in {key for start, end, keys in spans for key, _, _ in keys})
    least = COMMON * sum(bool(spans) for spans in parsed)
    found = []
    for text, spans in zip(texts, parsed, strict=True):
        frame = np.zeros(len(text), dtype=bool)
        for start, end, keys in spans:
            frame[start:end] = True
            for match in re.finditer(r"[\w.+-]+", STRING.sub(lambda m: " " * len(m.group()), text[start:end])):
                frame[start + match.start() : start + match.end()] = False  # numbers, true, false, null
            for match in STRING.finditer(text, start, end):
                frame[match.start() + 1 : match.end() - 1] = False
            for key, a, b in keys:
                frame[a:b] = having[key] >= least
        found.append(frame)
    return found


def _objects(text: str) -> Iterator[tuple[int, int, list[tuple[str, int, int]]]]:
    """Each JSON object of a text: where it stands, and its keys with where they stand."""
    decoder, at = json.JSONDecoder(), 0
    while (start := text.find("{", at)) >= 0:
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        keys = [
            (match.group()[1:-1], match.start() + 1, match.end() - 1)
            for match in STRING.finditer(text, start, end)
            if text[match.end() : end].lstrip().startswith(":")
        ]
        yield start, end, keys
        at = end
