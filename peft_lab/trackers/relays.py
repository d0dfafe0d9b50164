"""All trackers of this process together: begun, ended, and what there is to say about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft_lab.files import from_here
from peft_lab.present.table import Table
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
    columns = ("tracker", "writes to", "experiment", "card of runs", "state", "look at it with")
    if rows:
        note = (
            "Settings, scores and costs of runs that begin from now on, here and in processes begun from here; never "
            f"a text of the data. %peft track off ends it. For the command line: {VARIABLE}"
        )
        return Table("trackers", columns, rows, note=note)
    said = "No tracker is told any more." if off else "No tracker is on, and nothing is told to anybody."
    return Table("trackers", columns, rows, note=f"{said} %peft track mlflow --to ./mlruns")


def _row(choice: Choice) -> list[Any]:
    relay = RELAYS[choice.tracker]
    place = choice.to if choice.remote or "://" in choice.to else from_here(Path(choice.to))
    if relay.choice == choice:
        settled = relay.settle(LOOK)
        state = f"failed: {relay.fault}" if relay.fault else f"{relay.runs} runs" if settled else "writing"
    else:
        state = "from the next run on"
    return [choice.tracker, place, choice.experiment, choice.artifacts, state, _look(choice, place)]


def _look(choice: Choice, place: str) -> str:
    if choice.tracker == "trackio":
        return f"TRACKIO_DIR={place} trackio show --project {choice.experiment}"
    if choice.remote:
        return choice.to
    uri = place if "://" in choice.to else f"sqlite:///{place}/mlflow.db"
    return f"mlflow ui --backend-store-uri {uri}"
