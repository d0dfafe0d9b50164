"""What was given back, as tables."""

from __future__ import annotations

from peft_lab.memory.freeing import Freed
from peft_lab.present.stack import Stack
from peft_lab.present.style import bytes_, shorten
from peft_lab.present.table import Table
from peft_lab.texts import tables as texts


def freed(found: Freed) -> Table | Stack:
    """Memory before and after; below it, what a person's own names still hold."""
    rows = []
    for what, after in found.after.items():
        before = found.before.get(what, after)
        change = bytes_(before - after) if before >= after else texts.GREW.format(size=bytes_(after - before))
        rows.append([what, bytes_(before), bytes_(after), change])
    note = texts.LET_GO.format(what=", ".join(found.let_go)) if found.let_go else texts.NOTHING_LET_GO
    table = Table(texts.MEMORY_TITLE, texts.MEMORY_COLUMNS, rows, note=note, align="<>>>")
    if not found.held:
        return table
    names = [held.name for held in found.held]
    note = texts.HELD_NOTE.format(len(names), names=", ".join(names[:4]))
    lines = [[shorten(held.name), shorten(held.kind), bytes_(held.size)] for held in found.held]
    return Stack((table, Table(texts.HELD_TITLE, texts.HELD_COLUMNS, lines, note=note, align="<<>")))
