"""Operations declared once: an ordinary method of the lab becomes a magic, a command, a form and a page of help.

The declaration is the method itself: its signature, its type hints and its docstring. A parameter without a default is
positional; one with a default is a flag; ``*names`` takes the rest of the line; ``**settings`` takes what the methods
and the training loop offer as options. ``Annotated[str, About("run", completes="runs")]`` adds a line of help and what
completion offers.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class About:
    """What a parameter means, and which names complete it: ``methods``, ``runs``, ``views``, ``models``, ..."""

    help: str
    completes: str = ""
    word: bool = False
    """Stands on the line as a word, although it has a default: ``stop run-7``, or just ``stop``."""


@dataclass(frozen=True)
class Argument:
    """One argument of an operation or one option of a method, whatever will show it."""

    name: str
    type: Any
    default: Any
    help: str
    completes: str = ""
    positional: bool = False
    rest: bool = False
    choices: tuple[Any, ...] = ()
    many: bool = False
    """Takes several values, separated by commas or blanks where they are not ``whole``."""
    open: bool = False
    """Takes other values than its ``choices``, too."""
    optional: bool = False
    """May be left out, although it is positional."""
    whole: bool = False
    """Of several values each is given by itself: a comma or a blank is part of it, as in a regular expression."""

    @property
    def cut(self) -> bool:
        """Whether one text may hold several values."""
        return self.many and not self.whole

    @property
    def flag(self) -> str:
        """As it is typed: ``--learning-rate``."""
        return "--" + self.name.rstrip("_").replace("_", "-")

    @property
    def is_switch(self) -> bool:
        """A yes-or-no option, typed without a value."""
        return self.type is bool


@dataclass(frozen=True)
class Operation:
    """Something the lab can do."""

    name: str
    summary: str
    function: Callable[..., Any]
    arguments: tuple[Argument, ...]
    settings: bool = False
    """Whether it takes options of methods and of training, too."""
    training: bool = False
    """Whether it takes settings of training, whatever its first argument names."""
    examples: tuple[str, ...] = field(default=())


def operation(*examples: str) -> Callable[[F], F]:
    """Mark a method of the lab as an operation, with examples for its help."""

    def mark(function: F) -> F:
        function._operation_examples = examples  # type: ignore[attr-defined]
        return function

    return mark


def operations_of(cls: type) -> dict[str, Operation]:
    """All operations of a class and its bases, in the order they are written."""
    found = {}
    for name, function in ((n, f) for part in cls.__mro__ for n, f in vars(part).items()):
        if hasattr(function, "_operation_examples"):
            operation = _read(name, function)
            found[operation.name] = operation
    return found


def _read(name: str, function: Callable[..., Any]) -> Operation:
    hints = _hints(function)
    arguments, settings, training = [], False, False
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            settings = True
            training = _unwrap(hints.get(parameter.name, str))[1].completes == "training"
            continue
        kind, about = _unwrap(hints.get(parameter.name, str))
        rest = parameter.kind is parameter.VAR_POSITIONAL
        required = parameter.default is parameter.empty
        arguments.append(
            argument_of(
                parameter.name,
                kind,
                None if required else parameter.default,
                about,
                positional=required or about.word,
                rest=rest,
            )
        )
    summary = (inspect.getdoc(function) or "").split("\n")[0]
    examples = function._operation_examples  # type: ignore[attr-defined]
    return Operation(name.rstrip("_"), summary, function, tuple(arguments), settings, training, examples)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    # The return type is left out: it may name a class that is imported for type checkers only.
    def carrier() -> None: ...

    carrier.__annotations__ = {n: a for n, a in function.__annotations__.items() if n != "return"}
    return typing.get_type_hints(carrier, globalns=function.__globals__, include_extras=True)


def options_of(model: type[BaseModel], skip: Iterable[str] = ()) -> list[Argument]:
    """The fields of an options class as arguments.

    ``json_schema_extra={"completes": "modules"}`` is for completion; ``{"whole": True}`` keeps each of several texts as
    it is, with its commas and blanks.
    """
    out = []
    for name, info in model.model_fields.items():
        if name not in skip:
            default = info.get_default(call_default_factory=True)
            default = None if default is PydanticUndefined else default
            extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
            about = About(info.description or "", str(extra.get("completes", "")))
            argument = argument_of(name, info.annotation, default, about)
            out.append(replace(argument, whole=argument.many and bool(extra.get("whole"))))
    return out


def argument_of(
    name: str, kind: Any, default: Any, about: About, *, positional: bool = False, rest: bool = False
) -> Argument:
    """Read a type hint: ``X | None`` is X, ``Literal`` gives choices, ``tuple``, ``list`` and ``set`` take many."""
    many = False
    kind = _without_none(kind)
    if typing.get_origin(kind) in (tuple, list, set, frozenset):
        many = True
        kind = _without_none(typing.get_args(kind)[0] if typing.get_args(kind) else str)
    kinds = _members(kind)
    choices = tuple(c for k in kinds if typing.get_origin(k) is Literal for c in typing.get_args(k))
    plain = {type(c) for c in choices} | {k for k in kinds if typing.get_origin(k) is not Literal}
    # Of a union only its options class can tell what a text means.
    kind = plain.pop() if len(plain) == 1 else object
    is_open = len(kinds) > 1
    return Argument(
        name, kind, default, about.help, about.completes, positional, rest, choices, many, is_open, about.word
    )


def _without_none(kind: Any) -> Any:
    members = _members(kind)
    many = next((k for k in members if typing.get_origin(k) in (tuple, list, set, frozenset)), None)
    return members[0] if len(members) == 1 else kind if many is None else many


def _members(kind: Any) -> list[Any]:
    """The types of a union but None; a type that is none is its only member."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [k for k in typing.get_args(kind) if k is not type(None)] or [str]
    return [kind]


def _unwrap(hint: Any) -> tuple[Any, About]:
    if typing.get_origin(hint) is typing.Annotated:
        kind, *notes = typing.get_args(hint)
        return kind, next((n for n in notes if isinstance(n, About)), About(""))
    return hint, About("")
