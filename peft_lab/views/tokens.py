"""Which tokens teach: answers token by token, marked by role, weight or loss; one run, or two on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.errors import BadOption
from peft_lab.present.style import plain
from peft_lab.present.tokens.drawing import drawing
from peft_lab.present.tokens.figures import figures, moved, sentence, sentence_of_two
from peft_lab.present.tokens.marks import Marking, change, marking
from peft_lab.present.tokens.reading import LOSSES, Kept, in_common, read
from peft_lab.texts import tokens as texts
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
        threshold: float = Field(
            0.0,
            allow_inf_nan=False,
            description="the LD above which a token is shown as reasoning; 0: as the method did",
        )

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw one run, or compare two."""
        if len(runs) > 2:
            raise BadOption(f"tokens compares two runs, not {len(runs)}", "Name one or two of them")
        kept, marks, said = self._compared(*runs) if len(runs) == 2 else self._read(*runs)
        return drawing(self._chosen(kept), kept, marks, said)

    def _read(self, run: RunView) -> tuple[Kept, Marking, str]:
        """The samples of a run, their marks, and the main numbers."""
        own, threshold = read(run), self.options.threshold
        if threshold and not (own.has_roles and own.knows("ld")):
            raise BadOption(f"{run.id} knows no LD of its tokens", "Leave out --threshold", "threshold")
        kept = own.at(threshold)
        said = sentence(figures(kept), kept, _title(run))
        if threshold:
            said = f"{said} {moved(figures(kept), figures(own), threshold)}"
        return kept, marking(kept, self.options.by, run.id, threshold), said

    def _compared(self, one: RunView, other: RunView) -> tuple[Kept, Marking, str]:
        """The rows that two runs share, marks of what changed, and the main numbers."""
        kept = in_common(read(one), read(other), (one.id, other.id))
        if self.options.by not in ("auto", "change"):
            raise BadOption("two runs are compared by the change of loss", "Leave out --by, or name one run", "by")
        if self.options.threshold:
            raise BadOption("two runs are compared by the change of loss", "Leave out --threshold", "threshold")
        return kept, change(kept), sentence_of_two(figures(kept), kept)

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
    return texts.RUN_AND_METHOD.format(run=run.id, method=plain(recipe.method)) if recipe is not None else run.id
