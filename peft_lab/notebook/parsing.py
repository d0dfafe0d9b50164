"""Turns a line and the body of a cell into an operation of the lab and its arguments.

Everything it knows comes from the declarations in :mod:`peft_lab.operations`. It is not built on argparse: a word that
argparse does not understand ends the program, ``-1e-3`` is a flag to it, and help, errors and completion want the same
declarations that are at hand here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption, PeftLabError, nearest
from peft_lab.notebook import body as bodies
from peft_lab.notebook.help import Help, help_for_all, help_for_one
from peft_lab.notebook.options import Options, kind_named, named_on, options_of_call, typed
from peft_lab.notebook.values import convert, takes
from peft_lab.notebook.words import Word, split
from peft_lab.operations import Operation

if TYPE_CHECKING:
    from peft_lab.host import Host

DEFAULT = "status"
INTO = "into"
HELP = (Word("-h", False), Word("--help", False))
DASHES = Word("--", False)


@dataclass(frozen=True)
class Call:
    """An operation with the values given for it, and the name in the notebook that its result gets."""

    operation: Operation
    given: Mapping[str, Any]
    into: str = ""

    def on(self, lab: Any) -> Any:
        """Do it."""
        named = dict(self.given)
        positional: list[Any] = []
        for argument in self.operation.arguments:
            if argument.rest:
                positional += named.pop(argument.name, ())
            elif argument.positional:
                positional.append(named.pop(argument.name))
        return getattr(lab, self.operation.function.__name__)(*positional, **named)


def parse(line: str, body: str | None, operations: Mapping[str, Operation], host: Callable[[], Host]) -> Call | Help:
    """What a magic was asked to do. ``host`` is called only when the options of methods or views are needed.

    Raises:
        PeftLabError: something in the line or the body cannot be understood.
    """
    words = split(line)
    words, asks = _without_help(words)
    if asks and not words:
        return help_for_all(operations)
    name = words[0].text if words else DEFAULT
    if name not in operations:
        raise _unknown(name, operations, host)
    operation, words = operations[name], words[1:]
    entries = bodies.read(body) if body is not None else []
    try:
        named = named_on(operation, *_naming(operation, words, entries), host()) if kind_named(operation) else []
    except PeftLabError:
        if not asks:
            raise
        named = []
    options = options_of_call(operation, named)
    if asks:
        return help_for_one(operation, options)
    gathered = _Gathered(operation, options, [cls.name for cls in named])
    gathered.take_line(words)
    for entry in entries:
        gathered.take_entry(entry)
    return gathered.call()


class _Gathered:
    """What was said so far, by key, with the place where it was said."""

    def __init__(self, operation: Operation, options: Options, owners: list[str]) -> None:
        self.operation, self.options, self.owners = operation, options, owners
        self.given: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        self.into = ""

    def take_line(self, words: list[Word]) -> None:
        """Flags and loose words of the line."""
        rest = list(words)
        loose: list[str] = []
        while rest:
            word = rest.pop(0)
            text, quoted = word
            if word == DASHES:
                loose += [other.text for other in rest]
                break
            if quoted or not _is_flag(text):
                loose.append(text)
                continue
            name, equals, value = text[2:].partition("=")
            if typed(name) == INTO:
                self.into = _identifier(value if equals else _next_value(rest, "--into", "a name"))
                continue
            self._take_flag(typed(name), value if equals else None, rest)
        self._take_loose(loose)

    def _take_flag(self, name: str, value: str | None, rest: list[Word]) -> None:
        positive = name.removeprefix("no-")
        if name not in self.options and positive in self.options and self.options[positive].argument.is_switch:
            self._set(
                self.options[positive].key,
                value is not None and not convert(self.options[positive].argument, value, f"--{name}"),
                f"--{name}",
            )
            return
        if name not in self.options:
            if kind_named(self.operation) == "methods" and not self.owners:
                self.call()  # which flags there are depends on the method that is missing
            known = [f"--{other}" for other in self.options if "." not in other or "." in name]
            hint = nearest(f"--{name}", known, most=40) if known else "It takes no flags"
            raise BadOption(f"{self.operation.name} has no --{name}", hint)
        option = self.options[name]
        if value is None:
            if option.argument.is_switch:
                self._set(option.key, True, f"--{name}")
                return
            value = _next_value(rest, f"--{name}", takes(option.argument))
        self._set(option.key, convert(option.argument, value, f"--{name}"), f"--{name}")

    def _take_loose(self, loose: list[str]) -> None:
        for argument in self.operation.arguments:
            if argument.rest and loose:
                self._set(argument.name, [convert(argument, text, argument.name) for text in loose], argument.name)
                loose = []
            elif argument.positional and not argument.rest and loose:
                self._set(argument.name, convert(argument, loose.pop(0), argument.name), argument.name)
        if loose:
            raise BadOption(
                f"{loose[0]!r} is one word too many for {self.operation.name}", self._hint_for_loose(loose[0])
            )

    def _hint_for_loose(self, text: str) -> str:
        name, equals, value = text.lstrip("-").partition("=")
        if typed(name) in self.options:
            return f"Did you mean --{typed(name)}{equals}{value}?"
        lists = [o.argument.flag for o in self.options.values() if o.argument.many and o.key in self.given]
        if lists:
            return f"Several values are written with commas: {lists[0]} a,b"
        return "Put text with blanks in quotes" if self.operation.arguments else "It takes none"

    def take_entry(self, entry: bodies.Entry) -> None:
        """One key of the body. A mapping under the name of a method holds that method's options."""
        if entry.is_mapping and entry.key in self.owners:
            for inner in entry.nested():
                self.take_entry(inner)
            return
        positional = next((a for a in self.operation.arguments if a.positional and a.name == entry.key), None)
        option = self.options.get(typed(entry.key))
        if positional is not None:
            value = entry.value(positional)
            self._set(
                positional.name, [value] if positional.rest and not isinstance(value, list) else value, entry.place
            )
        elif option is not None:
            self._set(option.key, entry.value(option.argument), entry.place)
        else:
            known = {o.replace("-", "_") for o in self.options if "." not in o} | {
                a.name for a in self.operation.arguments if a.positional
            }
            raise BadOption(
                f"{entry.place}: {self.operation.name} has no {entry.key!r}",
                nearest(entry.key.split(".")[-1], known, most=40),
            )

    def _set(self, key: str, value: Any, place: str) -> None:
        if key not in self.given:
            self.given[key], self.places[key] = value, place
        elif place == self.places[key]:
            raise BadOption(f"{place} is written twice", "Keep one")
        elif value != self.given[key]:
            both = f"{self.places[key]} says {self.given[key]!r}, {place} says {value!r}"
            raise BadOption(f"{key} is given twice: {both}", "Keep one")

    def call(self) -> Call:
        """The call, once everything that it needs is there."""
        for argument in self.operation.arguments:
            if argument.positional and not argument.rest and argument.name not in self.given:
                example = next((e for e in self.operation.examples if e), "")
                raise BadOption(
                    f"{self.operation.name} needs {argument.name}: {argument.help}", f"For example: %peft {example}"
                )
        return Call(self.operation, self.given, self.into)


