"""A study on disk: what was asked for and which cells that makes. What came of them is in the runs, not here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peft_lab.errors import RunProblem, nearest
from peft_lab.run import CELLS, STOP, STUDIES, STUDY_JSON
from peft_lab.study import texts
from peft_lab.study.claiming import is_claimed
from peft_lab.study.plan import Plan

FORMAT = 1
LOCK, LOG = ".lock", "log.txt"


class Study:
    """A study's folder. What it says is read again when it changed, so that a study that goes on can be looked at."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).resolve()
        self.name = self.path.name
        self._stamp: tuple[int, int] | None = None
        self._content: dict[str, Any] = {}

    @property
    def content(self) -> Mapping[str, Any]:
        """What ``study.json`` says.

        Raises:
            RunProblem: it is gone, damaged, or written by a newer peft_lab.
        """
        file = self.path / STUDY_JSON
        try:
            stat = file.stat()
            if self._stamp != (stat.st_mtime_ns, stat.st_size):
                found = json.loads(file.read_text(encoding="utf-8"))
                if not isinstance(found, dict) or not {"plan", "cells", "created"} <= set(found):
                    raise ValueError("it is no study")
                self._content, self._stamp = found, (stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            raise RunProblem(f"{self.name} is gone: its folder was removed or renamed", "See %peft studies") from None
        except (OSError, ValueError, RecursionError) as error:
            said = " ".join(str(error).split())
            raise RunProblem(f"{self.name}/{STUDY_JSON} cannot be read ({said})", "Write the study again") from None
        if (version := self._content.get("format", FORMAT)) != FORMAT:
            hint = "pip install --upgrade peft-lab"
            raise RunProblem(f"{self.name} was written by another peft_lab, in format {version}", hint)
        return self._content

    @property
    def plan(self) -> Plan:
        """What was asked for."""
        return Plan.read(self.content["plan"])

    @property
    def cells(self) -> list[dict[str, Any]]:
        """All cells, those whose learning rate is not known yet among them."""
        return list(self.content["cells"])

    @property
    def errors(self) -> Mapping[str, str]:
        """By address, what was said of cells that left no run that says so itself."""
        found: Mapping[str, str] = self.content.get("errors", {}) if self.begun else {}
        return found

    @property
    def begun(self) -> bool:
        """Whether it is on disk."""
        return (self.path / STUDY_JSON).is_file()

    @property
    def created(self) -> str:
        """When it began, UTC."""
        return str(self.content["created"])

    @property
    def active(self) -> bool:
        """Whether some process works on it now."""
        return is_claimed(self.path / LOCK)

    def folder_of(self, address: str) -> Path:
        """Where the run of a cell is, or will be."""
        return self.path.parent / CELLS / address

    def write(
        self,
        plan: Plan,
        cells: Sequence[Mapping[str, Any]],
        *,
        settled: Mapping[str, Any],
        notes: Sequence[str],
        errors: Mapping[str, str] | None = None,
    ) -> None:
        """Write all of it, as one file that is whole at any moment.

        Raises:
            RunProblem: it cannot be written.
        """
        from peft_lab.training.journal import now, write_json, writing

        created = self.content["created"] if self.begun else now()
        plain = {
            "format": FORMAT,
            "name": self.name,
            "created": created,
            "plan": plan.plain(),
            "settled": dict(settled),
            "notes": list(notes),
            "cells": [dict(cell) for cell in cells],
            "errors": dict(errors or {}),
        }
        with writing(f"the study {self.name}"):
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.path / STUDY_JSON, plain)

    def update(self, cells: Sequence[Mapping[str, Any]] | None = None, errors: Mapping[str, str] | None = None) -> None:
        """Write cells or errors anew, and leave the rest as it is."""
        content = self.content
        self.write(
            self.plan,
            self.cells if cells is None else cells,
            settled=content.get("settled", {}),
            notes=content.get("notes", ()),
            errors=self.errors if errors is None else errors,
        )

    def ask_to_stop(self) -> None:
        """Ask whoever works on it to stop at the next step.

        Raises:
            RunProblem: nobody does.
        """
        if not self.active:
            raise RunProblem(texts.NOT_RUNNING.format(name=self.name), texts.NOT_RUNNING_HINT)
        (self.path / STOP).touch()

    def __repr__(self) -> str:
        return f"<study {self.name}: {len(self.cells)} cells>"


def studies_in(runs: Path) -> list[Study]:
    """All studies of a folder of runs, the one written last at the end."""
    folder = runs / STUDIES
    found = list(folder.glob(f"[!.]*/{STUDY_JSON}")) if folder.is_dir() else []
    return [Study(file.parent) for file in sorted(found, key=lambda file: (file.stat().st_mtime_ns, file.parent.name))]


def find_study(runs: Path, name: str | None = None) -> Study:
    """A study by name; the latest one when none is named.

    Raises:
        RunProblem: there is none.
    """
    known = studies_in(runs)
    if not known:
        raise RunProblem(texts.NO_STUDY, texts.BEGIN_ONE)
    if name is None:
        return known[-1]
    found = next((study for study in known if name in (study.name, str(study.path))), None)
    if found is None:
        raise RunProblem(texts.UNKNOWN_STUDY.format(name=name), nearest(name, [study.name for study in known]))
    return found


def place_for(plan: Plan, runs: Path) -> Study:
    """The folder of a plan: that of its name, that of an equal plan that had no name of its own, or a new one."""
    folder = runs / STUDIES
    if plan.name:
        return Study(folder / plan.name)
    for study in reversed(studies_in(runs)):
        if study.content["plan"] == plan.plain():
            return study
    numbers = [int(p.name[6:]) for p in folder.glob("study-*") if p.name[6:].isdigit()] if folder.is_dir() else []
    return Study(folder / f"study-{max(numbers, default=0) + 1}")
