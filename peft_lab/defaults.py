"""What is used where nothing was typed: set in the notebook, in the environment, in the project. Each knows from where.

The project's settings are the table ``[tool.peft_lab]`` of the nearest ``pyproject.toml`` upwards that has one. What is
wrong there is told and left out; it never keeps the rest from working. Importing this, and reading a project that says
nothing, imports the standard library only.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peft_lab.files import from_here
from peft_lab.profiles import NAMES, NONE, PROFILES

CHOSEN = "chosen here"
FILE, TABLE, TRAINING = "pyproject.toml", "peft_lab", "training"
KEYS: Mapping[str, str] = {
    "profile": "workshop or none",
    "runs": "text: a folder",
    "model": "text: a name, a folder or a hub id",
    "data": "text: a name, a file, a folder or a hub id",
    "seed": "a whole number from 0",
    "live": "true or false",
    "offline": "true or false: whether nothing is asked of the network",
}
"""Settings beside those of training, and what each takes."""


@dataclass(frozen=True)
class Source:
    """Settings from one place, and what could not be used of it."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Defaults:
    """Sources of settings, the strongest first. A profile that one of them names comes behind all of them."""

    named: tuple[Source, ...] = ()

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where settings come from, the profile's among them."""
        name = self.profile
        profile = PROFILES.get(name)
        return (*self.named, *([Source(f"profile {name}", profile.values, profile.training)] if profile else ()))

    @property
    def profile(self) -> str:
        """The profile in effect, by name."""
        return str(next((source.values["profile"] for source in self.named if "profile" in source.values), NONE))

    def under(self, profile: str) -> Defaults:
        """The same under a profile that was chosen here, by name."""
        return Defaults((Source(CHOSEN, {"profile": profile}), *(s for s in self.named if s.name != CHOSEN)))

    def find(self, key: str) -> tuple[Any, str] | None:
        """A setting's value and where it comes from, or None where no source has it."""
        for source in self.sources:
            found = source.values if key in KEYS else source.training
            if key in found:
                return found[key], source.name
        return None

    def get(self, key: str, otherwise: Any = None) -> Any:
        """A setting's value."""
        found = self.find(key)
        return otherwise if found is None else found[0]

    @property
    def training(self) -> dict[str, Any]:
        """Training settings, and ``seed`` where it is set."""
        names = dict.fromkeys(["seed", *(name for source in self.sources for name in source.training)])
        return {name: found[0] for name in names if (found := self.find(name)) is not None}

    @property
    def problems(self) -> list[str]:
        """What could not be used, in one line each."""
        return [problem for source in self.sources for problem in source.problems]


def static() -> bool:
    """Whether outputs must be one and the same each time, as in tests of notebooks."""
    return os.environ.get("PEFT_LAB_STATIC", "") not in ("", "0")


def in_effect(project: Source, notebook: Source | None = None) -> Defaults:
    """All sources in order: what the notebook set, the environment, the project."""
    fixed = [Source("PEFT_LAB_STATIC", {"live": False})] if static() else []
    runs = os.environ.get("PEFT_LAB_RUNS")
    environment = [Source("PEFT_LAB_RUNS", {"runs": runs})] if runs else []
    return Defaults((*fixed, *([notebook] if notebook else ()), *environment, project))


def checked_key(key: str, value: Any) -> Any:
    """The value of one of :data:`KEYS`, or of a training setting.

    Raises:
        BadOption: there is no such setting, or the value cannot be used.
    """
    from peft_lab.errors import BadOption, nearest

    fits = {
        **dict.fromkeys(("live", "offline"), isinstance(value, bool)),
        "seed": isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    }
    if key not in KEYS:
        raise BadOption(f"{key!r} is no setting", nearest(key, [*KEYS, TRAINING]))
    if key == "profile" and value not in NAMES:
        raise BadOption(f"there is no profile {value!r}", nearest(str(value), NAMES))
    if not fits.get(key, isinstance(value, str) and bool(value)):
        raise BadOption(f"{key} cannot be {value!r}", f"It takes {KEYS[key]}")
    return value


