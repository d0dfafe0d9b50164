"""The verdicts as one table, and one line about what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from peft_lab.checking.outputs import Cell
from peft_lab.checking.verdicts import FRESH, ORDER, OTHER, STALE, Verdict
from peft_lab.present.table import Table

COLUMNS = ("cell", "run", "method", "verdict", "why")


class Judged(NamedTuple):
    """An output and what was found."""

    cell: Cell | None
    run: str
    method: str
    verdict: Verdict


@dataclass(frozen=True, repr=False)
class Checked(Table):
    """The table of ``%peft check``; ``ok`` when nothing is stale."""

    ok: bool = True


def checked(found: Sequence[Judged], read: Sequence[str], about: str) -> Checked:
    """The table.

    Args:
        read: files that had to be read.
        about: what was looked at and what was not, in a sentence.
    """
    rows = [
        [one.cell.name if one.cell else None, one.run, one.method, one.verdict.word, "; ".join(one.verdict.why)]
        for one in found
    ]
    notes = [_advice(found)]
    if read:
        notes.append(f"Read to compare, as written since: {', '.join(dict.fromkeys(read))}.")
    notes.append(about)
    note = " ".join(filter(None, notes))
    stale = any(one.verdict.word == STALE for one in found)
    return Checked("what is shown, and whether it still holds", COLUMNS, rows, note=note, ok=not stale)


def _advice(found: Sequence[Judged]) -> str:
    if not found:
        return "No output shows a run. Train one: %peft train bitfit."
    stale = list(dict.fromkeys(_place(one) for one in found if one.verdict.word == STALE))
    if stale:
        return f"Run again, in this order: {', '.join(stale)}."
    if any(one.verdict.word == ORDER for one in found):
        return "Run all cells from the top: then what they show and what they say agree."
    if all(one.verdict.word in (FRESH, OTHER) for one in found):
        return "All of it still holds."
    return "Nothing is stale; not all of it is finished."


def _place(one: Judged) -> str:
    return one.cell.name if one.cell else f"what trained {one.run}"
