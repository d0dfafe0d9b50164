"""Which trackers are told, and where to: kept in the environment, so that processes begun from here know it too."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from peft_lab.errors import BadOption, PeftLabError, nearest
from peft_lab.present.style import plain

VARIABLE = "PEFT_LAB_TRACK"
"""Set to what ``%peft track`` takes, such as ``mlflow --to ./mlruns``; several with semicolons between."""
STUDY = "PEFT_LAB_STUDY"
"""The study that a run is trained for, where it is: its name becomes a tag."""
PLACES = {"mlflow": "mlruns", "trackio": "trackio-runs"}
"""Trackers that there are, and the folder they write to where none is named."""
EXPERIMENT = "peft_lab"
REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|databricks$", re.I)
WAYS = f"It is said as in %peft track: {VARIABLE}='mlflow --to ./mlruns'"


@dataclass(frozen=True)
class Choice:
    """A tracker, and what was asked of it."""

    tracker: str
    to: str
    """An absolute folder, or an address."""
    experiment: str = EXPERIMENT
    artifacts: bool = False
    """Whether the card of a run is written as well."""

    @property
    def remote(self) -> bool:
        """Whether it leads off this machine, as far as its address tells."""
        return bool(REMOTE.match(self.to)) and not self.to.lower().startswith(("file:", "sqlite:"))

    def __str__(self) -> str:
        words = [self.tracker, "--to", self.to]
        words += ["--experiment", self.experiment] if self.experiment != EXPERIMENT else []
        return shlex.join([*words, *(["--artifacts"] if self.artifacts else [])])


def made(tracker: str, to: str | None = None, experiment: str | None = None, *, artifacts: bool = False) -> Choice:
    """A choice, checked.

    Raises:
        BadOption: there is no such tracker, or it cannot go there.
        PeftLabError: it is not installed.
    """
    if tracker not in PLACES:
        raise BadOption(f"there is no tracker {tracker!r}", nearest(tracker, PLACES), "tracker")
    if to is not None and not to.strip():
        raise BadOption("--to names no place", "Name a folder, such as ./mlruns", "to")
    place = PLACES[tracker] if to is None else to.strip()
    if tracker == "trackio" and REMOTE.match(place):
        raise BadOption(
            f"trackio writes to a folder here, not to {plain(place)}", "Send it yourself with trackio sync", "to"
        )
    found = find_spec(tracker)
    if found is None or found.origin is None:  # without an origin it is a folder that happens to have that name
        raise PeftLabError(f"{tracker} is not installed", f'pip install "peft-lab[{tracker}]"')
    folder = place if REMOTE.match(place) else str(Path(place).expanduser().absolute())
    return Choice(tracker, folder, (experiment or EXPERIMENT).strip() or EXPERIMENT, artifacts)


def chosen() -> dict[str, Choice]:
    """The trackers that are on, by name.

    Raises:
        PeftLabError: the environment says something that cannot be understood or done.
    """
    return {
        one.tracker: one for text in os.environ.get(VARIABLE, "").split(";") if text.strip() and (one := read(text))
    }


def read(text: str) -> Choice:
    """A choice as it is written.

    Raises:
        PeftLabError: it cannot be understood or done.
    """
    try:
        tracker, *words = shlex.split(text)
    except ValueError as error:
        raise BadOption(f"{VARIABLE} cannot be read: {plain(error)}", WAYS) from None
    given: dict[str, str] = {}
    artifacts = False
    rest = iter(words)
    for word in rest:
        if word == "--artifacts":
            artifacts = True
        elif word in ("--to", "--experiment") and (value := next(rest, None)) is not None:
            given[word[2:]] = value
        else:
            raise BadOption(f"{VARIABLE} holds {plain(word)!r}", WAYS)
    return made(tracker, given.get("to"), given.get("experiment"), artifacts=artifacts)


def told_from() -> dict[str, dict[str, str]]:
    """The environment in which processes that do not inherit this one tell the same trackers: those on this machine
    (``here``), and those on others (``away``), which can reach addresses but none of our folders.

    Raises:
        PeftLabError: the environment says something that cannot be understood or done.
    """
    on = chosen().values()
    study = {STUDY: os.environ[STUDY]} if STUDY in os.environ else {}
    lists = {"here": "; ".join(map(str, on)), "away": "; ".join(str(choice) for choice in on if choice.remote)}
    return {place: {VARIABLE: choices, **study} for place, choices in lists.items()}


def choose(choice: Choice) -> None:
    """Tell a tracker from now on, in this process and those begun from it."""
    _keep({**chosen(), choice.tracker: choice})


def leave(tracker: str | None = None) -> None:
    """Tell a tracker no more, or none at all."""
    _keep({} if tracker is None else {name: one for name, one in chosen().items() if name != tracker})


def _keep(choices: dict[str, Choice]) -> None:
    if choices:
        os.environ[VARIABLE] = "; ".join(map(str, choices.values()))
    else:
        os.environ.pop(VARIABLE, None)
