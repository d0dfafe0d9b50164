"""What is known of a run that is judged: its answers, its texts, its model, each fetched when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from peft_lab.errors import DataProblem, RunProblem
from peft_lab.judging.answers import CLASSES, NUMBERS, Answers, answers_in, kept_answers

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.run import Run
    from peft_lab.training.restore import Restored


class NotMeasured(Exception):
    """A measure that does not apply; the message says why."""


class Case:
    """A run, and what can be asked of it.

    Raises:
        RunProblem: it is not finished.
    """

    def __init__(self, run: Run, host: Host) -> None:
        if run.status != "finished":
            hint = f"Go on with it: %peft resume {run.id}"
            raise RunProblem(f"{run.id} is {run.status}: only a run that was trained to its end can be judged", hint)
        self.run, self.host = run, host
        self.generates = bool(run.record.get("generates"))
        self._answers: dict[str, Answers | None] = {}

    @cached_property
    def splits(self) -> Mapping[str, Any]:
        """The texts, by split.

        Raises:
            PeftLabError: the data cannot be read, or is not what the run was trained on.
        """
        from peft_lab.sources.datasets import load_data

        data = load_data(self.run.recipe.data, self.host)
        if data.fingerprint != self.run.record.get("fingerprints", {}).get("data"):
            raise DataProblem(
                f"{self.run.recipe.data.source} is not what {self.run.id} was trained on: its rows changed since then",
                "Put the same file in place",
            )
        return data.splits

    @property
    def test(self) -> Any:
        """The texts of the test split.

        Raises:
            NotMeasured: there is none.
        """
        if "test" not in self.splits:
            raise NotMeasured("the data has no test split: name a file with --test when you train")
        return self.splits["test"]

    @property
    def on_pairs(self) -> bool:
        """Whether a row has two texts."""
        from peft_lab.training.sample_texts import on_pairs

        return on_pairs(self.run)

    @cached_property
    def restored(self) -> Restored:
        """The trained model."""
        from peft_lab.training.restore import restore

        return restore(self.run, self.host)

    def answers(self, split: str) -> Answers:
        """What the run answered on a split; a run of an earlier peft_lab that kept nothing is asked again.

        Raises:
            NotMeasured: its answers are text, or it has no such split.
        """
        if split not in self._answers:
            self._answers[split] = kept_answers(self.run, split) or self._asked(split)
        found = self._answers[split]
        if found is None:
            raise NotMeasured(f"no answers on {split} are kept")
        return found

    def _asked(self, split: str) -> Answers | None:
        if self.generates:
            raise NotMeasured("its answers are text: no probability stands for a whole answer")
        rows = self.test if split == "test" else self.splits.get(split)
        if rows is None:
            raise NotMeasured(f"the data has no {split} split")
        artifact = self.restored.judged(rows, split)[1]
        return None if artifact is None else answers_in(artifact)

    def classes(self, split: str) -> Answers:
        """The same where one of several labels is chosen, of those items that got an answer.

        Raises:
            NotMeasured: its answers are something else.
        """
        found = self.answers(split)
        if found.kind == NUMBERS:
            raise NotMeasured("its answers are numbers, and the model says of none how sure it is")
        if found.kind != CLASSES or not len(found.answered):
            raise NotMeasured("its task gives no label with a probability")
        return found.answered

    @cached_property
    def texts(self) -> Sequence[Mapping[str, Any]] | None:
        """The rows of test where they are here; None where they are not."""
        from peft_lab.errors import PeftLabError

        try:
            found: Sequence[Mapping[str, Any]] = self.test
        except (PeftLabError, NotMeasured):
            return None
        return found

    def some_of_test(self, most: int) -> list[Mapping[str, Any]]:
        """At most so many rows of test, at even distances."""
        from peft_lab.training.told import spread

        return [self.test[int(row)] for row in spread(len(self.test), 1, most)]
