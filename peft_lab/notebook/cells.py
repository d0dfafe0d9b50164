"""The ``%peft`` lines in the text of a cell, and what a cell has shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from peft_lab.notebook.parsing import Call, parse
from peft_lab.operations import Operation

if TYPE_CHECKING:
    from peft_lab.checking.outputs import Session
    from peft_lab.host import Host
    from peft_lab.run import Run

LINE = re.compile(r"(?:[A-Za-z_][\w.,\[\]'\" ]*=\s*)?%peft(?!\w)(.*)")
WHOLE = "%%peft"
TYPED = re.compile(r"_i\d+")
"""Names that IPython gives to the texts of cells."""
SHOWING = ("show", "compare", "predict")
"""Commands whose result names the runs that it shows."""


def calls_in(
    source: str, operations: Mapping[str, Operation], host: Callable[[], Host], names: Mapping[str, Any]
) -> list[Call]:
    """What a cell asks of the lab by magics, in order.

    Lines inside a loop or a function are left out: how often they run, and with which values, is not known.

    Raises:
        PeftLabError: a line of it cannot be understood, or names what the notebook no longer has.
    """
    found = (parse(line, body, operations, host, names) for line, body in _lines(source))
    return [call for call in found if isinstance(call, Call)]


def _lines(source: str) -> Iterator[tuple[str, str | None]]:
    text = source.lstrip("\n")
    if text.startswith(WHOLE) and not text[len(WHOLE) :][:1].strip():
        line, _, body = text[len(WHOLE) :].partition("\n")
        yield line, body
        return
    for line in text.replace("\\\n", " ").split("\n"):
        if magic := LINE.fullmatch(line):
            yield magic[1], None


def begin(session: Session, shell: Any) -> int:
    """Note that a cell with a magic runs; return its number."""
    session.inputs = {int(name[2:]): str(text) for name, text in shell.user_ns.items() if TYPED.fullmatch(name)}
    count = int(shell.displayhook.prompt_count)
    parent = getattr(shell, "parent_header", None) or {}
    session.ran(count, session.inputs.get(count, ""), (parent.get("metadata") or {}).get("cellId") or "")
    return count


def showed(session: Session, shell: Any, *runs: Run) -> None:
    """Note that the present cell shows runs, as they are now."""
    from peft_lab.checking.outputs import shown_of
    from peft_lab.errors import RunProblem

    count = begin(session, shell)
    for run in runs:
        with suppress(RunProblem, OSError, KeyError):  # gone, or unreadable: that must not cost the result
            session.showed(count, shown_of(run))


def runs_in(call: Call, result: Any, lab: Any) -> list[Run]:
    """The runs that the result of a call shows."""
    from peft_lab.checking.outputs import NAMED
    from peft_lab.errors import RunProblem
    from peft_lab.run import Run

    if isinstance(result, Run):
        return [result]
    found = []
    for name in dict.fromkeys(NAMED.findall(str(result)) if call.operation.name in SHOWING else ()):
        try:
            found.append(lab.run(name))
        except RunProblem:  # a text that was asked about speaks of it
            continue
    return found
