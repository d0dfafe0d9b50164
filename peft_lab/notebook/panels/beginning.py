"""How a run that a panel asks for begins: in a process of its own where it can, else in this kernel; one on a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption
from peft_lab.notebook.panels.following import Followed, Here, There, why_here
from peft_lab.run import Run
from peft_lab.training.progress import Progress
from peft_lab.training.worker import must_be_seen_elsewhere, resume_in_background

if TYPE_CHECKING:
    from peft_lab.bench import Bench
    from peft_lab.recipe import Recipe

Call = Mapping[str, Any]
"""What to train: ``methods``, ``model``, ``data`` and ``settings``."""


class GivenUp(Exception):
    """Somebody closed the panel, or pressed Stop, before there was a run."""


class Beginning:
    """Begins runs.

    Args:
        lab: where runs are kept.
        trains_here: told why a run has to train in this kernel, before it does.
        given_up: whether nobody wants the run any more.
    """

    def __init__(self, lab: Bench, trains_here: Callable[[str], None], given_up: Callable[[], bool]) -> None:
        self.lab, self.trains_here, self.given_up = lab, trains_here, given_up

    def new(self, call: Call) -> Followed:
        """A new run.

        Raises:
            PeftLabError: what was asked for cannot be trained.
            Busy: another run is training on the base model.
            GivenUp: it is not wanted any more.
        """
        lab, settings = self.lab, dict(call.get("settings") or {})
        recipe = lab.recipe(call["methods"], model=call.get("model"), data=call.get("data"), **settings)
        lab.must_be_free(recipe.model)
        if self.given_up():
            raise GivenUp
        if self._seen_elsewhere(recipe):
            return There(lab.train_in_background(recipe))
        return self._here(lab.training_of(recipe))

    def again(self, run: Run) -> Followed:
        """A run that was stopped, failed or crashed goes on; one that goes on already is followed.

        Raises:
            RunProblem: nothing is left to do.
            Busy: another run is training on the base model.
        """
        from peft_lab.training import session

        if run.active:
            return There(run)
        session.must_be_open(run)
        self.lab.must_be_free(run.recipe.model)
        if self._seen_elsewhere(run.recipe):
            return There(resume_in_background(run, self.lab.host))
        return self._here(lambda progress: session.resume(run, self.lab.host, progress))

    def _here(self, train: Callable[[Progress], Run]) -> Followed:
        lab = self.lab

        def work(progress: Progress) -> Run:
            lab.forget_served()  # its memory is needed
            lab.last = train(progress)
            return lab.last

        return Here(work)

    def _seen_elsewhere(self, recipe: Recipe) -> bool:
        try:
            must_be_seen_elsewhere(recipe, self.lab.host)
        except BadOption as error:
            self.trains_here(why_here(error))
            return False
        return True
