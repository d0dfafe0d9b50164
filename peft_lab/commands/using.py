"""Ask a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from peft_lab.bench import Bench, RunName
from peft_lab.errors import BadOption
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.present.table import Table


class Using(Bench):
    """Operations that let a trained model answer."""

    @operation('predict run-2 "my badge does not open the garage"')
    def predict(
        self,
        name: RunName,
        *texts: Annotated[str, About("texts to answer for")],
        pair: Annotated[str | None, About("second text, for tasks on text pairs")] = None,
        top: Annotated[int, About("how many answers to show")] = 3,
    ) -> Table:
        """Answer for new texts with a trained run."""
        from peft_lab.listings import predictions
        from peft_lab.training.restore import restore

        if not texts:
            raise BadOption("no text to answer for", 'Put it in quotes: predict run-2 "my badge does not work"')
        run = self.run(name)
        wants_pair = run.record["data"]["columns"].get("text_pair") is not None
        if wants_pair != (pair is not None):
            raise BadOption(
                f"{run.id} was trained on {'pairs of texts' if wants_pair else 'single texts'}",
                "Give the second text with --pair" if wants_pair else "Leave out --pair",
            )
        rows = [{"text": t, **({"text_pair": pair} if pair is not None else {})} for t in texts]
        restored = restore(run, self.host)
        answers = restored.task.answers(restored.outputs(rows), restored.targets)
        return predictions(run, rows, answers, top)
