"""Which flags an operation takes on a line: its own, and those of the methods or the view that the line names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from peft_lab.host import KINDS
from peft_lab.operations import About, Argument, Operation, argument_of, options_of
from peft_lab.recipe import Recipe, Training

if TYPE_CHECKING:
    from peft_lab.host import Host


@dataclass(frozen=True)
class Option:
    """A flag: how the operation is told about it, what it takes, and whose it is."""

    key: str
    argument: Argument
    owner: str


Options = dict[str, Option]
"""By name as it is typed, without dashes in front: ``rank``, ``lora.rank``, ``learning-rate``."""


def typed(name: str) -> str:
    """A name as it is typed after two dashes: an underscore is the same as a hyphen, and ``from_`` is ``from``."""
    return name.rstrip("_").replace("_", "-")


def kind_named(operation: Operation) -> str:
    """What the first argument names, where it decides which settings there are: ``methods``, ``views`` or nothing."""
    if not operation.settings:
        return ""
    return next((kind for kind in operation.arguments[0].completes.split("+") if kind in KINDS), "")


def options_of_call(operation: Operation, named: Sequence[Any]) -> Options:
    """All flags, those of the operation first: what it says itself is never shadowed by a method's option."""
    found = {typed(a.name): Option(a.name, a, operation.name) for a in operation.arguments if not a.positional}
    if not operation.settings:
        return found
    training = kind_named(operation) == "methods" or operation.training
    for cls in named:
        for argument in options_of(cls.Options):
            dotted = f"{cls.name}.{argument.name}"
            shared = sum(argument.name in other.Options.model_fields for other in named) > 1
            # An option that several methods have keeps its bare name, so that the recipe can say how to write it.
            key = dotted if training and not shared else argument.name
            found.setdefault(typed(argument.name), Option(key, argument, cls.name))
            if training:
                found[typed(dotted)] = Option(dotted, argument, cls.name)
    if training:
        suggested: dict[str, Any] = {}
        for cls in reversed(named):  # as in a recipe, the first method written has the last word
            suggested |= cls.training
        for argument in (*options_of(Training), *([] if operation.training else [seed()])):
            argument = replace(argument, default=suggested.get(argument.name, argument.default))
            found.setdefault(typed(argument.name), Option(argument.name, argument, "training"))
    return found


def seed() -> Argument:
    """The seed of a recipe as an argument."""
    info = Recipe.model_fields["seed"]
    return argument_of("seed", int, info.default, About(info.description or ""))


def named_on(operation: Operation, likely: Sequence[str], unlikely: Sequence[str], host: Host) -> list[Any]:
    """The methods or the view that a word names, for their options; none where no word does.

    Raises:
        UnknownName: the likely word is no method.
    """
    kind = kind_named(operation)
    known = host.offers(kind)
    parts = [[part.strip() for part in word.split("+")] for word in (*likely, *unlikely)]
    right = next((p for p in parts if all(name in known for name in p)), None)
    if right is None and likely and kind == "methods":  # what is no view may still be a run
        right = parts[0]
    return [host.find(kind, name) for name in dict.fromkeys(right or ())]
