"""The pages of the token explorer: what is told of a choice of sample, threshold and tint, above, in and below it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peft_lab.errors import RunProblem
from peft_lab.present.picture import render
from peft_lab.present.style import PLAIN, esc, plain, share, shorten
from peft_lab.present.token_text import one_line, readable
from peft_lab.present.tokens.drawing import drawing
from peft_lab.present.tokens.figures import as_table, figures, moved, sentence, sentence_of_two
from peft_lab.present.tokens.marks import Marking, change, known_to, marking
from peft_lab.present.tokens.pages import explained, lean_alone, sample_alone
from peft_lab.present.tokens.reading import Kept, Sample, in_common, read
from peft_lab.present.tokens.sweep import bars, reach
from peft_lab.run import Run
from peft_lab.texts import panels as texts
from pluggy_specs.pieces import BOILERPLATE, REASONING, SPECIALS

LABEL = 48
"""Characters of a sample in the chooser."""
TOLD = 12
"""Characters of a line that tells samples apart; shorter ones are mostly template."""


@dataclass(frozen=True)
class Choice:
    """What a person chose: all that the picture depends on."""

    at: int = 0
    threshold: float = 0.0
    by: str = ""
    one: bool = False
    """Whether only the tokens of the sample that is shown are counted."""
    whole: bool = False
    """Whether the prompt is unfolded."""
    table: bool = False


class TokenPages:
    """What there is to show of the tokens of one run, or of two on the rows that both have.

    Raises:
        PeftLabError: the runs have no tokens to show, or no row in common.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = tuple(runs)
        kept = [read(run) for run in runs]
        self.own = kept[0] if len(runs) == 1 else in_common(kept[0], kept[1], (runs[0].id, runs[1].id))
        """The samples with the roles that the method gave."""
        if not self.own.samples:
            raise RunProblem(f"{runs[0].id} has no tokens to show", f"Look at its card: %peft show {runs[0].id}")
        self.within = reach(self.own) if len(runs) == 1 else None
        """The thresholds that there are to choose from; None where no token has an LD."""
        self.known = (known_to(self.own) or ["loss"]) if len(runs) == 1 else ["change"]
        """What tokens can be tinted by."""
        self.names = [_name(at, self.own) for at in range(len(self.own.samples))]
        """Of each sample its number, whether it was trained on, and what it asks."""
        self._texts = ["".join(sample.pieces).casefold() for sample in self.own.samples]

    def why_no_threshold(self) -> str:
        """Why roles cannot be moved although there are some; empty where that is no question."""
        asked = self.within is None and len(self.runs) == 1 and self.own.has_roles
        return texts.NO_LD.format(run=self.runs[0].id) if asked else ""

    def containing(self, text: str) -> list[int]:
        """Places of the samples whose prompt or answer contains a text, in capitals or not."""
        needle = text.strip().casefold()
        return [at for at, whole in enumerate(self._texts) if needle in whole]

    def _marked(self, choice: Choice) -> tuple[Kept, Marking]:
        """The samples with the roles that the threshold gives, and how they are marked."""
        kept = self.own.at(choice.threshold)
        if len(self.runs) == 2:
            return kept, change(kept)
        return kept, marking(kept, choice.by, self.runs[0].id, choice.threshold)

    def above(self, choice: Choice) -> str:
        """What the threshold makes of the tokens, and what others would."""
        own = self._counted(choice)
        if self.within is None:
            return _div(f"<b>{esc(self._sentence(own))}</b>")
        sweep = f'<div style="font-size:90%">{esc(texts.SWEEP)}</div>{bars(own, self.within, choice.threshold)}'
        said = _div(f"<b>{esc(self.counts(choice))}</b>")
        return f"{said}{_div(esc(texts.NOT_TRAINED_SO)) if choice.threshold else ''}{_div(sweep)}"

    def sample(self, choice: Choice) -> str:
        """The sample itself."""
        return sample_alone(choice.at, *self._marked(choice), choice.whole, choice.table)

    def below(self, choice: Choice) -> str:
        """The table of roles, what the marks mean, and the line that draws the same."""
        kept, marks = self._marked(choice)
        counted = self._counted(choice).at(choice.threshold)
        notes = " ".join([explained(marks, lean_alone(kept, choice.at)), *map(esc, kept.notes)])
        return f"{as_table(figures(counted), counted)._repr_html_()}{_div(notes)}{self._typed(choice)}"

    def counts(self, choice: Choice) -> str:
        """How many tokens have which role at the threshold, and how many the method's own gives."""
        own = self._counted(choice)
        kept = own.at(choice.threshold)
        roles = (REASONING, BOILERPLATE)
        (reasoning, boilerplate), (once, other) = ([int((one.role == r).sum()) for r in roles] for one in (kept, own))
        known = figures(kept).get(REASONING)
        loss = "" if known is None or math.isnan(known.part_of_loss) else share(known.part_of_loss)
        said = (texts.COUNTS_AT if choice.threshold else texts.COUNTS_AT_0).format(
            threshold=f"{choice.threshold:g}",
            reasoning=f"{reasoning:,}",
            boilerplate=f"{boilerplate:,}",
            once=f"{once:,}",
            other=f"{other:,}",
        )
        return f"{said}; {texts.PARTS_OF_LOSS.format(loss=loss)}" if loss else said

    def line(self, choice: Choice) -> str:
        """The line that draws the same without an explorer."""
        words = ["%peft show tokens", *(run.id for run in self.runs), f"--sample {choice.at + 1}"]
        if len(self.runs) == 1:
            words += [f"--by {choice.by}"] if choice.by != self.known[0] else []
            words += [f"--threshold {choice.threshold:g}"] if choice.threshold else []
        return " ".join(words)

    def _sentence(self, kept: Kept) -> str:
        if len(self.runs) == 2:
            return sentence_of_two(figures(kept), kept)
        return sentence(figures(kept), kept, f"{self.runs[0].id}, {plain(self.runs[0].recipe.method)}")

    def static(self, choice: Choice) -> Mapping[str, Any]:
        """The sample with the table of roles, as ``%peft show tokens`` draws it, and that line."""
        kept, marks = self._marked(choice)
        said = self._sentence(kept)
        if choice.threshold:
            said = f"{said} {moved(figures(kept), figures(self.own), choice.threshold)}"
        bundle = render(drawing([choice.at], kept, marks, said))._repr_mimebundle_()
        return {
            "text/html": bundle["text/html"] + self._typed(choice),
            "text/plain": f"{bundle['text/plain']}\n\n{texts.AS_TYPED} {self.line(choice)}",
        }

    def _typed(self, choice: Choice) -> str:
        return _div(f"{esc(texts.AS_TYPED)} <code>{esc(self.line(choice))}</code>")

    def _counted(self, choice: Choice) -> Kept:
        """The samples whose tokens are counted, with the roles that the method gave."""
        return self.own.only(choice.at) if choice.one else self.own


def _div(html: str) -> str:
    return f'<div {PLAIN} style="margin:4px;line-height:1.4">{html}</div>'


def _name(at: int, kept: Kept) -> str:
    """A sample in the chooser: its number, whether it was trained on, and what it asks."""
    sample = kept.samples[at]
    seen = texts.HELD_OUT if sample.held_out else texts.TRAINED_ON
    return f"{at + 1} · {seen} · {shorten(one_line(readable(_asked(sample), marks=False)), LABEL)}"


def _asked(sample: Sample) -> str:
    """The last line of the prompt that says something, or the answer's beginning where there is no prompt."""
    read_only = ~sample.learned
    special = {at for at, kind in enumerate(sample.kind.tolist()) if kind in SPECIALS}
    pieces = ["\n" if at in special else piece for at, piece in enumerate(sample.pieces) if read_only[at]]
    lines = [line.strip() for line in "".join(pieces).splitlines() if line.strip()]
    if not lines:
        return "".join(sample.pieces).strip()
    return next((line for line in reversed(lines) if len(line) >= TOLD), lines[-1])
