"""What was given back, as tables."""

from __future__ import annotations

from peft_lab.memory.freeing import Freed
from peft_lab.present.stack import Stack
from peft_lab.present.style import bytes_, shorten
from peft_lab.present.table import Table


def freed(found: Freed) -> Table | Stack:
    """Memory before and after; below it, what a person's own names still hold."""
    rows = []
    for what, after in found.after.items():
        before = found.before.get(what, after)
        change = bytes_(before - after) if before >= after else f"none, {bytes_(after - before)} more"
        rows.append([what, bytes_(before), bytes_(after), change])
    note = f"Let go: {', '.join(found.let_go)}." if found.let_go else "There was nothing to let go of."
    table = Table("memory given back", ("", "before", "after", "freed"), rows, note=note, align="<>>>")
    if not found.held:
        return table
    names = [held.name for held in found.held]
    note = f"These names are yours, and are left alone. Give their memory back: del {', '.join(names[:4])}"
    if len(names) > 1:
        note += ". Two names may hold the same memory"
    lines = [[shorten(held.name), shorten(held.kind), bytes_(held.size)] for held in found.held]
    return Stack((table, Table("still held by your names", ("name", "kind", "holds"), lines, note=note, align="<<>")))
