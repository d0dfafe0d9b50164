"""Gathers the values that a line and a body give, by key, and says where two of them contradict each other."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from typing import Any

from peft_lab.errors import BadOption, nearest
from peft_lab.notebook import body as bodies
from peft_lab.notebook.names import look_up, take
from peft_lab.notebook.options import Option, Options, kind_named, typed
from peft_lab.notebook.values import convert, takes
from peft_lab.notebook.words import Word
from peft_lab.operations import Argument, Operation

INTO = "into"
DASHES = Word("--", False)


class Gathered:
    """What was said so far, with the place where it was said."""

    def __init__(self, operation: Operation, options: Options, owners: list[str], names: Mapping[str, Any]) -> None:
        self.operation, self.options, self.owners, self.names = operation, options, owners, names
        self.given: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        self.lines: dict[str, str] = {}
        self.into = ""

    # --- the line -----------------------------------------------------------------------------------------------------

    def take_line(self, words: list[Word]) -> None:
        """Flags and loose words of the line."""
        rest = list(words)
        loose: list[Word] = []
        while rest:
            word = rest.pop(0)
            if word == DASHES:
                loose += [other._replace(name="") for other in rest]
                break
            if word.quoted or not is_flag(word.text):
                loose.append(word)
                continue
            name, equals, text = word.text[2:].partition("=")
            value = Word(text, False, word.name) if equals else None
            if typed(name) == INTO:
                self._take_into((value or _next_value(rest, "--into", "a name")).text, "--into")
            else:
                self._take_flag(typed(name), value, rest)
        self._take_loose(loose)

    def _take_flag(self, name: str, value: Word | None, rest: list[Word]) -> None:
        flag = f"--{name}"
        option = self._switched_off(name)
        if option is not None:
            self._set(option.key, value is not None and not self._value(option.argument, value, flag), flag)
            return
        if name not in self.options:
            if kind_named(self.operation) == "methods" and not self.owners:
                self.must_be_complete()  # which flags there are depends on the method that is missing
            known = [f"--{other}" for other in self.options if "." not in other or "." in name]
            hint = nearest(flag, known, most=40) if known else "It takes no flags"
            raise BadOption(f"{self.operation.name} has no {flag}", hint)
        option = self.options[name]
        if value is None and option.argument.is_switch:
            self._set(option.key, True, flag)
            return
        value = value or _next_value(rest, flag, takes(option.argument))
        found = self._value(option.argument, value, flag)
        if option.argument.whole and option.key in self.given:
            self.given[option.key] = [*(self.given[option.key] or ()), *(found or ())]
            return
        self._set(option.key, found, flag)

    def _switched_off(self, name: str) -> Option | None:
        option = self.options.get(name.removeprefix("no-"))
        return option if name not in self.options and option and option.argument.is_switch else None

    def _take_loose(self, loose: list[Word]) -> None:
        for argument in self.operation.arguments:
            if argument.rest and loose:
                found: list[Any] = []
                for word in loose:
                    value = self._value(argument, word, argument.name)
                    found += value if isinstance(value, list) else [value]
                self._set(argument.name, found, argument.name)
                loose = []
            elif argument.positional and not argument.rest and loose:
                self._set(argument.name, self._value(argument, loose.pop(0), argument.name), argument.name)
        if loose:
            text = loose[0].text
            raise BadOption(f"{text!r} is one word too many for {self.operation.name}", self._hint_for_loose(text))

    def _hint_for_loose(self, text: str) -> str:
        name, equals, value = text.lstrip("-").partition("=")
        if typed(name) in self.options:
            return f"Did you mean --{typed(name)}{equals}{value}?"
        lists = [o.argument.flag for o in self.options.values() if o.argument.cut and o.key in self.given]
        if lists:
            return f"Several values are written with commas: {lists[0]} a,b"
        return "Put text with blanks in quotes" if self.operation.arguments else "It takes none"

    def _value(self, argument: Argument, word: Word, place: str) -> Any:
        if word.name:
            return take(argument, look_up(self.names, word.name, place), word.name, place)
        return convert(argument, word.text, place)

    # --- the body -----------------------------------------------------------------------------------------------------

    def take_entry(self, entry: bodies.Entry) -> None:
        """One key of the body. A mapping under the name of a method holds that method's options."""
        if entry.is_mapping and entry.key in self.owners:
            for inner in entry.nested():
                self.take_entry(inner)
            return
        positional = next((a for a in self.operation.arguments if a.positional and a.name == entry.key), None)
        option = self.options.get(typed(entry.key))
        if positional is not None:
            value = entry.value(positional, self.names)
            value = [value] if positional.rest and not isinstance(value, list) else value
            self._set(positional.name, value, entry.place)
        elif option is not None:
            self._set(option.key, entry.value(option.argument, self.names), entry.place)
            self.lines.setdefault(option.key, entry.place)
            for key, place in entry.items():
                self.lines.setdefault(key, place)
        elif entry.key == INTO:
            self._take_into(entry.plain_text({}) or "", entry.place)
        else:
            known = {o.replace("-", "_") for o in self.options if "." not in o} | {
                a.name for a in self.operation.arguments if a.positional
            }
            hint = nearest(entry.key.split(".")[-1], known, most=40)
            raise BadOption(f"{entry.place}: {self.operation.name} has no {entry.key!r}", hint)

    # --- both ---------------------------------------------------------------------------------------------------------

    def _take_into(self, name: str, place: str) -> None:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise BadOption(f"{place} needs a name, not {name!r}", "Such as --into run")
        if self.into not in ("", name):
            raise BadOption(f"the result cannot go into {self.into!r} and into {name!r}", "Keep one")
        self.into = name

    def _set(self, key: str, value: Any, place: str) -> None:
        if key not in self.given:
            self.given[key], self.places[key] = value, place
        elif place == self.places[key]:
            raise BadOption(f"{place} is written twice", "Keep one")
        elif value != self.given[key]:
            both = f"{self.places[key]} says {self.given[key]!r}, {place} says {value!r}"
            raise BadOption(f"{key} is given twice: {both}", "Keep one")

    def must_be_complete(self) -> None:
        """Refuse a call that lacks what it needs."""
        for argument in self.operation.arguments:
            needed = argument.positional and not argument.rest and not argument.optional
            if needed and argument.name not in self.given:
                example = next((e for e in self.operation.examples if e), "")
                raise BadOption(
                    f"{self.operation.name} needs {argument.name}: {argument.help}", f"For example: %peft {example}"
                )


def is_flag(text: str) -> bool:
    """Whether a word without quotes is a flag; a negative number is none."""
    if not text.startswith("-") or text == "-" or _is_number(text):
        return False
    if not text.startswith("--"):
        raise BadOption(f"{text} is no flag", "A flag has two dashes and a whole name; text goes in quotes")
    return True


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|-inf", text, re.IGNORECASE) is not None


def _next_value(rest: list[Word], flag: str, kind: str) -> Word:
    if not rest or (not rest[0].quoted and rest[0].text.startswith("--")):
        raise BadOption(f"{flag} needs {kind} after it", f"Write {flag} VALUE or {flag}=VALUE")
    return rest.pop(0)
