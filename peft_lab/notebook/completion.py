"""Completion in the kernel, so that it is the same in every front end: commands, names, flags, values, keys of a body.

A completion never raises and imports nothing heavy. What fails is recorded under ``%peft problems``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

if TYPE_CHECKING:
    from peft_lab.notebook.candidates import Candidate
    from peft_lab.notebook.magics import PeftMagics

LINE = re.compile(r"^\s*(?:[\w\s,.\[\]*]+=\s*)?%peft(?=\s)")
CELL = re.compile(r"^%%peft(?=\s)")


class Nothing:
    """No completions, and nobody else's: IPython silences the others only for a result that has something in it."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[SimpleCompletion]:
        return iter(())


def matcher_for(magics: PeftMagics) -> Callable[[CompletionContext], Any]:
    """What IPython asks for completions of a cell; it answers for the lines of ``%peft`` only."""

    @context_matcher(identifier="peft_lab")
    def complete(context: CompletionContext) -> Any:
        before, after = around(context)
        place = where(before, after)
        if place is None:
            return {"completions": [], "suppress": False}
        fragment = ""
        found: list[Candidate] = []
        try:
            from peft_lab.notebook.completing import completions

            fragment, found = completions(magics.lab, *place)
        except Exception as error:
            _record(magics, error)
        completions_ = [SimpleCompletion(one.text, type=one.type) for one in found[: context.limit]]
        return {
            "completions": completions_ or Nothing(),
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }

    return complete


def around(context: CompletionContext) -> tuple[str, str]:
    """The text before the cursor and behind it."""
    lines = context.full_text.split("\n")
    at = context.cursor_position
    if context.cursor_line == 0 and at > len(lines[0]):  # IPython's older entry point counts from the first line on
        return context.full_text[:at], context.full_text[at:]
    at += sum(len(line) + 1 for line in lines[: context.cursor_line])
    return context.full_text[:at], context.full_text[at:]


def where(before: str, after: str) -> tuple[str, str, str | None, str] | None:
    """What to complete, or None where the text is not ours: line before, line behind, body before, body behind.

    The body is None in the line of a magic.
    """
    text = before.lstrip()
    if cell := CELL.match(text):
        line, broken, body = text[cell.end() :].partition("\n")
        if broken:
            return line, "", body, after
        return line, after.partition("\n")[0], None, after.partition("\n")[2]
    lines = before.split("\n")
    line = lines.pop()
    while lines and lines[-1].endswith("\\"):  # a line that goes on
        line = lines.pop()[:-1] + " " + line
    if found := LINE.match(line):
        return line[found.end() :], after.partition("\n")[0], None, ""
    return None


def _record(magics: PeftMagics, error: Exception) -> None:
    from contextlib import suppress

    from peft_lab.errors import PeftLabError

    if isinstance(error, PeftLabError):
        return  # a line that is not finished may well be wrong
    with suppress(Exception):
        magics.lab.host.report("completion", error)
