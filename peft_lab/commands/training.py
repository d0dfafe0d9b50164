"""Train, and go on."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from peft_lab.bench import Bench, RunName
from peft_lab.errors import BadOption, RunProblem
from peft_lab.operations import About, operation
from peft_lab.recipe import Recipe
from peft_lab.run import Run

InBackground = Annotated[bool, About("in a process of its own; the next cells stay usable")]
Beside = Annotated[bool, About("although another run is training on this base model")]
Replace = Annotated[bool, About("in place of the run that is training on this base model, which is stopped and kept")]


class Training(Bench):
    """Operations that train."""

    @operation(
        "train lora --rank 8",
        "train bitfit --data helpdesk --model minilm --epochs 3",
        "train lora --learning-rate 1e-3 --seed 1",
        "train lora --bg",
        "train lora --from run-1 --epochs 1",
    )
    def train(
        self,
        methods: Annotated[str, About("one method, or several joined by +", completes="methods")],
        model: Annotated[str | None, About("base model; remembered", completes="models")] = None,
        data: Annotated[str | None, About("data; remembered", completes="datasets")] = None,
        from_: Annotated[str | None, About("a run to go on from: its weights, new steps", completes="runs")] = None,
        bg: InBackground = False,
        beside: Beside = False,
        replace: Replace = False,
        anyway: Annotated[bool, About("although the forecast says that memory will not do")] = False,
        **settings: Any,
    ) -> Run:
        """Fine-tune the base model with one or more PEFT methods."""
        recipe = self.recipe(methods, model=model, data=data, **settings)
        if from_ is not None:
            from peft_lab.training.start import start_from

            recipe = recipe.model_copy(update={"start": start_from(self.run(from_))})
        return self.begin(recipe, bg=bg, beside=beside, replace=replace, anyway=anyway)

    def begin(self, recipe: Recipe, *, bg: bool, beside: bool, replace: bool, anyway: bool) -> Run:
        """Train a recipe that was put together, in the way that was asked for."""
        self._make_room(recipe.model, beside=beside, replace=replace)
        train = self.train_in_background if bg else self.train_recipe
        return train(recipe, anyway=anyway)

    @operation("resume run-3", "resume run-3 --bg")
    def resume(
        self,
        name: RunName,
        bg: InBackground = False,
        beside: Beside = False,
        replace: Replace = False,
        anyway: Annotated[bool, About("although data, model, code or a package changed")] = False,
    ) -> Run:
        """Go on with a run that was stopped, failed or crashed, exactly where it was."""
        from peft_lab.training import session, worker

        run = self.run(name)
        session.must_be_open(run)
        self._make_room(run.recipe.model, beside=beside, replace=replace)
        if bg:
            return worker.resume_in_background(run, self.host, anyway=anyway)
        return self.watched(lambda progress: session.resume(run, self.host, progress, anyway=anyway))

    def _make_room(self, model: str, *, beside: bool, replace: bool) -> None:
        if beside and replace:
            raise BadOption("--beside keeps the other run going, --replace stops it", "Leave one of them out")
        while replace and (busy := self.training_on(model)) is not None:
            with suppress(RunProblem):  # it has ended meanwhile, or failed: either way it is out of the way
                busy.stop()
                busy.wait()
        if not beside:
            self.must_be_free(model)