def _without_help(words: list[Word]) -> tuple[list[Word], bool]:
    """The words but those that ask for help, and whether there was one. What stands behind ``--`` is text."""
    end = words.index(DASHES) if DASHES in words else len(words)
    asking = [at for at in range(end) if words[at] in HELP]
    if words and words[0].text == "help":
        asking.append(0)
    return [word for at, word in enumerate(words) if at not in asking], bool(asking)


def _naming(operation: Operation, words: list[Word], entries: list[bodies.Entry]) -> tuple[list[str], list[str]]:
    """Words that name the methods or the view, then words after a flag, which do where that flag is a switch."""
    own: list[str] = []
    after_flags: list[str] = []
    after = False
    for text, quoted in words:
        flag = not quoted and _is_flag(text)
        if not flag:
            (after_flags if after else own).append(text)
        after = flag and "=" not in text
    key = operation.arguments[0].name
    return own + [e.node.value for e in entries if e.key == key and isinstance(e.node.value, str)], after_flags


def _is_flag(text: str) -> bool:
    if not text.startswith("-") or text == "-" or _is_number(text):
        return False
    if not text.startswith("--"):
        raise BadOption(f"{text} is no flag", "A flag has two dashes and a whole name; text goes in quotes")
    return True


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|-inf", text, re.IGNORECASE) is not None


def _next_value(rest: list[Word], flag: str, kind: str) -> str:
    if not rest or (not rest[0].quoted and rest[0].text.startswith("--")):
        raise BadOption(f"{flag} needs {kind} after it", f"Write {flag} VALUE or {flag}=VALUE")
    return rest.pop(0).text


def _identifier(name: str) -> str:
    if not name.isidentifier():
        raise BadOption(f"--into needs a name, not {name!r}", "Such as --into run")
    return name


def _unknown(name: str, operations: Mapping[str, Operation], host: Callable[[], Host]) -> BadOption:
    if all(part in host().offers("methods") for part in name.split("+")):
        return BadOption(f"{name!r} is a method, not a command", f"Did you mean 'train {name}'?")
    return BadOption(f"no command named {name!r}", nearest(name, operations, most=40))
