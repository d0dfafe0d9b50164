"""A run on disk: what came out of a recipe. Readable without torch, and readable after a crash.

A run folder holds ``run.json`` (the record), ``metrics.jsonl`` (one point a line, appended as it goes), ``artifacts/``
(a JSON of axes beside a safetensors of arrays for each kind) and ``weights.safetensors`` (what was trained). The layout
is described in ``docs/results-format.md``.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import time
from collections.abc import Generator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from peft_lab.errors import PeftLabError, RunProblem, UnknownRun, nearest
from peft_lab.recipe import Recipe
from peft_lab.record import FORMAT, alive, fault_of, must_be_an_object
from pluggy_specs import Array, Artifact

RUN_JSON, METRICS, ARTIFACTS = "run.json", "metrics.jsonl", "artifacts"
STUDIES, CELLS, STUDY_JSON = "studies", "cells", "study.json"
"""In a folder of runs: the folder of studies, in that the folder of their runs, and what a study's folder holds."""
WEIGHTS, LAST = "weights.safetensors", "last.safetensors"
"""The best state, and the last one where it is another."""
STOP, PROGRESS = "stop", "progress.json"
"""A file whose presence asks a run to stop, and one in which it says where it is."""
NUMBER = (int, float, type(None))
PROGRESS_TYPES = {"phase": str} | dict.fromkeys(("step", "steps", "epoch", "loss", "seconds", "left_seconds"), NUMBER)
LOOK = 0.1
"""Seconds between two looks at a run that goes on in another process."""
__all__ = ["FORMAT", "Run", "find_run", "list_runs", "point_in", "readable_runs", "runs_folder"]


