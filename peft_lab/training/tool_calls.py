"""Tool calls as JSON: what one is, and how one that was written compares with the one that was wanted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

ARGUMENTS = ("arguments", "parameters")
"""Names that data has for the arguments of a call."""

Call = tuple[str, Mapping[str, Any]]
"""Name and arguments."""


def calls_in(text: str) -> list[Call] | None:
    """The calls that a text is: a JSON object with a name and arguments, or a list of such; None where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    calls = [_call(one) for one in (value if isinstance(value, list) else [value])]
    found = [call for call in calls if call is not None]
    return found if found and len(found) == len(calls) else None


def call_scores(pairs: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Shares of the answers that are right, of those whose wanted answer is a tool call; empty where there is none.

    ``valid_json``: it is a call at all; ``tool_name``: of the right tools, in order; ``argument_keys``: with the right
    names of arguments besides; ``argument_values``: with the right values besides, compared as JSON.

    Args:
        pairs: what was written, and what was wanted.
    """
    marks = [_marks(calls_in(written), calls) for written, text in pairs if (calls := calls_in(text)) is not None]
    if not marks:
        return {}
    names = ("valid_json", "tool_name", "argument_keys", "argument_values")
    return {name: sum(column) / len(marks) for name, column in zip(names, zip(*marks, strict=True), strict=True)}


def _marks(found: list[Call] | None, wanted: list[Call]) -> tuple[bool, bool, bool, bool]:
    if found is None:
        return False, False, False, False
    name = [call[0] for call in found] == [call[0] for call in wanted]
    keys = name and all(one[1].keys() == other[1].keys() for one, other in zip(found, wanted, strict=True))
    return True, name, keys, keys and all(one[1] == other[1] for one, other in zip(found, wanted, strict=True))


def _call(value: Any) -> Call | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        return None
    arguments = next((value[key] for key in ARGUMENTS if key in value), None)
    if isinstance(arguments, str):  # some data have the arguments as JSON in JSON
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    return (value["name"], arguments) if isinstance(arguments, Mapping) else None
