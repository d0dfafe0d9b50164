"""How long a text may be: what was asked for, and what the model and the methods leave room for."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from peft_lab.asking import asking
from peft_lab.errors import MethodRefused
from pluggy_specs import Method

if TYPE_CHECKING:
    from peft_lab.sources.models import FoundModel

SHORTEST = 4
"""Tokens that a text needs to say anything: its ends and two words."""


def longest_text(
    found: FoundModel, wanted: int, methods: Sequence[Method], note: Callable[[str], None] | None = None
) -> int:
    """The length limit in tokens, no more than the model has positions for beside those that methods take.

    Args:
        wanted: the limit that was asked for.
        note: told when the limit is less than that.

    Raises:
        MethodRefused: the methods leave no room for a text.
    """
    from peft_lab.sources.families import position_limit

    limit, taken = position_limit(found), _taken(found, methods)
    room = wanted if limit is None else limit - sum(taken.values())
    if limit is not None and room < SHORTEST:
        greedy = max(taken, key=lambda name: taken[name])
        raise MethodRefused(
            f"{greedy} takes {taken[greedy]} of the {limit} positions of {found.name}, and no text fits into the rest",
            f"Let it take at most {max(0, taken[greedy] + room - SHORTEST)}",
        )
    if wanted <= room:
        return wanted
    if note is not None:
        whose = "".join(f", {name} takes {count}" for name, count in taken.items() if count)
        note(f"max_length {wanted} was lowered to {room}: {found.name} has {limit} positions{whose}")
    return room


def room_for_text(found: FoundModel, methods: Sequence[Method]) -> int | None:
    """Tokens that a text can have at all, whatever was trained on; None where the model counts no positions."""
    from peft_lab.sources.families import position_limit

    limit = position_limit(found)
    return None if limit is None else limit - sum(_taken(found, methods).values())


def _taken(found: FoundModel, methods: Sequence[Method]) -> dict[str, int]:
    """Positions that each method takes from a text."""
    taken = {}
    for method in methods:
        with asking("methods", method.name, "positions"):
            taken[method.name] = operator.index(method.positions(found.config))
    return taken