def checked_training(name: str, value: Any) -> tuple[str, Any]:
    """A training setting under its own name, checked.

    Raises:
        BadOption: there is no such setting, or the value cannot be used.
    """
    from peft_lab.errors import BadOption, nearest
    from peft_lab.recipe import Training, checked

    key = name.replace("-", "_")
    if key not in Training.model_fields:
        raise BadOption(f"{name!r} is no training setting", nearest(key, Training.model_fields, most=40))
    return key, getattr(checked(Training, {key: value}, TRAINING), key)


# --- the project ------------------------------------------------------------------------------------------------------


def read_project(start: Path | None = None) -> Source:
    """The settings of the project around a folder; the present one when not given. It never raises."""
    try:
        start = (start or Path()).absolute()
        for folder in (start, *start.parents):
            if (folder / FILE).is_file() and (found := _read(folder / FILE)) is not None:
                return found
    except OSError:  # the present folder is gone, or one above it cannot be looked into
        pass
    return Source("")


def _read(file: Path) -> Source | None:
    """What a file says; None where it does not speak of peft_lab at all."""
    shown = from_here(file)
    text = file.read_bytes().decode("utf-8", errors="replace")
    if "peft" not in text:
        return None
    try:
        tool = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        return Source(shown, problems=(f"{shown} is no TOML: {error}",)) if TABLE in text else None
    if not isinstance(tool, dict) or TABLE not in tool:
        if isinstance(tool, dict) and "peft-lab" in tool:
            return Source(shown, problems=(f"{shown}: [tool.peft-lab] is not read. Write [tool.{TABLE}]",))
        return None
    if not isinstance(tool[TABLE], dict):
        return Source(shown, problems=(f"{shown}: tool.{TABLE} is no table. Write [tool.{TABLE}]",))
    return _checked(file, shown, text, tool[TABLE])


def _checked(file: Path, shown: str, text: str, found: Mapping[str, Any]) -> Source:
    from peft_lab.errors import BadOption

    values: dict[str, Any] = {}
    training: dict[str, Any] = {}
    problems = []
    for table, key, value in _entries(found):
        try:
            if table == TABLE:
                values[key] = _placed(file.parent, key, checked_key(key, value))
            else:
                training.update([checked_training(key, value)])
        except BadOption as error:
            problems.append(f"{shown}{_place(text, table, key)}: {error}")
    return Source(shown, values, training, tuple(problems))


def _entries(table: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for key, value in table.items():
        if key == TRAINING and isinstance(value, dict):
            yield from ((f"{TABLE}.{TRAINING}", inner, of) for inner, of in value.items())
        else:
            yield TABLE, key, value


def _placed(folder: Path, key: str, value: Any) -> Any:
    """A path in a file is meant from where the file stands, not from where the notebook happens to run."""
    if key == "runs":
        return str(folder / Path(value).expanduser())
    # A bare name is one that is registered, or a hub's; what is written like a path and is there is one.
    path_like = key in ("model", "data") and ("/" in value or "." in value)
    return str(folder / value) if path_like and (folder / value).exists() else value


def _place(text: str, table: str, key: str) -> str:
    """Where a key stands, as `` line 12``; TOML readers tell no lines, so that it is looked for in the text."""
    outer, _, inner = table.rpartition(".")
    ways = [(table, key), *([(outer, f"{inner}.{key}"), (outer, inner)] if outer else [])]
    line = next((found for way in ways if (found := _line(text, *way))), 0)
    return f" line {line}" if line else f", {table}.{key}"


def _line(text: str, table: str, key: str) -> int:
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if heading := re.match(r"\s*\[([^\[\]]+)\]", line):
            inside = re.sub(r"[\s\"']", "", heading[1]) == f"tool.{table}"
        elif inside and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            return number
    return 0
