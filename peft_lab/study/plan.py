"""What a study compares, as plain data: methods over numbers of examples, time budgets and seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption, nearest
from peft_lab.recipe import Training, checked
from peft_lab.rows import UNTRAINED
from peft_lab.run import CELLS
from peft_lab.study import reading
from peft_lab.study.reading import ALL
from peft_lab.study.texts import NO_METHODS, PLAN_FORMS

NOT_COMMON = {
    "learning_rate": "Sweep it, or give it to a method: lora learning_rate=1e-3",
    "max_seconds": "Write budget",
}
KEEP = ("auto", "none", "best", "all")


class Asked(BaseModel):
    """A method of a study, or a composition, with the settings that were given for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """As it is typed: ``sparse+anchor``."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Options, and training settings for this method alone."""

    @property
    def shown(self) -> str:
        """As tables show it: ``prefix length=24``."""
        return reading.shown(self.name, self.settings)


class Plan(BaseModel):
    """All that a study was asked for. JSON in, JSON out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("", description="of the study; the next free study-N when not given")
    model: str
    data: DataSpec
    methods: tuple[Asked, ...] = Field(min_length=1, description="what is compared; head is always among it")
    examples: tuple[str, ...] = Field((ALL,), description="training rows: 100, 30 %, all")
    budget: tuple[float | None, ...] = Field((None,), description="seconds of training; none: all steps")
    seeds: tuple[int, ...] = Field((0, 1, 2), description="how many, or which")
    sweep: tuple[float, ...] | Literal["auto"] | None = Field(None, description="learning rates tried on validation")
    training: dict[str, Any] = Field(default_factory=dict, description="training settings of all cells")
    keep: Literal["auto", "none", "best", "all"] = Field("auto", description="whose weights are kept")
    subsets: Literal["by seed", "same"] = Field("by seed", description="whether each seed trains on rows of its own")
    validation_rows: int | None = Field(None, ge=1, description="rows that choose the best state and the rate")

    @classmethod
    def ask(cls, *, model: str, data: DataSpec, methods: Any, **said: Any) -> Self:
        """A plan from what a person wrote; what was not said is left out or None.

        Raises:
            BadOption: with the key of the entry that cannot be read, such as ``examples.2``.
        """
        given = {name: value for name, value in said.items() if value is not None}
        values: dict[str, Any] = {"model": model, "data": data, "methods": _methods(methods)}
        name = str(given.pop("name", ""))
        if name and (not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or name == CELLS):
            raise BadOption(f"a study cannot be named {name!r}", PLAN_FORMS["name"], "name")
        values["name"] = name
        readers = {"examples": reading.amount, "budget": reading.duration}
        values |= {key: reading.each(key, given.pop(key), read) for key, read in readers.items() if key in given}
        if "seeds" in given:
            values["seeds"] = reading.seeds(given.pop("seeds"))
        if "sweep" in given:
            values["sweep"] = reading.sweep(given.pop("sweep"))
        values["training"] = _training(given.pop("training", {}))
        for key, known in (("keep", KEEP), ("subsets", ("by seed", "same"))):
            if key in given and given[key] not in known:
                raise BadOption(f"{key}: there is no {given[key]!r}", nearest(str(given[key]), known), key)
        return checked(cls, {**values, **given}, "study")

    def plain(self) -> dict[str, Any]:
        """The plan as JSON data, methods as they are shown where they can be read back from it."""
        data = self.model_dump(mode="json")
        data["methods"] = [one.shown if _readable(one) else {one.name: one.settings} for one in self.methods]
        return data

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """A plan from what :meth:`plain` wrote."""
        methods = [
            dict(zip(("name", "settings"), reading.method("methods", one), strict=True)) for one in data["methods"]
        ]
        return checked(cls, {**data, "methods": methods}, "study")

    @property
    def first_seed(self) -> int:
        """The seed with which learning rates are tried."""
        return self.seeds[0]

    def rates(self, usual: float, asked: Asked) -> tuple[float, ...]:
        """Learning rates that a method is tried with, its usual one first; one alone where there is nothing to try."""
        if self.sweep is None or "learning_rate" in asked.settings:
            return (usual,)
        if isinstance(self.sweep, str):
            return tuple(float(f"{usual * factor:.3g}") for factor in (1.0, 1 / 3, 3.0))
        return tuple(sorted(self.sweep, key=lambda rate: (abs(rate / usual - 1), rate)))


def _methods(value: Any) -> tuple[Asked, ...]:
    if value is None or value in ("", [], ()):
        raise BadOption(NO_METHODS, PLAN_FORMS["methods"], "methods")
    found = [Asked(name=name, settings=settings) for name, settings in reading.each("methods", value, reading.method)]
    for at, one in enumerate(found):
        if one.name == UNTRAINED:
            raise reading.wrong("methods", f"{UNTRAINED} is always among the cells and is no method", at)
    return tuple(found)


def _training(said: Mapping[str, Any]) -> dict[str, Any]:
    """Training settings of all cells, under their own names and checked one by one."""
    found = {}
    for key, value in said.items():
        name = key.replace("-", "_")
        if name in NOT_COMMON:
            raise BadOption(f"{name} is no setting of all cells of a study", NOT_COMMON[name], name)
        if name not in Training.model_fields:
            raise BadOption(f"a study has no {key!r}", nearest(name, [*Plan.model_fields, *Training.model_fields]), key)
        try:
            found[name] = checked(Training, {name: value}, "training").model_dump(mode="json")[name]
        except BadOption as error:
            raise BadOption(error.message, error.hint, name) from None
    return found


def _readable(one: Asked) -> bool:
    try:
        return reading.method("methods", one.shown) == (one.name, one.settings)
    except BadOption:
        return False
