"""What could stand at the cursor of a line of ``%peft``: a command, a name, a flag, a value."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from peft_lab.errors import PeftLabError
from peft_lab.notebook.candidates import Candidate, beginning, candidates, variables
from peft_lab.notebook.gathering import INTO, is_flag
from peft_lab.notebook.options import Option, Options, kind_named, named_on, options_of_call, typed
from peft_lab.notebook.parsing import naming, texts
from peft_lab.notebook.words import BRACES, Cut, Word, cut
from peft_lab.operations import Argument, Operation, operations_of

if TYPE_CHECKING:
    from peft_lab.bench import Bench

Found = tuple[str, list[Candidate]]
"""The part of the text that is replaced, which ends at the cursor, and by what."""
NOTHING: Found = ("", [])
RESULT = Option(INTO, Argument(INTO, str, None, "a name for the result"), "")


@cache
def operations() -> Mapping[str, Operation]:
    """All operations of the lab."""
    from peft_lab.lab import Lab

    return operations_of(Lab)


def completions(bench: Bench, line: str, line_after: str, body: str | None, body_after: str) -> Found:
    """Complete a line, or the body below it."""
    if body is None:
        return complete_line(bench, line, line_after, body_after)
    from peft_lab.notebook.completing_body import complete_body

    return complete_body(bench, line, body, body_after)


@dataclass
class Said:
    """What a line says so far: the operation, its flags with their values, loose words, all options there are."""

    operation: Operation
    options: Options
    owners: list[str]
    flags: dict[str, str] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    waiting: Option | None = None
    """The option whose value comes next."""

    def argument(self, name: str) -> Argument | None:
        """The argument of a name as it is typed, whether a flag or a word."""
        if name in self.options:
            return self.options[name].argument
        return next((a for a in self.operation.arguments if a.positional and typed(a.name) == name), None)


def said(bench: Bench, words: Sequence[Word], more: Sequence[Word] = (), methods: str = "") -> Said | None:
    """Read the words before the cursor; ``more`` are those behind it, which may name the method.

    Args:
        methods: as the body names them.
    """
    if not words or words[0].text not in operations():
        return None
    operation = operations()[words[0].text]
    owners: list[Any] = []
    if kind_named(operation):
        try:
            own, after_flags = (texts(found, bench.namespace) for found in naming([*words[1:], *more]))
            owners = named_on(operation, [*own, *([methods] if methods else [])], after_flags, bench.host)
        except PeftLabError:  # a name that is not finished
            owners = []
    options = options_of_call(operation, [cls for cls in owners if _is_known(cls)])
    made = Said(operation, options, [cls.name for cls in owners])
    for word in words[1:]:
        _take(made, word)
    return made


def _take(made: Said, word: Word) -> None:
    if not word.quoted and is_flag(word.text):
        name, equals, value = word.text[2:].partition("=")
        name = typed(name)
        if name not in made.options and name.removeprefix("no-") in made.options:
            name = name.removeprefix("no-")
        option = RESULT if name == INTO else made.options.get(name)
        takes_value = option is not None and not option.argument.is_switch and not equals
        made.waiting = option if takes_value else None
        if name:
            made.flags[name] = value
    elif made.waiting is not None:
        made.flags[next(reversed(made.flags))] = word.text
        made.waiting = None
    else:
        made.loose.append(word.text)


def _is_known(cls: Any) -> bool:
    """Whether a look at the options of a method costs nothing: those of PEFT are read from PEFT, in seconds."""
    options = inspect.getattr_static(cls, "Options")
    return isinstance(options, type) or getattr(options, "made", None) is not None or "peft" in sys.modules


def complete_line(bench: Bench, before: str, after: str, body: str) -> Found:
    """What could stand at the cursor of a line."""
    made = cut(before)
    if made.comment:
        return NOTHING
    raw = before[made.begin :]
    closed = bool(raw) and not made.quote
    words = made.words[:-1] if closed else made.words
    if words and words[0].text == "help":
        words = words[1:]
    if made.quote == BRACES:
        fragment = before[made.inside :].lstrip()
        return fragment, beginning(variables(bench, "" if "}}" in after else " }}"), fragment)
    if not words:
        return raw, beginning([*_commands(), *_help(raw)], raw)
    if raw[:1] in ("'", '"') and closed:
        return NOTHING
    behind = after if not after[:1].strip() else after.partition(" ")[2]
    from peft_lab.notebook.completing_body import named_in

    known = said(bench, words, cut(behind).words, named_in(body))
    if known is None:
        return NOTHING
    if known.waiting is not None:
        return _value(bench, known, known.waiting.argument, raw, made, before, after)
    if raw.startswith("--"):
        name, equals, _ = raw[2:].partition("=")
        if not equals:
            return raw, _flags(known, cut(behind).words, raw)
        argument = known.argument(typed(name))
        return _value(bench, known, argument, raw[len(name) + 3 :], made, before, after) if argument else NOTHING
    places = [a for a in known.operation.arguments if a.positional]
    at = len(known.loose)
    argument = places[at] if at < len(places) else places[-1] if places and places[-1].rest else None
    if argument is None:
        return (raw, _flags(known, cut(behind).words, raw)) if not raw else NOTHING
    return _value(bench, known, argument, raw, made, before, after)


def _value(bench: Bench, known: Said, argument: Argument, raw: str, made: Cut, before: str, after: str) -> Found:
    quote = made.quote
    fragment = before[made.inside :] if quote else raw
    given = fragment
    if argument.cut:
        head, _, fragment = fragment.rpartition(",")
        given = head
    elif "methods" in argument.completes.split("+"):
        head, _, fragment = fragment.rpartition("+")
        given = head
    else:
        given = ""
    taken = {part for text in given.split(",") for part in text.split("+")} - {""}
    if argument.rest:
        taken |= set(known.loose)
    found = candidates(bench, argument, fragment, model=known.flags.get("model", ""))
    left = [one for one in found if one.text not in taken]
    return fragment, [one.on_line(quote, after) for one in left]


def _commands() -> list[Candidate]:
    return [Candidate(name, "command") for name in operations()]


def _help(raw: str) -> list[Candidate]:
    return [Candidate("--help", "flag")] if raw.startswith("-") else []


def _flags(known: Said, more: Sequence[Word], raw: str) -> list[Candidate]:
    """Flags not given yet, those of the methods first; with their method's name where two have the same."""
    later = {typed(w.text[2:].partition("=")[0]) for w in more if not w.quoted and w.text.startswith("--")}
    given = {known.options[n].key for n in {*known.flags, *later} if n in known.options}
    found = []
    for name, option in offered(known, dotted="." in raw):
        if option.key in given and not option.argument.whole:
            continue
        switched_on = option.argument.is_switch and option.argument.default is True
        found.append(Candidate(f"--no-{name}" if switched_on else f"--{name}", option.owner))
    found += [Candidate(f"--{name}", "") for name in (INTO, "help") if name not in known.flags]
    return beginning(found, raw.replace("_", "-"))


def offered(known: Said, dotted: bool = False) -> list[tuple[str, Option]]:
    """Options worth offering: those of methods before the rest, and no name that two methods share."""
    training = kind_named(known.operation) == "methods"
    kept = []
    for name, option in known.options.items():
        shared = training and option.owner in known.owners and "." not in option.key
        bare = known.options.get(typed(option.argument.name))
        needless = "." in name and not dotted and bare is not None and bare.key == option.key
        if not needless and not (shared and "." not in name):
            kept.append((name, option))
    return sorted(kept, key=lambda one: one[1].owner not in known.owners)
