"""Turns a line and the body of a cell into an operation of the lab and its arguments.

Everything it knows comes from the declarations in :mod:`peft_lab.operations`. It is not built on argparse: a word that
argparse does not understand ends the program, ``-1e-3`` is a flag to it, and help, errors and completion want the same
declarations that are at hand here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption, PeftLabError, nearest
from peft_lab.notebook import body as bodies
from peft_lab.notebook.gathering import DASHES, Gathered, is_flag
from peft_lab.notebook.help import Help, help_for_all, help_for_one
from peft_lab.notebook.names import look_up, take
from peft_lab.notebook.options import kind_named, named_on, options_of_call
from peft_lab.notebook.words import Word, split
from peft_lab.operations import Operation

if TYPE_CHECKING:
    from peft_lab.host import Host

DEFAULT = "status"
HELP = (Word("-h", False), Word("--help", False))


@dataclass(frozen=True)
class Call:
    """An operation with the values given for it, and the name in the notebook that its result gets."""

    operation: Operation
    given: Mapping[str, Any]
    into: str = ""
    lines: Mapping[str, str] = field(default_factory=dict)
    """For what stood in the body, where it did: ``line 4 of the cell``."""

    def on(self, lab: Any) -> Any:
        """Do it. An option that the lab refuses is an error that names the line of the cell it stood on."""
        named = dict(self.given)
        positional: list[Any] = []
        for argument in self.operation.arguments:
            if argument.rest:
                positional += named.pop(argument.name, ())
            elif argument.positional and argument.name in named:
                positional.append(named.pop(argument.name))
        try:
            return getattr(lab, self.operation.function.__name__)(*positional, **named)
        except BadOption as error:
            outer, _, inner = error.key.rpartition(".")
            line = next((self.lines[k] for k in (error.key, inner, outer) if k in self.lines), "")
            if not line:
                raise
            raise BadOption(f"{line}: {error.message}", error.hint, error.key) from error


def parse(
    line: str | Sequence[Word],
    body: str | Sequence[bodies.Entry] | None,
    operations: Mapping[str, Operation],
    host: Callable[[], Host],
    names: Mapping[str, Any] | None = None,
) -> Call | Help:
    """What a magic was asked to do.

    Args:
        line: what stands behind the magic, or its words.
        body: the rest of the cell as YAML, or its entries.
        operations: what can be asked for.
        host: called only when the options of methods or views are needed.
        names: of the notebook, for ``{{ name }}``.

    Raises:
        PeftLabError: something in the line or the body cannot be understood.
    """
    names = names or {}
    words = split(line) if isinstance(line, str) else list(line)
    words, asks = _without_help(words)
    if asks and not words:
        return help_for_all(operations)
    name = words[0].text if words else DEFAULT
    if name not in operations:
        raise _unknown(name, operations, host)
    operation, words = operations[name], words[1:]
    entries = bodies.read(body) if isinstance(body, str) else list(body or ())
    try:
        named = _named(operation, words, entries, names, host) if kind_named(operation) else []
    except PeftLabError:
        if not asks:
            raise
        named = []
    options = options_of_call(operation, named)
    if asks:
        return help_for_one(operation, options)
    gathered = Gathered(operation, options, [cls.name for cls in named], names)
    gathered.take_line(words)
    for entry in entries:
        gathered.take_entry(entry)
    gathered.must_be_complete()
    return Call(operation, gathered.given, gathered.into, gathered.lines)


def _without_help(words: list[Word]) -> tuple[list[Word], bool]:
    """The words but those that ask for help, and whether there was one. What stands behind ``--`` is text."""
    end = words.index(DASHES) if DASHES in words else len(words)
    asking = [at for at in range(end) if words[at] in HELP]
    if words and words[0].text == "help":
        asking.append(0)
    return [word for at, word in enumerate(words) if at not in asking], bool(asking)


def _named(
    operation: Operation,
    words: list[Word],
    entries: list[bodies.Entry],
    names: Mapping[str, Any],
    host: Callable[[], Host],
) -> list[Any]:
    """The methods or the view that the line or the body names."""
    first = operation.arguments[0]
    entry = next((e for e in entries if e.key == first.name), None)
    for word in naming(words)[0][:1]:
        if word.name:
            take(first, look_up(names, word.name, first.name), word.name, first.name)
    own, after_flags = (texts(found, names) for found in naming(words))
    in_body = [text] if entry is not None and (text := entry.plain_text(names)) else []
    try:
        return named_on(operation, own + in_body, after_flags, host())
    except PeftLabError as error:
        if entry is None or own:
            raise
        raise BadOption(f"{entry.place}: {error.message}", error.hint) from error


def naming(words: Sequence[Word]) -> tuple[list[Word], list[Word]]:
    """Words that name the methods or the view, then words after a flag, which do where that flag is a switch."""
    own: list[Word] = []
    after_flags: list[Word] = []
    after = False
    for word in words:
        flag = not word.quoted and is_flag(word.text)
        if not flag:
            (after_flags if after else own).append(word)
        after = flag and "=" not in word.text
    return own, after_flags


def texts(words: Sequence[Word], names: Mapping[str, Any]) -> list[str]:
    """What words say, those of the notebook where their values are texts."""
    said = [names.get(word.name) if word.name else word.text for word in words]
    return [text for text in said if isinstance(text, str)]


def _unknown(name: str, operations: Mapping[str, Operation], host: Callable[[], Host]) -> BadOption:
    if all(part in host().offers("methods") for part in name.split("+")):
        return BadOption(f"{name!r} is a method, not a command", f"Did you mean 'train {name}'?")
    return BadOption(f"no command named {name!r}", nearest(name, operations, most=40))
