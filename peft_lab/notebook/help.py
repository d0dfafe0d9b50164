"""Help as something to show, not to print, generated from the declarations that the parser reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from peft_lab.notebook.options import Option, Options, kind_named
from peft_lab.notebook.values import several
from peft_lab.operations import Argument, Operation
from peft_lab.present.stack import Stack
from peft_lab.present.table import Table

Help = Table | Stack


def help_for_all(operations: Mapping[str, Operation]) -> Help:
    """Every command with its summary."""
    rows = [[name, operation.summary] for name, operation in operations.items()]
    return Table("%peft COMMAND ...", ("command", "what it does"), rows, note="More about one: %peft train --help")


def help_for_one(operation: Operation, options: Options) -> Help:
    """One command: its words, its flags by owner, examples."""
    own = [[a.name.upper(), _default(a), _text(a)] for a in operation.arguments if a.positional]
    columns = ("", "default", "meaning")
    rows = own + _flags(options, operation.name)
    tables = [Table(_title(operation, options), columns, rows, note=_note(operation, options))]
    for owner in dict.fromkeys(o.owner for o in options.values()):
        if owner != operation.name:
            tables.append(Table(f"Options of {owner}", columns, _flags(options, owner)))
    if operation.examples:
        examples: list[list[Any]] = [[f"%peft {example}".rstrip()] for example in operation.examples]
        tables.append(Table("", ("for example",), examples))
    return Stack(tables)


def _title(operation: Operation, options: Options) -> str:
    words = [_word(a) for a in operation.arguments if a.positional]
    flags = ["[--flags]"] if options else []
    return f"%peft {' '.join([operation.name, *words, *flags])}: {operation.summary}"


def _word(argument: Argument) -> str:
    name = argument.name.rstrip("_").upper()
    return f"{name} ..." if argument.rest else f"[{name}]" if argument.optional else name


def _note(operation: Operation, options: Options) -> str:
    if not operation.settings:
        return ""
    body = "In a %%peft cell the body holds the same as YAML, 'rank: 8' on a line. --into NAME keeps the result."
    if operation.training or any(o.owner not in (operation.name, "training") for o in options.values()):
        return body
    what = "method" if kind_named(operation) == "methods" else "view"
    example = "lora" if what == "method" else "change-map"
    return f"Name a {what} to see its options: %peft {operation.name} {example} --help. {body}"


def _flags(options: Options, owner: str) -> list[list[Any]]:
    # The dotted name of an option means the same as the short one, which is shown where there is one.
    mine = {name: o for name, o in options.items() if o.owner == owner}
    short = {o.argument.name for name, o in mine.items() if "." not in name}
    return [
        [_flag(name, o), _default(o.argument), _text(o.argument)]
        for name, o in mine.items()
        if "." not in name or o.argument.name not in short
    ]


def _flag(name: str, option: Option) -> str:
    if not option.argument.is_switch:
        return f"--{name}"
    return f"--no-{name}" if option.argument.default is True else f"--{name}"


def _text(argument: Argument) -> str:
    choices = (
        f" ({', '.join(map(str, argument.choices))}{', ...' if argument.open else ''})" if argument.choices else ""
    )
    return argument.help + choices + (f", {many}" if (many := several(argument)) else "")


def _default(argument: Argument) -> str:
    value = argument.default
    if value is None or argument.positional:
        return ""
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(map(str, value))
    return (
        value
        if isinstance(value, str)
        else "no"
        if value is False
        else "yes"
        if value is True
        else json.dumps(value, default=str)
    )
