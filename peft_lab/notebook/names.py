"""``{{ name }}``: values of the notebook where a value can stand. Their types are checked like those of typed ones."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peft_lab.errors import BadOption, nearest
from peft_lab.notebook.values import chosen, convert, convert_one, meaning, takes
from peft_lab.operations import Argument
from peft_lab.run import Run

FORM = "Write a plain name between the braces, as in {{ lr }}: give the value a name first"
IPYTHON = {"In", "Out", "exit", "quit", "open", "get_ipython", "lab"}
TABLES = {"pandas": {"DataFrame"}, "datasets": {"Dataset", "DatasetDict"}}
MISSING = object()


def look_up(names: Mapping[str, Any], name: str, where: str) -> Any:
    """The value of ``{{ name }}``; ``where`` begins the error.

    Raises:
        BadOption: there is none of that name.
    """
    if not name.isidentifier():
        raise BadOption(f"{where}: {{{{ {name.strip()} }}}} is no name", FORM)
    value = names.get(name, MISSING)
    if value is MISSING:
        raise BadOption(f"{where}: the notebook has no {name!r}", nearest(name, visible(names)))
    return value


def visible(names: Mapping[str, Any]) -> list[str]:
    """Names that a person gave to values, not to functions, classes or modules."""
    unlikely = (types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType)
    kept = [n for n, value in names.items() if not n.startswith("_") and n not in IPYTHON]
    return [n for n in kept if not isinstance(names[n], unlikely)]


def take(argument: Argument, value: Any, name: str, where: str) -> Any:
    """What an argument gets for the value of a variable.

    Raises:
        BadOption: the argument takes something else; ``where`` says which argument, as the person wrote it.
    """
    if isinstance(value, str | Path):
        return convert(argument, str(value), where)
    if argument.completes in ("datasets", "files") and is_table(value):
        return name  # it is looked up there by name, and kept under it
    value = plain_value(value)
    if value is None:
        return None
    if isinstance(value, list | tuple | set | frozenset) and (argument.many or argument.rest):
        return [_one(argument, plain_value(item), name, where) for item in value]
    one = _one(argument, value, name, where)
    return [one] if argument.many else one


def is_table(value: Any) -> bool:
    """Whether a value looks like data; told without importing what makes tables."""
    for cls in type(value).__mro__:
        if cls.__name__ in TABLES.get(cls.__module__.partition(".")[0], ()):
            return True
    rows = value[:20] if isinstance(value, list | tuple) else ()
    return bool(rows) and all(isinstance(row, Mapping) for row in rows)


def described(value: Any) -> str:
    """A value in a few words, without its ``repr`` where that may be long."""
    if isinstance(value, bool | int | float | None):
        return repr(value)
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, Sequence | Mapping | set) else f"a {kind}"


def _one(argument: Argument, value: Any, name: str, where: str) -> Any:
    if isinstance(value, str):
        return convert_one(argument, value, where)
    if isinstance(value, Run) and "runs" in argument.completes:
        return str(value.path)
    kind = argument.type
    fits = {
        bool: isinstance(value, bool),
        int: isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer(),
        float: isinstance(value, int | float) and not isinstance(value, bool),
        str: False,
    }
    if not fits.get(kind, isinstance(value, bool | int | float | list | tuple | Mapping)):
        raise BadOption(f"{where} takes {takes(argument)}, not {{{{ {name} }}}}, {described(value)}", meaning(argument))
    return chosen(argument, kind(value) if kind in (int, float) else value, where)


def plain_value(value: Any) -> Any:
    """Numbers and lists of numpy, pandas and torch as Python's; told by what they can do, not by importing those."""
    for way in ("item", "tolist"):
        try:
            if not isinstance(value, bool | int | float | str | Mapping) and callable(getattr(value, way, None)):
                return getattr(value, way)()
        except (ValueError, RuntimeError, TypeError):  # item() of more than one
            continue
    return value
