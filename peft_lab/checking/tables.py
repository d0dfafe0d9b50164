"""The verdicts as one table, and one line about what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from peft_lab.checking.outputs import Cell
from peft_lab.checking.verdicts import FRESH, ORDER, OTHER, STALE, Verdict
from peft_lab.present.table import Table
from peft_lab.texts import checks as texts


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
        [one.cell.name if one.cell else None, one.run, one.method, one.verdict.said, "; ".join(one.verdict.why)]
        for one in found
    ]
    notes = [_advice(found)]
    if read:
        notes.append(texts.READ_TO_COMPARE.format(files=", ".join(dict.fromkeys(read))))
    notes.append(about)
    note = " ".join(filter(None, notes))
    stale = any(one.verdict.word == STALE for one in found)
    return Checked(texts.CHECK, texts.CHECK_COLUMNS, rows, note=note, ok=not stale)


def _advice(found: Sequence[Judged]) -> str:
    if not found:
        return texts.NO_OUTPUT
    stale = list(dict.fromkeys(_place(one) for one in found if one.verdict.word == STALE))
    if stale:
        return texts.RUN_AGAIN.format(cells=", ".join(stale))
    if any(one.verdict.word == ORDER for one in found):
        return texts.FROM_THE_TOP
    if all(one.verdict.word in (FRESH, OTHER) for one in found):
        return texts.ALL_HOLDS
    return texts.NOT_FINISHED


def _place(one: Judged) -> str:
    return one.cell.name if one.cell else texts.WHAT_TRAINED.format(run=one.run)
