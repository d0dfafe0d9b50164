"""Which tokens teach: answers token by token, marked by role, weight or loss; one run, or two on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.errors import BadOption
from peft_lab.present.style import esc, plain
from peft_lab.views._token_figures import as_table, figures, sentence, sentence_of_two
from peft_lab.views._token_lines import lines
from peft_lab.views._token_marks import change, marking
from peft_lab.views._token_pages import page
from peft_lab.views._token_reading import LOSSES, Kept, in_common, read
from pluggy_specs import Drawing, RunView, View

READABLE_TOKENS, READABLE_SAMPLES = 600, 5
"""Learned tokens and samples that are shown where nothing is said."""


class Tokens(View):
    """Samples with their tokens marked, a table by role, and tables of the tokens; with two runs, what changed."""

    name = "tokens"
    summary = "which tokens teach: roles, weights and losses of the tokens of answers; two runs compared"
    needs = (LOSSES,)
    many = True

    class Options(pluggy_specs.Options):
        """What is shown, and by what tokens are tinted."""

        sample: int = Field(0, ge=0, description="the number of one sample to show; 0: the first ones")
        samples: int = Field(0, ge=0, le=200, description="how many to show; 0: as many as can be read at once")
        by: Literal["auto", "ld", "weight", "role", "loss", "change"] = Field(
            "auto", description="what the strength of a tint is; auto: the best that is known"
        )

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw one run, or compare two."""
        if len(runs) > 2:
            raise BadOption(f"tokens compares two runs, not {len(runs)}", "Name one or two of them")
        if len(runs) == 2:
            kept = in_common(read(runs[0]), read(runs[1]), (runs[0].id, runs[1].id))
            if self.options.by not in ("auto", "change"):
                raise BadOption("two runs are compared by the change of loss", "Leave out --by, or name one run", "by")
            marks, found = change(kept), figures(kept)
            said = sentence_of_two(found, kept)
        else:
            (run,) = runs
            kept = read(run)
            marks, found = marking(kept, self.options.by, run.id), figures(kept)
            said = sentence(found, kept, _title(run))
        numbers = self._chosen(kept)
        table, notes = as_table(found, kept), [*kept.notes, _not_shown(numbers, kept)]
        note = " ".join(text for text in notes if text)
        html = f'{table._repr_html_()}<div style="margin:4px">{esc(note)}</div>{page(numbers, kept, marks)}'
        return Drawing(said, html=html, text=f"{table}\n{plain(note)}\n\n{lines(numbers, kept, marks)}".rstrip())

    def _chosen(self, kept: Kept) -> list[int]:
        """Places of the samples to show.

        Raises:
            BadOption: there is none with this number.
        """
        number, every = self.options.sample, len(kept.samples)
        if number > every:
            raise BadOption(f"there is no sample {number:,}", f"They are numbered from 1 to {every:,}", "sample")
        if number:
            return list(range(number - 1, min(every, number - 1 + max(1, self.options.samples))))
        if self.options.samples:
            return list(range(min(every, self.options.samples)))
        reached = np.cumsum([sample.learned.sum() for sample in kept.samples[:READABLE_SAMPLES]])
        return list(range(max(1, int((reached <= READABLE_TOKENS).sum()))))


def _title(run: RunView) -> str:
    recipe = getattr(run, "recipe", None)
    return f"{run.id}, {plain(recipe.method)}" if recipe is not None else run.id


def _not_shown(numbers: Sequence[int], kept: Kept) -> str:
    every, held_out = len(kept.samples), sum(sample.held_out for sample in kept.samples)
    said = f"Samples 1 to {held_out:,} are held out, the others trained on. " if 0 < held_out < every else ""
    if len(numbers) == every:
        return said
    return f"{said}Shown here: {len(numbers):,} of {every:,}; --sample N shows another, --samples N more of them."
