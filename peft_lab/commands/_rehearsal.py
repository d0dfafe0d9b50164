"""Goes through cells again without doing anything: what they would choose and train, as recipes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from peft_lab.bench import Bench
from peft_lab.checking.outputs import Cell
from peft_lab.checking.verdicts import Again
from peft_lab.commands.training import Training
from peft_lab.errors import PeftLabError
from peft_lab.recipe import Recipe
from peft_lab.run import Run

REHEARSED = ("data", "model", "train", "plan")
CHOSEN_IN_PYTHON = re.compile(r"\blab\.(data|model_?|spec|recipe|train|plan|add)\b")


class Rehearsal(Training):
    """A bench on which training is only asked for. Tables are kept in a folder of no use later.

    Args:
        at_hand: begin with the model and the data at hand now; otherwise with those of a fresh kernel.
    """

    def __init__(self, bench: Bench, scratch: Path, *, at_hand: bool) -> None:
        super().__init__(bench.folder, host=bench.host, namespace=bench.namespace, defaults=bench.defaults)
        self.scratch = scratch
        self.recipes: list[Recipe] = []
        if at_hand:
            self._chosen_model, self._chosen_data = bench._chosen_model, bench._chosen_data

    def go_through(self, calls: Iterable[Any]) -> list[Recipe]:
        """What these calls would train."""
        self.recipes = []
        for call in calls:
            if call.operation.name in REHEARSED:
                call.on(self)
        return self.recipes

    def begin(self, recipe: Recipe, **how: bool) -> Any:
        """Keep the recipe; how it would be trained makes no difference to it."""
        self.recipes.append(recipe)

    def plan(self, methods: str, **said: Any) -> None:
        """Choose what a plan chooses."""
        self.recipe(methods, **said)

    def data(self, source: str, **said: Any) -> None:
        """Choose data without reading them."""
        self.spec = self.data_spec(source, **said)

    def model_(self, name: str) -> None:
        """Choose a model without looking at it."""
        self.model = name

    def _place(self, data: Any) -> str:
        real, self.folder = self.folder, self.scratch
        try:
            place = super()._place(data)
        finally:
            self.folder = real
        inside = Path(place)
        return str(real / inside.relative_to(self.scratch)) if inside.is_relative_to(self.scratch) else place


@dataclass
class Rehearsed:
    """What a cell would train, now and in its turn; None where what came before it cannot be followed."""

    now: Sequence[Recipe] = ()
    in_turn: Sequence[Recipe] | None = None
    problem: str = ""

    def again(self, run: Run) -> Again:
        """What it would train instead of a run that it shows."""
        if self.problem:
            return Again(problem=self.problem)
        return Again(_counterpart(run, self.now), _counterpart(run, self.in_turn or ()))


def rehearse(bench: Bench, cells: Sequence[Cell]) -> list[Rehearsed]:
    """Go through all cells, in order."""
    if bench.read_cell is None:
        return [Rehearsed() for _ in cells]
    with TemporaryDirectory(prefix="peft-lab-") as scratch:
        turn, followed = Rehearsal(bench, Path(scratch), at_hand=False), True
        found = []
        for cell in cells:
            one = Rehearsed()
            found.append(one)
            try:
                calls = bench.read_cell(cell.source)
                in_turn = turn.go_through(calls)
                one.in_turn = in_turn if followed else None
                if cell.shown:
                    one.now = Rehearsal(bench, Path(scratch), at_hand=True).go_through(calls)
            except PeftLabError as error:
                one.problem = str(error) if cell.shown else ""
            followed = followed and not CHOSEN_IN_PYTHON.search(cell.source)
    return found


def _counterpart(run: Run, recipes: Sequence[Recipe]) -> Recipe | None:
    """The recipe that would be trained in a run's place: an equal one, one of its method, or the only one."""
    alike = [recipe for recipe in recipes if recipe.method == run.recipe.method]
    same = [recipe for recipe in alike if recipe.fingerprint == run.recipe.fingerprint]
    rest = [*same, *alike] or (list(recipes) if len(recipes) == 1 else [])
    return rest[0] if rest else None
