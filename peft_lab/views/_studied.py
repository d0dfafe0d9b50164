"""Runs of a study as a picture needs them: which belong together, how many rows and seconds they had, how they look."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft_lab.present.style import LINES, PALETTE, seconds, shorten
from peft_lab.texts import study_views as texts
from pluggy_specs import RunView

MARKERS = "osD^vPX*<>dp"
DASHES = ("-", "--", "-.")
AMOUNTS = ("limit", "subset_seed")
"""What says which training rows are used, of the settings of data."""
RATE = "learning_rate"
MOST_NAME = 30
MOST_LACKING = 6
UNTRAINED = "untrained"


@dataclass(frozen=True)
class Seen:
    """A run in its place: of which line, on how many rows, within which budget."""

    run: RunView
    key: str
    examples: int
    budget: float | None
    seed: int
    score: float | None
    """None: it has no result."""

    @property
    def untrained(self) -> bool:
        """Whether nothing was trained: the score before the first step."""
        return self.run.cost.get("trainable") == 0

    @property
    def place(self) -> tuple[int, float | None]:
        """Rows and budget."""
        return self.examples, self.budget


@dataclass(frozen=True)
class Look:
    """How a line is told from others: a colour, a marker of its own, and dashes where colours come again."""

    colour: str
    marker: str
    dashes: str


def seen(runs: Iterable[RunView], split: str, headline: str) -> list[Seen]:
    """Runs with the recipe they share with others, but for seed, rows and time, and for learning rates that were swept.

    A learning rate counts where a seed was trained with several ones: then they are what is compared.
    """
    found = [_seen(run, split, headline) for run in runs]
    rates: dict[tuple[Any, ...], set[float]] = {}
    for one in found:
        rates.setdefault((one.key, one.place, one.seed), set()).add(one.run.recipe.training.learning_rate)
    compared = {key for (key, *_), different in rates.items() if len(different) > 1}
    return [
        Seen(one.run, _key(one.run, with_rate=True), one.examples, one.budget, one.seed, one.score)
        if one.key in compared
        else one
        for one in found
    ]


def names_of(members: Sequence[Seen]) -> dict[str, str]:
    """A name for each key: the method, and what sets it apart from others of the same method."""
    first: dict[str, Seen] = {}
    for one in members:
        first.setdefault(one.key, one)
    settings = {key: flat(json.loads(key)) for key in first}
    method = {key: UNTRAINED if one.untrained else one.run.recipe.method for key, one in first.items()}
    names = {}
    for key in first:
        rivals = [settings[other] for other in settings if method[other] == method[key]]
        apart = [name for name, value in settings[key].items() if any(rival.get(name) != value for rival in rivals)]
        parts = [shorten(method[key], MOST_NAME)]
        parts += [_setting(name, settings[key][name]) for name in apart[:2]]
        names[key] = ", ".join(parts)
    repeated = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {
        key: texts.OF_RUN.format(recipe=name, run=first[key].run.id) if name in repeated else name
        for key, name in names.items()
    }


def _setting(name: str, value: Any) -> str:
    return texts.SETTING.format(name=name.rpartition(".")[2].replace("_", " "), value=shorten(value, 14))


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested settings as ``{"methods.0.options.rank": 8}``."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        return {path: value}
    return {k: v for name, part in inner for k, v in flat(part, f"{path}.{name}".lstrip(".")).items()}


def look(at: int, untrained: bool = False) -> Look:
    """The look of a line by its number: twelve markers, five colours, dashes for the second five."""
    if untrained:
        return Look(PALETTE["grey"], "", ":")
    return Look(LINES[at % len(LINES)], MARKERS[at % len(MARKERS)], DASHES[at // len(LINES) % len(DASHES)])


def longest(budgets: Iterable[float | None]) -> float | None:
    """The budget that allows most; none at all allows all."""
    return max(budgets, key=lambda budget: math.inf if budget is None else budget)


def said_budget(budget: float | None) -> str:
    """``30 s``, or that there was none."""
    return seconds(budget) if budget is not None else texts.NO_BUDGET


def without_result(members: Sequence[Seen], names: Mapping[str, str], place: Callable[[Seen], str]) -> str:
    """A sentence about runs that have no result; empty where all have one."""
    lacking: dict[tuple[str, str], int] = {}
    for one in members:
        if one.score is None:
            where = names[one.key], place(one)
            lacking[where] = lacking.get(where, 0) + 1
    if not lacking:
        return ""
    told = ", ".join(
        (texts.IN_PLACE_RUNS if n > 1 else texts.IN_PLACE).format(recipe=recipe, place=where, count=n)
        for (recipe, where), n in list(lacking.items())[:MOST_LACKING]
    )
    said = texts.WITHOUT_RESULT_OTHERS if len(lacking) > MOST_LACKING else texts.WITHOUT_RESULT
    return said.format(runs=told)


def data_of(runs: Sequence[RunView]) -> str:
    """The names of all data of these runs, of files without folders: these say more of a machine than of the data."""
    sources = {run.recipe.data.source for run in runs}
    names = {source: Path(source).name if Path(source).is_absolute() else source for source in sources}
    clear = len(set(names.values())) == len(sources)
    said, *others = sorted({shorten(names[source] if clear else source, 24) for source in sources}) or [""]
    for other in others:
        said = texts.DATA_AND.format(one=said, other=other)
    return said


def other_data(runs: Sequence[RunView]) -> str:
    """A sentence that says that scores are of different data; empty where they are not."""
    several = len({run.recipe.data.source for run in runs}) > 1
    return texts.OTHER_DATA.format(data=data_of(runs)) if several else ""


def split_of(runs: Sequence[RunView], headline: str) -> str:
    """Test where a run has it, else validation."""
    return "test" if any(headline in run.metrics.get("test", {}) for run in runs) else "validation"


def _seen(run: RunView, split: str, headline: str) -> Seen:
    recipe = run.recipe
    rows = _rows(run)
    value = run.metrics.get(split, {}).get(headline)
    usable = isinstance(value, (int, float)) and math.isfinite(value)
    return Seen(
        run,
        _key(run, with_rate=False),
        rows if rows is not None else recipe.data.limit or 0,
        recipe.training.max_seconds,
        recipe.seed,
        float(value) if usable and value is not None else None,
    )


def _rows(run: RunView) -> int | None:
    """The training rows that a run used, where its record says so."""
    record = getattr(run, "record", {})
    data = record.get("data") if isinstance(record, Mapping) else None
    rows = data.get("rows") if isinstance(data, Mapping) else None
    count = rows.get("train") if isinstance(rows, Mapping) else None
    return count if isinstance(count, int) else None


def _key(run: RunView, *, with_rate: bool) -> str:
    data = run.recipe.model_dump(mode="json", exclude={"seed"})
    for name in AMOUNTS:
        data["data"].pop(name, None)
    data["training"].pop("max_seconds", None)
    if run.cost.get("trainable") == 0:
        data[UNTRAINED] = True
    if not with_rate:
        data["training"].pop(RATE, None)
    return json.dumps(data, sort_keys=True)
