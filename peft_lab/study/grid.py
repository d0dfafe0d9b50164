"""From a plan to its cells: which recipes are trained, and under which address each one's run is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption, PeftLabError
from peft_lab.recipe import Recipe, compose
from peft_lab.rows import HEAD, UNTRAINED
from peft_lab.study import texts
from peft_lab.study.ground import Ground
from peft_lab.study.plan import Asked, Plan
from peft_lab.study.reading import rows_asked

if TYPE_CHECKING:
    from peft_lab.host import Host
    from pluggy_specs import RunView

TRAINED = "trained"
IDENTITY = "lora"
"""Leaves a model that writes as it is before it trains; such a model has no head."""
Cell = dict[str, Any]
"""``address``, ``kind``, ``recipe``, ``method``, ``examples``, ``asked``, ``budget``, ``seed``, ``learning_rate``
and ``tried``.

A cell whose learning rate has still to be found has no ``address`` and no ``recipe``. ``tried`` says that it is one of
several that differ in their learning rate only."""


class Grid:
    """The cells of a plan.

    Args:
        find_run: finds the run that an option of a method names.

    Raises:
        BadOption: a method or an option cannot be used; the key names the method's place in the plan.
    """

    def __init__(
        self, plan: Plan, ground: Ground, host: Host, find_run: Callable[[str], RunView] | None = None
    ) -> None:
        self.plan, self.ground = plan, ground
        self.notes = list(ground.notes)
        task = host.find("tasks", ground.task)
        self.asked = list(plan.methods)
        if not ground.generates and Asked(name=HEAD) not in self.asked:
            self.asked.append(Asked(name=HEAD))
        self.recipes: dict[str, Recipe] = {}

        def composed(name: str, settings: Mapping[str, Any]) -> Recipe:
            return compose(
                host,
                name,
                settings,
                model=plan.model,
                data=ground.spec,
                defaults=plan.training,
                find_run=find_run,
                task=task,
            )

        for at, one in enumerate(self.asked):
            try:
                self.recipes[one.shown] = composed(one.name, one.settings)
            except PeftLabError as error:
                hint = getattr(error, "hint", "")
                raise BadOption(f"methods: {one.shown}: {error.message}", hint, f"methods.{at}") from error
        self.base = composed(IDENTITY if ground.generates else HEAD, {})

    def cells(self) -> list[Cell]:
        """All of them, the first seed first, so that learning rates are known early."""
        found: list[Cell] = []
        for seed in self.plan.seeds:
            found.append(self._untrained(seed))
            for asked, count in self._sizes().items():
                for budget in self.plan.budget:
                    for one in self.asked:
                        found += self._slot(one, asked, count, budget, seed)
        return found

    def with_rate(self, cell: Mapping[str, Any], rate: float) -> Cell:
        """A cell whose learning rate has been found."""
        one = next(asked for asked in self.asked if asked.shown == cell["method"])
        return self._cell(one, cell["asked"], cell["examples"], cell["budget"], cell["seed"], rate, tried=False)

    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for asked in self.plan.examples:
            count = rows_asked(asked, self.ground.rows)
            if asked.isdigit() and count < int(asked):
                self._note(texts.TAKEN_AS_ALL.format(asked=asked, there=self.ground.rows))
            if count not in sizes.values():
                sizes[asked] = count
        return sizes

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _slot(self, one: Asked, asked: str, count: int, budget: float | None, seed: int) -> Iterator[Cell]:
        """The cells of one row: several where learning rates are tried, one without an address where they will be."""
        usual = self.recipes[one.shown].training.learning_rate
        rates = self.plan.rates(usual, one)
        if len(rates) == 1:
            yield self._cell(one, asked, count, budget, seed, rates[0], tried=False)
        elif seed == self.plan.first_seed:
            for rate in rates:
                yield self._cell(one, asked, count, budget, seed, rate, tried=True)
        else:
            yield {
                **_facts(one.shown, asked, count, budget, seed),
                "address": "",
                "kind": TRAINED,
                "learning_rate": None,
                "tried": False,
                "recipe": None,
            }

    def _cell(
        self, one: Asked, asked: str, count: int, budget: float | None, seed: int, rate: float, *, tried: bool
    ) -> Cell:
        recipe = self.recipes[one.shown]
        settings = recipe.training.model_copy(update={"learning_rate": rate, "max_seconds": budget})
        recipe = recipe.model_copy(update={"data": self._data(count, seed), "training": settings, "seed": seed})
        facts = _facts(one.shown, asked, count, budget, seed)
        return {**facts, **self._addressed(recipe, TRAINED), "learning_rate": rate, "tried": tried}

    def _untrained(self, seed: int) -> Cell:
        recipe = self.base.model_copy(update={"seed": seed})
        facts = _facts(UNTRAINED, "0", 0, None, seed)
        return {**facts, **self._addressed(recipe, UNTRAINED), "learning_rate": None, "tried": False}

    def _data(self, count: int, seed: int) -> Any:
        """The data with its limit. With all rows there is nothing to draw."""
        if count >= self.ground.rows:
            return self.ground.spec
        drawn = seed if self.plan.subsets == "by seed" else self.ground.spec.split_seed
        return self.ground.spec.model_copy(update={"limit": count, "subset_seed": drawn})

    def _addressed(self, recipe: Recipe, kind: str) -> dict[str, Any]:
        parts = [recipe.fingerprint, self.ground.data, self.ground.model, *([kind] if kind != TRAINED else [])]
        address = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        return {"address": address, "kind": kind, "recipe": recipe.model_dump(mode="json")}


def _facts(method: str, asked: str, count: int, budget: float | None, seed: int) -> dict[str, Any]:
    return {"method": method, "examples": count, "asked": asked, "budget": budget, "seed": seed}


def slot_of(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the cells of one row share."""
    return cell["method"], cell["asked"], cell["budget"], cell["seed"]


def group_of(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the cells share that train with the same learning rate."""
    return cell["method"], cell["asked"], cell["budget"]


def by_slot(cells: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    """Cells by the row they belong to, in order."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for cell in cells:
        found.setdefault(slot_of(cell), []).append(cell)
    return found
