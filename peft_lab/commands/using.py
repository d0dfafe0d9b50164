"""Ask a trained model."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from peft_lab.bench import Bench
from peft_lab.errors import BadOption, RunProblem
from peft_lab.operations import About, operation
from peft_lab.run import Run

if TYPE_CHECKING:
    from peft_lab.present.table import Table

LIKE_A_RUN = re.compile(r"run-?\d+", re.IGNORECASE)


class Using(Bench):
    """Operations that let a trained model answer."""

    @operation('predict run-2 "my badge does not open the garage"', 'predict "my badge does not open the garage"')
    def predict(
        self,
        what: Annotated[str, About("a run, or the first text for what is in use", completes="runs")],
        *texts: Annotated[str, About("texts to answer for")],
        pair: Annotated[str | None, About("second text, for tasks on text pairs")] = None,
        top: Annotated[int, About("how many answers to show")] = 3,
    ) -> Table:
        """Answer for new texts, with a run or with what was loaded last."""
        from peft_lab.listings.answers import predictions, word_predictions
        from peft_lab.training.cutting import cut_unlike
        from peft_lab.training.sample_texts import on_pairs

        run, texts = self._asked(what, texts)
        if run.record.get("generates"):
            raise BadOption(f"{run.id} writes its answers", f"Say %peft generate {run.id} {texts[0]!r}")
        wants_pair = on_pairs(run)
        if wants_pair != (pair is not None):
            raise BadOption(
                f"{run.id} was trained on {'pairs of texts' if wants_pair else 'single texts'}",
                "Give the second text with --pair" if wants_pair else "Leave out --pair",
            )
        rows = [{"text": t, **({"text_pair": pair} if pair is not None else {})} for t in texts]
        restored = self.serve(run)
        outputs = restored.outputs(rows)
        if restored.task.by_word:
            said = word_predictions(run, rows, lambda one: restored.task.answers(one, restored.targets), outputs, top)
        else:
            said = predictions(run, rows, restored.task.answers(outputs, restored.targets), top)
        warning = cut_unlike(restored.tokenizer, texts, run.record.get("cutting", {}))
        return replace(said, note=f"{said.note} {warning}".strip())

    def _asked(self, what: str | Run, texts: tuple[str, ...]) -> tuple[Run, tuple[str, ...]]:
        """The run that is asked and the texts: the first word may be either.

        Raises:
            BadOption: it could be both, or no text is there.
            RunProblem: it is neither the name of a run nor a text for something in use.
        """
        from peft_lab.keeping.in_use import read, run_of

        like_a_run = LIKE_A_RUN.fullmatch(str(what))
        # What is in use is read only where it matters: its file may be damaged.
        try:
            run = self.run(what)
        except (RunProblem, OSError) as error:  # a long text is no name of a file
            if like_a_run or (not (stack := read(self.folder)) and texts):
                raise
            if not stack:
                said = error.message if isinstance(error, RunProblem) else "no run is named"
                hint = "Name a run first, or put one in use: %peft load run-1"
                raise RunProblem(f"{said}, and nothing is in use", hint) from None
            return run_of(stack[-1], self.folder), (str(what), *texts)
        if texts:
            return run, texts
        if not like_a_run and (stack := read(self.folder)):
            raise BadOption(
                f"{what!r} names {run.id}, and may be meant as a text for {stack[-1].run}",
                f'Say which: predict {stack[-1].run} "{what}", or predict {run.id} "..."',
            )
        raise BadOption("no text to answer for", f'Put it in quotes: predict {run.id} "my badge does not work"')
