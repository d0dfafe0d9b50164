"""Samples under their table and their notes: what the view draws, and what an explorer leaves."""

from __future__ import annotations

from collections.abc import Sequence

from peft_lab.present.style import esc, plain
from peft_lab.present.tokens.figures import as_table, figures
from peft_lab.present.tokens.lines import lines
from peft_lab.present.tokens.marks import Marking
from peft_lab.present.tokens.pages import page
from peft_lab.present.tokens.reading import Kept
from pluggy_specs import Drawing


def drawing(numbers: Sequence[int], kept: Kept, marks: Marking, said: str) -> Drawing:
    """The samples at these places.

    Args:
        said: the sentence with the main numbers.
    """
    table, notes = as_table(figures(kept), kept), [*kept.notes, _not_shown(numbers, kept)]
    note = " ".join(text for text in notes if text)
    html = f'{table._repr_html_()}<div style="margin:4px">{esc(note)}</div>{page(numbers, kept, marks)}'
    return Drawing(said, html=html, text=f"{table}\n{plain(note)}\n\n{lines(numbers, kept, marks)}".rstrip())


def _not_shown(numbers: Sequence[int], kept: Kept) -> str:
    every, held_out = len(kept.samples), sum(sample.held_out for sample in kept.samples)
    said = f"Samples 1 to {held_out:,} are held out, the others trained on. " if 0 < held_out < every else ""
    if len(numbers) == every:
        return said
    return f"{said}Shown here: {len(numbers):,} of {every:,}; --sample N shows another, --samples N more of them."
