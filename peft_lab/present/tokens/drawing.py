"""Samples under their table and their notes: what the view draws, and what an explorer leaves."""

from __future__ import annotations

from collections.abc import Sequence

from peft_lab.present.style import esc, plain
from peft_lab.present.tokens.figures import as_table, figures
from peft_lab.present.tokens.lines import lines
from peft_lab.present.tokens.marks import Marking
from peft_lab.present.tokens.pages import page
from peft_lab.present.tokens.reading import Kept
from peft_lab.texts import tokens as texts
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
    said = [texts.SAMPLES_HELD_OUT.format(count=f"{held_out:,}")] if 0 < held_out < every else []
    if len(numbers) == every:
        return "".join(f"{one} " for one in said)
    return " ".join([*said, texts.SAMPLES_SHOWN.format(shown=f"{len(numbers):,}", every=f"{every:,}")])
