"""Which tokens of answers teach what: roles found without training, and whether they still hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from peft_lab.bench import Bench, RunName
from peft_lab.errors import BadOption, DataProblem
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.present.stack import Stack
    from peft_lab.present.table import Table

MOST_ROWS = 256
OPTION = "shad.shad_"
"""How keys of the method's options begin that are flags here."""


class Shad(Bench):
    """Operations on the roles of tokens."""

    @operation("shad toolcalls --model smollm2", "shad logs.jsonl --quick", "shad drift run-1 new_logs.jsonl")
    def shad(
        self,
        data: Annotated[str, About("data with answers that are text; or: drift RUN FILE", completes="datasets")],
        *more: Annotated[str, About("behind drift: a run and new data", completes="runs+datasets")],
        model: Annotated[str | None, About("base model; remembered", completes="models")] = None,
        rows: Annotated[int | None, About("rows of each kind to shuffle; 1 % and at least 48 when not given")] = None,
        steps: Annotated[int | None, About("steps of tuning on them")] = None,
        rate: Annotated[float | None, About("learning rate of these steps")] = None,
        seed: Annotated[int, About("of who gets whose answer")] = 0,
        max_length: Annotated[int | None, About("longest row in tokens")] = None,
        quick: Annotated[bool, About("without the control, which takes two thirds of the tuning")] = False,
    ) -> Stack | Table:
        """Tell reasoning from boilerplate in answers, by shuffling them (SHAD); nothing is trained."""
        said = {"rows": rows, "steps": steps, "rate": rate}
        if data == "drift":
            if len(more) != 2:
                raise BadOption("drift takes a run and new data", "shad drift run-1 new_logs.jsonl")
            others = {"model": model, **said, "seed": seed or None, "max-length": max_length, "quick": quick or None}
            if given := [f"--{name}" for name, value in others.items() if value is not None]:
                raise BadOption(
                    f"shad drift takes no {' and no '.join(given)}", "It compares by the model and the roles of the run"
                )
            return self.drift(*more)
        if more:
            raise BadOption(
                f"shad takes one data set, not {len(more) + 1}", "shad drift RUN FILE compares a run with data"
            )
        from peft_lab.listings.shad import found, shown

        settings: dict[str, Any] = {f"shad_{name}": value for name, value in said.items() if value is not None}
        if max_length is not None:
            settings["max_length"] = max_length
        try:
            recipe = self.recipe("lora+shad", model=model, data=data, shad_seed=seed, control=not quick, **settings)
        except BadOption as error:
            flag = error.key.removeprefix(OPTION)
            if flag == error.key:
                raise
            # The person wrote --rows, and shad_rows is the method's name for it.
            raise BadOption(f"--{flag}: {error.message.partition(f'{flag}: ')[2]}", error.hint, flag) from error
        self.forget_served()  # its memory is needed
        with self.told() as progress:
            roles = found(recipe, self.host, progress)
        return shown(self.host, roles, recipe.data.source)

    @operation("drift run-1 new_logs.jsonl")
    def drift(
        self,
        run: RunName,
        data: Annotated[str, About("new data with answers", completes="datasets")],
    ) -> Table:
        """Say whether new data still has the answer format that a run was trained on."""
        from peft_lab.listings.drift import drift
        from peft_lab.sources.datasets import load_data
        from peft_lab.training.told import spread

        chosen = self.writing_run(run, "Its answers have no format to change")
        loaded = load_data(self.data_spec(data, task="causal"), self.host)
        every = [row for split in loaded.splits.values() for row in split]
        if not every:
            raise DataProblem(f"{data} has no rows", "Give rows with answers")
        # Logs stand in the order of time: a format that changed last week is at their end.
        rows = [every[at] for at in spread(len(every), 1, MOST_ROWS).tolist()]
        return drift(chosen, self.serve(chosen), rows, data, of=len(every))
