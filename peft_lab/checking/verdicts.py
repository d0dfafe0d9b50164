"""Whether a run still is what an output shows, and what a cell would give if it were run again; why, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peft_lab.checking.inputs import Compared
from peft_lab.checking.outputs import Shown
from peft_lab.present.facts import MARKS
from peft_lab.recipe import Recipe
from peft_lab.run import Run

FRESH, STALE, OTHER, ORDER = "✓ fresh", "✗ stale", "! other session", "! out of order"
KEPT = re.compile(r"(.+)-[0-9a-f]{8}(\.parquet)?")
"""The file of a table of the notebook."""
MOST = 3


@dataclass(frozen=True)
class Again:
    """What a cell would train: run now, and in its turn when all cells are run from the top. None: not known."""

    now: Recipe | None = None
    in_turn: Recipe | None = None
    problem: str = ""
    """Why it cannot be read again."""


@dataclass(frozen=True)
class Verdict:
    """A word with its mark, and the reasons."""

    word: str
    why: Sequence[str] = field(default=())


def judge(shown: Shown, run: Run | None, compared: Compared, again: Again, elsewhere: bool) -> Verdict:
    """The verdict on one output.

    Args:
        run: None where its folder is gone.
        elsewhere: it was made by another kernel session.
    """
    if run is None:
        return Verdict(STALE, [f"{shown.run} is gone"])
    stale = [*_identity(shown, run), *compared.changed]
    word, order = _recipe(run, again)
    stale += word
    if stale:
        return Verdict(STALE, stale)
    said = [f"as far as can be told: {', '.join(compared.unknown)}"] if compared.unknown else []
    status = run.status
    if status != "finished":
        mark = MARKS.get(status, ("?", ""))[0]
        return Verdict(f"{mark} {status}", [*_ending(run), *order, *said])
    if order:
        return Verdict(ORDER, [*order, *said])
    if elsewhere:
        return Verdict(OTHER, ["nothing it depends on changed, but this kernel did not run it", *said])
    return Verdict(FRESH, said)


def _identity(shown: Shown, run: Run) -> Iterator[str]:
    """Whether the run is still the one on the card, and where it was."""
    record = run.record
    prints = record.get("fingerprints") or {}
    other = [name for name, value in shown.prints.items() if not _begins(prints.get(name), value)]
    ended = str(record.get("ended") or "")
    if "recipe" in other:
        yield f"{run.id} is another run now"
    elif record.get("resumed") and (other or (shown.ended and shown.ended != ended)):
        yield f"{run.id} went on since: {shown.status or 'it'} then, {run.status} now"
    elif other or (shown.ended and ended and shown.ended != ended):
        yield f"{run.id} was trained anew since"


def _begins(whole: Any, short: str) -> bool:
    return isinstance(whole, str) and (whole.startswith(short) or short.startswith(whole))


def _ending(run: Run) -> Iterator[str]:
    steps = run.record.get("steps") or {}
    if run.status == "running":
        yield f"wait for it: %peft wait {run.id}"
    elif steps.get("planned"):
        yield f"at step {steps.get('done', 0):,} of {steps['planned']:,}; go on: %peft resume {run.id}"
    elif message := (run.record.get("error") or {}).get("message"):
        yield str(message)


def _recipe(run: Run, again: Again) -> tuple[list[str], list[str]]:
    """Reasons to call it stale, and reasons to call it out of order."""
    if again.problem:
        return [f"the cell cannot be run again: {again.problem}"], []
    then = run.recipe.fingerprint
    now, in_turn = (recipe and recipe.fingerprint != then for recipe in (again.now, again.in_turn))
    if now and in_turn:
        assert again.now is not None
        return [f"the recipe changed: {', '.join(differences(run.recipe, again.now))}"], []
    if now and again.now is not None:
        top = "from the top it gives the same" if again.in_turn else "what Python set before it is not followed"
        return [], [f"run now it would take another recipe: {', '.join(differences(run.recipe, again.now))}; {top}"]
    if in_turn and again.in_turn is not None:
        return [], [
            f"run from the top it would take another recipe: {', '.join(differences(run.recipe, again.in_turn))}"
        ]
    return [], []


def differences(then: Recipe, now: Recipe) -> list[str]:
    """What two recipes do not have in common, in words, with both values."""
    before, after = (dict(_flat(recipe.model_dump(mode="json"))) for recipe in (then, now))
    found = []
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        table = _table(old)
        if key == "data source" and table and table == _table(new):
            found.append(f"the rows of {table} changed")
        elif key != "start weights" or then.start is None or now.start is None or then.start.run != now.start.run:
            found.append(f"{key} {_value(old)} then, {_value(new)} now")
        else:
            found.append(f"{Path(then.start.run).name}, which it begins from, changed")
    return found if len(found) <= MOST else [*found[: MOST - 1], f"{len(found) - MOST + 1} more"]


def _flat(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "method", "+".join(method["name"] for method in data["methods"])
    for method in data["methods"]:
        yield from method["options"].items()
    for key, value in data.items():
        if key in ("data", "start"):
            yield from ((f"{key} {inner}", of) for inner, of in (value or {}).items())
        elif key == "training":
            yield from value.items()
        elif key != "methods":
            yield key, value


def _table(source: Any) -> str:
    """The name of the variable that a kept table was, or nothing."""
    found = KEPT.fullmatch(Path(source).name) if isinstance(source, str) else None
    return found[1] if found else ""


def _value(value: Any) -> str:
    if isinstance(value, str) and ("/" in value or "\\" in value):
        return Path(value).name
    return "none" if value is None else str(value)
