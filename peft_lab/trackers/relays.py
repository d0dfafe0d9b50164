"""All trackers of this process together: begun, ended, and what there is to say about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft_lab.files import from_here
from peft_lab.present.table import Table
from peft_lab.texts import tracking as texts
from peft_lab.trackers import mlflow, trackio
from peft_lab.trackers.choice import VARIABLE, Choice, chosen

RELAYS = {relay.tracker: relay for relay in (mlflow.RELAY, trackio.RELAY)}
LOOK = 0.5
"""Seconds in which what was just told may still be written before a table is shown."""


def warm(choice: Choice) -> None:
    """Begin the process of a tracker."""
    RELAYS[choice.tracker].warm(choice)


def off() -> None:
    """End those of all."""
    for relay in RELAYS.values():
        relay.off()


def settle(seconds: float = 60.0) -> bool:
    """Wait until all that was told is written; whether it is."""
    return not [relay for relay in RELAYS.values() if not relay.settle(seconds)]


def table(*, off: bool = False) -> Table:
    """What is on, and how it goes."""
    rows: list[list[Any]] = [_row(choice) for choice in chosen().values()]
    none = texts.NONE_ANY_MORE if off else texts.NONE_ON
    note = texts.TOLD.format(variable=VARIABLE) if rows else none
    return Table(texts.TRACKERS, texts.TRACKER_COLUMNS, rows, note=note)


def _row(choice: Choice) -> list[Any]:
    relay = RELAYS[choice.tracker]
    place = choice.to if choice.remote or "://" in choice.to else from_here(Path(choice.to))
    if relay.choice == choice:
        settled = relay.settle(LOOK)
        state = texts.RUNS_TOLD.format(relay.runs, f"{relay.runs}") if settled else texts.WRITING
        state = texts.TRACKER_FAILED.format(fault=relay.fault) if relay.fault else state
    else:
        state = texts.FROM_NEXT_ON
    return [choice.tracker, place, choice.experiment, choice.artifacts, state, _look(choice, place)]


def _look(choice: Choice, place: str) -> str:
    if choice.tracker == "trackio":
        return f"TRACKIO_DIR={place} trackio show --project {choice.experiment}"
    if choice.remote:
        return choice.to
    uri = place if "://" in choice.to else f"sqlite:///{place}/mlflow.db"
    return f"mlflow ui --backend-store-uri {uri}"
