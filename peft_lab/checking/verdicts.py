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
from peft_lab.texts import cards
from peft_lab.texts import checks as texts

FRESH, STALE, OTHER, ORDER = "fresh", "stale", "other", "order"
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
    """A word, or the status of a run that did not end, and the reasons."""

    word: str
    why: Sequence[str] = field(default=())

    @property
    def said(self) -> str:
        """The word with its mark, as people read it."""
        if self.word in texts.VERDICTS:
            return texts.VERDICTS[self.word]
        state = cards.STATES.get(self.word, self.word)
        return texts.STATE.format(mark=MARKS.get(self.word, ("?", ""))[0], state=state)


def judge(shown: Shown, run: Run | None, compared: Compared, again: Again, elsewhere: bool) -> Verdict:
    """The verdict on one output.

    Args:
        run: None where its folder is gone.
        elsewhere: it was made by another kernel session.
    """
    if run is None:
        return Verdict(STALE, [texts.GONE.format(run=shown.run)])
    stale = [*_identity(shown, run), *compared.changed]
    word, order = _recipe(run, again)
    stale += word
    if stale:
        return Verdict(STALE, stale)
    said = [texts.AS_FAR_AS.format(what=", ".join(compared.unknown))] if compared.unknown else []
    status = run.status
    if status != "finished":
        return Verdict(status, [*_ending(run), *order, *said])
    if order:
        return Verdict(ORDER, [*order, *said])
    if elsewhere:
        return Verdict(OTHER, [texts.OTHER_SESSION, *said])
    return Verdict(FRESH, said)


def _identity(shown: Shown, run: Run) -> Iterator[str]:
    """Whether the run is still the one on the card, and where it was."""
    record = run.record
    prints = record.get("fingerprints") or {}
    other = [name for name, value in shown.prints.items() if not _begins(prints.get(name), value)]
    ended = str(record.get("ended") or "")
    if "recipe" in other:
        yield texts.ANOTHER_RUN.format(run=run.id)
    elif record.get("resumed") and (other or (shown.ended and shown.ended != ended)):
        then = cards.STATES.get(shown.status, shown.status) or texts.WENT_ON_IT
        yield texts.WENT_ON.format(run=run.id, then=then, now=cards.STATES.get(run.status, run.status))
    elif other or (shown.ended and ended and shown.ended != ended):
        yield texts.TRAINED_ANEW.format(run=run.id)


def _begins(whole: Any, short: str) -> bool:
    return isinstance(whole, str) and (whole.startswith(short) or short.startswith(whole))


def _ending(run: Run) -> Iterator[str]:
    steps = run.record.get("steps") or {}
    if run.status == "running":
        yield texts.WAIT_FOR_IT.format(run=run.id)
    elif steps.get("planned"):
        done, planned = f"{steps.get('done', 0):,}", f"{steps['planned']:,}"
        yield texts.GO_ON.format(done=done, planned=planned, run=run.id)
    elif message := (run.record.get("error") or {}).get("message"):
        yield str(message)


def _recipe(run: Run, again: Again) -> tuple[list[str], list[str]]:
    """Reasons to call it stale, and reasons to call it out of order."""
    if again.problem:
        return [texts.CANNOT_RUN_AGAIN.format(problem=again.problem)], []
    then = run.recipe.fingerprint
    now, in_turn = (recipe and recipe.fingerprint != then for recipe in (again.now, again.in_turn))
    if now and in_turn:
        assert again.now is not None
        return [texts.RECIPE_CHANGED.format(differences=", ".join(differences(run.recipe, again.now)))], []
    if now and again.now is not None:
        said = texts.NOW_OTHER_SAME_TOP if again.in_turn else texts.NOW_OTHER
        return [], [said.format(differences=", ".join(differences(run.recipe, again.now)))]
    if in_turn and again.in_turn is not None:
        return [], [texts.TOP_OTHER.format(differences=", ".join(differences(run.recipe, again.in_turn)))]
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
            found.append(texts.ROWS_CHANGED.format(table=table))
        elif key != "start weights" or then.start is None or now.start is None or then.start.run != now.start.run:
            found.append(texts.SETTING_CHANGED.format(setting=key, before=_value(old), after=_value(new)))
        else:
            found.append(texts.START_CHANGED.format(run=Path(then.start.run).name))
    return found if len(found) <= MOST else [*found[: MOST - 1], texts.MORE.format(count=len(found) - MOST + 1)]


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
    return texts.NO_VALUE if value is None else str(value)
