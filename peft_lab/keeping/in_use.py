"""Which adapter answers: a stack on disk, so that every kernel on the same folder of runs sees the same."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peft_lab.errors import RunProblem
from peft_lab.keeping.loading import Loaded
from peft_lab.run import Run
from peft_lab.training.journal import now, versions, write_json, writing

FORMAT = 1
FILE = "in-use.json"


@dataclass(frozen=True)
class Entry:
    """One adapter in use, and what was measured when it came into use."""

    run: str
    """Its id, or its path where it is not in the folder of runs."""
    source: str
    """The folder it was loaded from, or empty."""
    since: str
    outputs: str
    """Digest of its answers to the sample texts."""
    base: str
    """The same of the base model before it, under the untrained head of the recipe's seed."""
    measured_with: str
    """What else decides the last bits: versions of torch and transformers, threads, device."""


def read(runs: Path) -> list[Entry]:
    """The stack, the latest last.

    Raises:
        RunProblem: its file is damaged.
    """
    file = runs / FILE
    if not file.exists():
        return []
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["format"] > FORMAT:
            raise ValueError(f"a newer peft_lab wrote it in format {data['format']}, this one reads {FORMAT}")
        stack = [Entry(**entry) for entry in data["stack"]]
        if wrong := [name for entry in stack for name, value in asdict(entry).items() if not isinstance(value, str)]:
            raise ValueError(f"{wrong[0]} is no text")
        return stack
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunProblem(
            f"{FILE} in {runs.name} is damaged: {' '.join(str(error).split())}",
            "Delete it, and load again what shall be in use",
        ) from None


def write(runs: Path, stack: Iterable[Entry]) -> None:
    """Replace the stack, whole."""
    with writing(FILE):
        runs.mkdir(parents=True, exist_ok=True)
        write_json(runs / FILE, {"format": FORMAT, "stack": [asdict(entry) for entry in stack]})


def put(runs: Path, loaded: Loaded) -> Entry:
    """Put an adapter on top; one that is there already is not put twice."""
    run = loaded.run
    name = run.id if run.path.parent == runs else str(run.path)
    entry = Entry(name, loaded.source, now(), loaded.outputs, loaded.base, measuring(loaded.restored.place.device))
    stack = read(runs)
    if stack and stack[-1].run == name:
        stack.pop()
    write(runs, [*stack, entry])
    return entry


def take(runs: Path) -> tuple[Entry, Entry | None]:
    """Take the latest off; return it, and the one that is in use now.

    Raises:
        RunProblem: nothing is in use.
    """
    stack = read(runs)
    if not stack:
        raise RunProblem("nothing is in use", "Load an adapter first: %peft load run-1")
    *rest, gone = stack
    write(runs, rest)
    return gone, rest[-1] if rest else None


def run_of(entry: Entry, runs: Path) -> Run:
    """The run of an entry.

    Raises:
        RunProblem: its folder is gone.
    """
    try:
        return Run(runs / entry.run)  # an absolute path stays what it is
    except RunProblem:
        raise RunProblem(
            f"{entry.run}, which is in use, is gone", "Go back to the one before: %peft rollback"
        ) from None


def measuring(device: Any) -> str:
    """What decides the last bits of an output besides the model: versions, threads, device."""
    import torch

    known = versions()
    libraries = f"torch {known.get('torch')}, transformers {known.get('transformers')}"
    return f"{libraries}, {torch.get_num_threads()} threads, {device}"
