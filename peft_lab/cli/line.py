"""From the words of a command line to operations of the lab, by the parser of the magics.

The shell has taken quotes away already. A word that begins with a dash is a flag; text that does so stands behind
``--``, or has a blank in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.cli.recipes import SUFFIXES, Filed, read_plan, read_recipe
from peft_lab.errors import BadOption, PeftLabError
from peft_lab.notebook.options import kind_named
from peft_lab.notebook.parsing import Call, parse
from peft_lab.notebook.words import Word
from peft_lab.operations import Operation, operations_of
from peft_lab.present.stack import Stack
from peft_lab.present.table import Table

if TYPE_CHECKING:
    from peft_lab.host import Host

THEN, BEHIND, RUN, STUDY = "then", "--", "run", "study"
COMMON = (
    ("--runs", "FOLDER", "where runs live; PEFT_LAB_RUNS or ./peft_runs when not said"),
    ("--html", "FILE", "write what is shown to a page, too, with its pictures"),
    ("--json", "", "show tables and runs as JSON"),
    ("--version", "", "say which peft-lab this is"),
)


class NotUnderstood(PeftLabError):
    """Words that are no command, or that a command does not take."""


@dataclass
class Settings:
    """What every command takes."""

    runs: str = ""
    html: str = ""
    json: bool = False
    version: bool = False


@dataclass(frozen=True)
class Asked:
    """A call, and the recipe file that some of it stood in."""

    call: Call
    file: Path | None = None

    def on(self, lab: Any) -> Any:
        """Do it; an error that names a line names it as a line of the file."""
        try:
            return self.call.on(lab)
        except PeftLabError as error:
            if self.file is None:
                raise
            raise said_of(error, self.file) from error


def settings_in(words: list[str]) -> tuple[Settings, list[str]]:
    """The settings that stand anywhere on the line, and the other words.

    Raises:
        NotUnderstood: one of them lacks its value.
    """
    settings = Settings()
    takes_value = {flag: bool(value) for flag, value, _ in COMMON}
    left: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        if word == BEHIND:
            return settings, [*left, word, *rest]
        if flag not in takes_value:
            left.append(word)
        elif not takes_value[flag]:
            setattr(settings, flag[2:], True)
        else:
            if not equals and (not rest or rest[0].startswith("--")):
                raise NotUnderstood(f"{flag} needs a value after it", f"Write {flag} VALUE")
            setattr(settings, flag[2:], value if equals else rest.pop(0))
    return settings, left


def commands(words: list[str]) -> Iterator[list[str]]:
    """One command after another, where ``then`` stands between them."""
    command: list[str] = []
    for word in words:
        if word == THEN and BEHIND not in command:
            yield command
            command = []
        else:
            command.append(word)
    yield command


def understood(words: list[str], host: Callable[[], Host]) -> Asked | Any:
    """The call that a command asks for, or the help it asks for.

    Raises:
        NotUnderstood: something in it cannot be understood.
    """
    from peft_lab.lab import Lab

    operations = operations_of(Lab)
    words = _run(words)
    line = [as_word(word) for word in words] or [Word("--help", False)]
    file: Path | None = None
    try:
        filed = None
        if found := _recipe_on(line, operations):
            at, file = found
            filed = read_recipe(file) if line[0].text != STUDY else read_plan(file)
            line[at : at + 1] = [Word(name, True) for name in filed.methods]
        asked = parse(line, filed.entries if filed else None, operations, host)
    except PeftLabError as error:
        raise NotUnderstood(in_file(str(error), file) if file else str(error)) from error
    if not isinstance(asked, Call):
        return _help(asked, len(words))
    if asked.into:
        raise NotUnderstood("--into is for notebooks", "Results are runs on disk; see them with peft-lab runs")
    return Asked(_with_file(asked, filed) if filed else asked, file)


def _run(words: list[str]) -> list[str]:
    """``run recipe.json`` is ``train recipe.json``, but that it takes nothing else for a recipe.

    Raises:
        NotUnderstood: no recipe file is named.
    """
    if words[:1] != [RUN] or "--help" in words[1:]:
        return ["train", *words[1:]] if words[:1] == [RUN] else words
    if len(words) < 2 or Path(words[1]).suffix.lower() not in SUFFIXES:
        raise NotUnderstood("run takes a recipe file", "Such as peft-lab run recipe.json; methods: peft-lab train lora")
    return ["train", *words[1:]]


def as_word(text: str) -> Word:
    """A word of the shell as one of the parser's: what cannot be a flag is text."""
    return Word(text, not re.match(r"-\S*(=|$)", text))


def in_file(text: str, file: Path) -> str:
    """What the parser says about a cell, as said about a file: there the first line is no magic."""
    text = re.sub(r"\bline (\d+) of the cell\b", lambda found: f"line {int(found[1]) - 1} of {file.name}", text)
    text = re.sub(r"\bon line (\d+)\b(?! of)", lambda found: f"on line {int(found[1]) - 1}", text)
    return re.sub(r"\bthe cell is no YAML\b", f"{file.name} is no YAML", text)


def said_of(error: PeftLabError, file: Path) -> PeftLabError:
    """The error about a cell as an error about a file."""
    text = in_file(str(error), file)
    return BadOption(text) if isinstance(error, BadOption) else PeftLabError(text)


def _recipe_on(line: list[Word], operations: Mapping[str, Operation]) -> tuple[int, Path] | None:
    """Where on the line of a command that takes methods, or a study, a file stands instead of them."""
    operation = operations.get(line[0].text)
    if operation is None or not (kind_named(operation) == "methods" or operation.name == STUDY):
        return None
    last = 2 if operation.name == STUDY else 1  # study forecast pilot.yaml
    files = [(at, Path(word.text).expanduser()) for at, word in enumerate(line[1 : 1 + last], 1)]
    return next(((at, file) for at, file in files if file.suffix.lower() in SUFFIXES), None)


def _with_file(call: Call, filed: Filed) -> Call:
    """What stands on the line counts more than what the file says."""
    return replace(call, given={**filed.given, **call.given})


def _help(shown: Table | Stack, words: int) -> Table | Stack:
    """Help for the shell: what every command takes, and no cells."""
    first, *others = shown.parts if isinstance(shown, Stack) else (shown,)
    if words < 2 and not others:
        rows = [[f"{flag} {value}".rstrip(), text] for flag, value, text in COMMON]
        common = Table("Every command also takes", ("", "meaning"), rows)
        note = f"More about one: peft-lab train --help. Several in one go: peft-lab train lora {THEN} compare"
        return Stack([replace(first, title="peft-lab COMMAND ...", note=note), common])
    said, cell, _ = first.note.partition("In a %%peft")
    if cell and "METHODS" in first.title:
        said += "A recipe file may stand for the methods: peft-lab train recipe.yaml. Flags count more than the file."
    return Stack([replace(first, note=said.strip()), *others])
