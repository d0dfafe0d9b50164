"""How long a study will take, and how much room: from finished cells, else from a few trial steps per method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING, Any

from peft_lab.errors import PeftLabError
from peft_lab.recipe import Recipe
from peft_lab.rows import FAILED, FINISHED, UNTRAINED, Row
from peft_lab.study import texts
from peft_lab.study.grid import Grid
from peft_lab.study.letting_go import keeps_at_once

if TYPE_CHECKING:
    from peft_lab.host import Host

BESIDE_WEIGHTS = 150_000
"""Bytes of a run besides its weights: record, points, small artifacts. Answers to test come on top."""
WORTH_TRYING = 10
"""Open cells of a method from which trial steps before the start take a small share of the time."""


@dataclass(frozen=True)
class Trial:
    """What a few trial steps of a method said, on the largest number of examples."""

    load: float
    train: float
    """Seconds for all its steps."""
    evaluate: float
    steps: int
    size: int
    """Bytes of its weights."""
    total: int
    """Parameters of the model."""
    note: str = ""


@dataclass
class Expected:
    """Seconds that cells will take. Cells that finish say it best, trial steps until then."""

    recipes: Mapping[str, Recipe]
    """One of each method, for its steps on any number of rows."""
    trials: Mapping[str, Trial] = field(default_factory=dict)
    seen: dict[tuple[Any, ...], list[Row]] = field(default_factory=dict)

    def note(self, row: Row) -> None:
        """Learn from a cell that finished."""
        if row.status == FINISHED and row.cost.get("seconds") is not None:
            self.seen.setdefault((row.method, row.examples, row.budget), []).append(row)

    def seconds(self, cell: Mapping[str, Any]) -> float | None:
        """Of one cell, loading and evaluation included; None where nothing tells."""
        method, examples, budget = cell["method"], cell["examples"], cell["budget"]
        if same := self.seen.get((method, examples, budget)):
            return mean(map(wall, same))
        if method == UNTRAINED:
            others = [row for rows in self.seen.values() for row in rows]
            return mean(_beside(row) for row in others) if others else self._of_trials()
        alike = [row for key, rows in self.seen.items() if key[0] == method for row in rows]
        if alike:
            return mean(self._scaled(row, examples, budget) for row in alike)
        if (trial := self.trials.get(method)) is not None:
            train = trial.train * min(1.0, self.steps(method, examples) / max(1, trial.steps))
            part = min(1.0, budget / train) if budget and train else 1.0
            return trial.load + train * part + trial.evaluate * part
        others = [row for key, rows in self.seen.items() if key[0] != UNTRAINED for row in rows]
        return mean(self._scaled(row, examples, budget) for row in others) if others else None

    def steps(self, method: str, examples: int) -> int:
        """How many steps a method makes on so many rows."""
        from peft_lab.training.loop import Plan

        return Plan(examples, self.recipes[method].training).steps

    def _of_trials(self) -> float | None:
        return mean(trial.load for trial in self.trials.values()) if self.trials else None

    def _scaled(self, row: Row, examples: int, budget: float | None) -> float:
        """The time of a cell of another size or budget, as if it made its steps as fast."""
        done = row.steps[0] if row.steps else 0
        train = float(row.cost.get("seconds") or 0.0)
        if done and row.method in self.recipes:
            train *= self.steps(row.method, examples) / done
        elif row.examples:
            train *= examples / row.examples
        return _beside(row) + (min(train, budget) if budget else train)


@dataclass(frozen=True)
class Forecast:
    """What a study would do."""

    name: str
    cells: int
    done: int
    failed: int
    seconds: float | None
    """For what is open; None before anything tells."""
    disk: int | None
    """Bytes that will be added."""
    methods: tuple[tuple[str, int, int, float | None], ...]
    """For each method: cells, of which finished, and seconds for the rest."""
    notes: tuple[str, ...] = ()


def foretell(
    name: str,
    cells: Sequence[Mapping[str, Any]],
    rows: Mapping[str, Row],
    expected: Expected,
    keep: str,
    width: int = 1,
    notes: Sequence[str] = (),
) -> Forecast:
    """Put together what cells will take.

    Args:
        rows: of cells that have ended, by address.
        width: cells that run side by side.
    """
    methods, total, disk = [], 0.0, 0
    known = True
    for method in dict.fromkeys(cell["method"] for cell in cells):
        own = [cell for cell in cells if cell["method"] == method]
        left = [cell for cell in own if cell["address"] not in rows]
        took = [expected.seconds(cell) for cell in left]
        whole = None if None in took else sum(part or 0.0 for part in took)
        known = known and whole is not None
        total += whole or 0.0
        disk += len(left) * _bytes(method, rows, expected, keep)
        methods.append((method, len(own), len(own) - len(left), whole))
    ended = [rows[cell["address"]] for cell in cells if cell["address"] in rows]
    return Forecast(
        name,
        len(cells),
        sum(row.status == FINISHED for row in ended),
        sum(row.status == FAILED for row in ended),
        total / max(1, width) if known else None,
        disk if known else None,
        tuple(methods),
        (*notes, *(f"{method}: {trial.note}" for method, trial in expected.trials.items() if trial.note)),
    )


def _bytes(method: str, rows: Mapping[str, Row], expected: Expected, keep: str) -> int:
    """Bytes that a cell of a method leaves."""
    own = [row.cost for row in rows.values() if row.method == method and row.cost.get("bytes_on_disk")]
    if own:
        cost: Mapping[str, Any] = own[0]
    elif method in expected.trials:
        trial = expected.trials[method]
        cost = {"bytes_on_disk": trial.size, "total": trial.total}
    else:
        return BESIDE_WEIGHTS
    return BESIDE_WEIGHTS + (int(cost["bytes_on_disk"]) if keeps_at_once(keep, cost) else 0)


def trials(grid: Grid, host: Host, methods: Sequence[str]) -> dict[str, Trial]:
    """Try a few steps of each of some methods on the largest number of examples, and throw them away."""
    found = {}
    for method in methods:
        recipe = grid.recipes[method]
        largest = max((cell for cell in grid.cells() if cell["method"] == method), key=lambda cell: cell["examples"])
        if largest["recipe"] is not None:
            recipe = Recipe.read(largest["recipe"])
            recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"max_seconds": None})})
        found[method] = trial(recipe, host, largest["examples"])
    return found


def trial(recipe: Recipe, host: Host, examples: int) -> Trial:
    """A few steps of a recipe; one that cannot be trained says so in its note, and takes no time."""
    from peft_lab.training.plan import make_plan

    try:
        plan = make_plan(recipe, host)
    except PeftLabError as error:
        return Trial(0.0, 0.0, 0.0, 1, 0, 0, str(error))
    ahead = plan.forecast
    note = "" if plan.fits else texts.MEMORY.format(advice=plan.advice)
    return Trial(
        plan.load_seconds,
        ahead.seconds or 0.0,
        ahead.eval_seconds or 0.0,
        ahead.steps,
        plan.bytes_on_disk,
        plan.counts["total"],
        note,
    )


def wall(row: Row) -> float:
    """Seconds of a cell from beginning to end."""
    return float(row.cost.get("seconds") or 0.0) + _beside(row)


def _beside(row: Row) -> float:
    return sum(float(row.cost.get(part) or 0.0) for part in ("load_seconds", "eval_seconds"))