class Run:
    """A run: ``id``, ``path``, ``recipe``, ``metrics``, ``history``, ``cost``, ``artifact(kind)``.

    The record is read again when its file changed, so a run object follows a run that is still going.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).resolve()
        self.id = self.path.name
        if not (self.path / RUN_JSON).is_file():
            raise RunProblem(f"{self.path} is not a run: it has no {RUN_JSON}", "A run folder is made by %peft train")
        self._stamp: tuple[int, int] | None = None
        self._record: dict[str, Any] = {}

    @property
    def record(self) -> Mapping[str, Any]:
        """The content of ``run.json``.

        Raises:
            RunProblem: it is gone, damaged, or written by a newer peft_lab.
        """
        file = self.path / RUN_JSON
        try:
            stat = file.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp != self._stamp:
                data = json.loads(file.read_text(encoding="utf-8"))
                self._record, self._stamp = must_be_an_object(data, f"{self.id}/{RUN_JSON}"), stamp
        except (FileNotFoundError, NotADirectoryError):
            raise RunProblem(f"{self.id} is gone: its folder was removed or renamed", "See %peft runs") from None
        except OSError as error:
            raise RunProblem(f"{self.id}/{RUN_JSON} cannot be read: {error.strerror or error}") from None
        except (ValueError, RecursionError) as error:
            said = " ".join(str(error).split())
            raise RunProblem(
                f"{self.id}/{RUN_JSON} is not readable JSON ({said})", "Restore the file or delete the folder"
            ) from None
        return self._record

    @property
    def trouble(self) -> str:
        """Why the record cannot be relied on, in a few words; nothing where it can."""
        try:
            return fault_of(self.record)
        except RunProblem as error:
            return error.message.removeprefix(f"{self.id}/")

    def readable(self) -> Run:
        """The run itself, where its record can be relied on.

        Raises:
            RunProblem: says what is wrong with it.
        """
        if fault := fault_of(self.record):
            raise RunProblem(f"{self.id}/{RUN_JSON} is damaged: {fault}", "Restore the file or delete the folder")
        return self

    @cached_property
    def recipe(self) -> Recipe:
        """What was done."""
        return Recipe.read(self.record["recipe"])

    @property
    def status(self) -> str:
        """``running``, ``finished``, ``stopped``, ``failed``, or ``crashed`` when its process is gone."""
        status = str(self.record.get("status", "unknown"))
        return "crashed" if status == "running" and not alive(self.record) else status

    @property
    def active(self) -> bool:
        """Whether it is being trained now, in this process or another."""
        return self.status == "running"

    @property
    def early(self) -> str:
        """How far its time budget let it come, as ``212 of 400 steps``; nothing where all steps were done."""
        done, planned = (self.record.get("steps", {}).get(key) for key in ("done", "planned"))
        before = self.status == "finished" and planned and done is not None and done < planned
        return f"{done:,} of {planned:,} steps" if before else ""

    def stop(self) -> None:
        """Ask for a stop at the next step; the run is kept and can be resumed.

        Raises:
            RunProblem: it is not being trained.
        """
        if not self.active:
            raise RunProblem(f"{self.id} is {self.status}", "Only a run that goes on can be stopped")
        (self.path / STOP).touch()

    def wait(self, seconds: float | None = None) -> Run:
        """Wait until it has ended, or for so many seconds; return the run.

        Raises:
            RunProblem: it failed or crashed.
        """
        until = math.inf if seconds is None else time.monotonic() + seconds
        while self.active and time.monotonic() < until:
            time.sleep(LOOK)
        return self.checked()

    def checked(self) -> Run:
        """The run itself, unless it failed.

        Raises:
            RunProblem: it failed or crashed.
        """
        status = self.status
        if status == "failed":
            error = self.record.get("error") or {}
            said = error.get("message") or error.get("type") or "no reason is on record"
            raise RunProblem(f"{self.id} failed: {said}", f"Its traceback is in {self.path.name}/{RUN_JSON}")
        if status == "crashed":
            raise RunProblem(f"{self.id} crashed: its process is gone", f"Go on with it: %peft resume {self.id}")
        return self

    def __await__(self) -> Generator[Any, None, Run]:
        async def ended() -> Run:
            while self.active:
                await asyncio.sleep(LOOK)
            return self.checked()

        return ended().__await__()

    @property
    def progress(self) -> Mapping[str, Any]:
        """Where it says it is: ``phase``, ``step``, ``steps``, ``loss``, ``left_seconds``; empty before it says so."""
        try:
            state = json.loads((self.path / PROGRESS).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        known = state.items() if isinstance(state, dict) else ()
        return {name: value for name, value in known if isinstance(value, PROGRESS_TYPES.get(name, object))}

    @property
    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Final values by split: ``metrics["test"]["accuracy"]``. Empty for what was never evaluated."""
        return self.record.get("metrics", {})

    @property
    def headline(self) -> str:
        """Name of the metric that chose the best state."""
        return str(self.record.get("headline", "accuracy"))

    @property
    def cost(self) -> Mapping[str, Any]:
        """``trainable``, ``total``, ``seconds``, ``peak_memory`` (bytes), ``bytes_on_disk``, ..."""
        return self.record.get("cost", {})

    @property
    def points(self) -> list[dict[str, Any]]:
        """All metric points, oldest first; a line that is damaged, or was cut off by a crash, is left out."""
        file = self.path / METRICS
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n") if file.is_file() else ()
        return [point for line in lines if (point := point_in(line)) is not None]

    @property
    def history(self) -> Any:
        """All metric points as a pandas DataFrame: ``step``, ``epoch``, ``split``, ``seconds`` and the metrics."""
        import pandas as pd

        return pd.DataFrame(self.points)

    @property
    def artifacts(self) -> list[str]:
        """Kinds of artifacts this run has."""
        folder = self.path / ARTIFACTS
        return sorted(f.stem for f in folder.glob("*.json")) if folder.is_dir() else []

    def artifact(self, kind: str) -> Artifact:
        """Read an artifact; arrays are numpy.

        Raises:
            RunProblem: the run has no such artifact.
        """
        file = self.path / ARTIFACTS / f"{kind}.json"
        if kind not in self.artifacts:
            raise RunProblem(f"{self.id} has no artifact {kind!r}", nearest(kind, self.artifacts))
        from safetensors.numpy import load_file

        try:
            about = json.loads(file.read_text(encoding="utf-8"))
            values = load_file(file.with_suffix(".safetensors"))
            arrays = {n: Array(values[n], tuple(a["axes"]), dict(a["labels"])) for n, a in about["arrays"].items()}
            return Artifact(kind, arrays, str(about["note"]))
        except Exception as error:  # what readers raise for damaged files is no one family
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise RunProblem(
                f"the artifact {kind!r} of {self.id} is damaged ({said})", "Train again, or restore its two files"
            ) from error

    def __repr__(self) -> str:
        try:
            return f"<{self.id}: {self.recipe.method} on {self.recipe.data.source}, {self.status}>"
        except (PeftLabError, KeyError, TypeError):
            return f"<{self.id}: unreadable, {self.trouble}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from peft_lab.present.card import run_card
        from peft_lab.present.style import esc, visible

        try:
            return run_card(self).mimebundle()
        except Exception as error:  # a damaged record must not put a traceback into the notebook
            said = visible(f"{self.id}: unreadable: {self.trouble or ' '.join(str(error).split())}")
            return {"text/html": f"<div>{esc(said)}</div>", "text/plain": said}


def point_in(line: str | bytes) -> dict[str, Any] | None:
    """The metric point on a line of ``metrics.jsonl``; None where the line holds none."""
    try:
        point = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return point if isinstance(point, dict) else None


def runs_folder(setting: str | os.PathLike[str] | None = None) -> Path:
    """Where runs live: the setting, else ``PEFT_LAB_RUNS``, else ``./peft_runs``."""
    return Path(setting or os.environ.get("PEFT_LAB_RUNS") or "peft_runs").resolve()


def list_runs(folder: Path) -> list[Run]:
    """Every run in a folder, by number. Folders without a record are passed over, and those not yet begun."""
    found = [p for p in folder.glob("[!.]*") if (p / RUN_JSON).is_file()] if folder.is_dir() else []
    return [Run(p) for p in sorted(found, key=_by_number)]


def readable_runs(folder: Path) -> list[Run]:
    """The runs in a folder whose records can be relied on; one that is damaged costs only itself."""
    return [run for run in list_runs(folder) if not run.trouble]


def find_run(folder: Path, name: str) -> Run:
    """A run by id (``run-2``, or just ``2``) or by path."""
    for path in (folder / name, folder / f"run-{name}", Path(name), folder / STUDIES / CELLS / name):
        if (path / RUN_JSON).is_file():
            return Run(path)
    hint = nearest(name, (r.id for r in list_runs(folder)))
    raise UnknownRun(f"no run named {name!r} in {folder.name}", hint)


def _by_number(path: Path) -> tuple[int, str]:
    digits = re.search(r"\d+$", path.name)
    return (int(digits.group()) if digits else 0, path.name)
