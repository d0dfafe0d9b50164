"""What a run's record must look like for everything that reads it, and whether the process it names still trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, ValidationError

from peft_lab.errors import RunProblem
from peft_lab.recipe import Recipe

FORMAT = 1
_unclosed: set[tuple[Any, Any]] = set()
"""Runs whose end this process could not write down: their records go on saying that they run."""
Numbers = dict[str, StrictInt | StrictFloat | None]


class Record(BaseModel):
    """The content of ``run.json``, as far as listings, cards and operations rely on it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    status: Literal["running", "finished", "stopped", "failed"]
    recipe: Recipe
    headline: StrictStr = ""
    task: StrictStr = ""
    metrics: dict[str, Numbers] = Field(default_factory=dict)
    cost: Numbers = Field(default_factory=dict)
    steps: Numbers = Field(default_factory=dict)
    best: Numbers | None = None
    fingerprints: dict[str, StrictStr | None] = Field(default_factory=dict)
    versions: dict[str, StrictStr] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)
    targets: dict[str, Any] = Field(default_factory=dict)
    hardware: dict[str, Any] = Field(default_factory=dict)
    notes: list[StrictStr] = Field(default_factory=list)
    proof: list[dict[str, Any]] = Field(default_factory=list)
    resumed: list[dict[str, Any]] = Field(default_factory=list)
    forecast: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


def fault_of(data: Any) -> str:
    """What is wrong first with the content of a ``run.json``, in a few words; nothing where it is sound."""
    if not isinstance(data, Mapping):
        return f"it holds a {type(data).__name__}, not an object"
    if newer := _newer(data):
        return newer
    try:
        Record.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"] if not str(part).startswith("float"))
        said = first["msg"][:1].lower() + first["msg"][1:]
        return f"{where}: {said}"
    return ""


def must_be_an_object(data: Any, name: str) -> dict[str, Any]:
    """The content of a ``run.json`` that can be looked at.

    Raises:
        RunProblem: it is no object, or a newer peft_lab wrote it.
    """
    if not isinstance(data, dict):
        raise RunProblem(f"{name} is damaged: {fault_of(data)}", "Restore the file or delete the folder")
    if newer := _newer(data):
        raise RunProblem(f"{name} cannot be read: {newer}", "pip install --upgrade peft-lab")
    return data


def _newer(data: Mapping[str, Any]) -> str:
    version = data.get("format", FORMAT)
    if not isinstance(version, int):
        return f"its format is {str(version)[:20]!r}, not a number"
    return f"a newer peft_lab wrote it in format {version}, this one reads {FORMAT}" if version > FORMAT else ""


def unclosed(record: Mapping[str, Any], still: bool = True) -> None:
    """Remember that this process no longer trains a run whose record says so; or forget it, when it goes on."""
    key = (record.get("id"), record.get("started"))
    (_unclosed.add if still else _unclosed.discard)(key)


def process_times(process: Any) -> dict[str, float]:
    """When a process began, by the clock and from the start of the machine, which no setting of the clock moves."""
    import psutil

    began = process.create_time()
    return {"process_started": began, "process_after_boot": began - psutil.boot_time()}


def alive(record: Mapping[str, Any]) -> bool:
    """Whether the process that a record names goes on with the run."""
    import psutil

    if (record.get("id"), record.get("started")) in _unclosed:
        return False
    try:
        # A process number may have been given to another process since; when it began tells.
        found = psutil.Process(record["pid"])
        if found.status() == psutil.STATUS_ZOMBIE:  # it ended, and who began it has not looked yet
            return False
        now = process_times(found)
        clock = abs(now["process_started"] - record["process_started"]) < 1
        return clock or abs(now["process_after_boot"] - record.get("process_after_boot", math.inf)) < 0.05
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False
