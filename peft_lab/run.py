"""A run on disk: what came out of a recipe. Readable without torch, and readable after a crash.

A run folder holds ``run.json`` (the record), ``metrics.jsonl`` (one point a line, appended as it goes), ``artifacts/``
(a JSON of axes beside a safetensors of arrays for each kind) and ``weights.safetensors`` (what was trained). The layout
is described in ``docs/results-format.md``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from peft_lab.errors import RunProblem, nearest
from peft_lab.recipe import Recipe
from pluggy_specs import Array, Artifact

FORMAT = 1
RUN_JSON, METRICS, WEIGHTS, ARTIFACTS = "run.json", "metrics.jsonl", "weights.safetensors", "artifacts"


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
        """The content of ``run.json``."""
        file = self.path / RUN_JSON
        stat = file.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp != self._stamp:
            try:
                self._record = json.loads(file.read_text(encoding="utf-8"))
            except (ValueError, UnicodeDecodeError) as error:
                raise RunProblem(
                    f"{file} is not readable JSON ({error})", "Restore the file or delete the folder"
                ) from None
            self._stamp = stamp
        return self._record

    @cached_property
    def recipe(self) -> Recipe:
        """What was done."""
        return Recipe.read(self.record["recipe"])

    @property
    def status(self) -> str:
        """``running``, ``finished``, ``stopped``, ``failed``, or ``crashed`` when its process is gone."""
        status = str(self.record["status"])
        return "crashed" if status == "running" and not _alive(self.record) else status

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
        """All metric points, oldest first; a last line cut off by a crash is left out."""
        file = self.path / METRICS
        found = []
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found

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

        about = json.loads(file.read_text(encoding="utf-8"))
        values = load_file(file.with_suffix(".safetensors"))
        arrays = {n: Array(values[n], tuple(a["axes"]), a["labels"]) for n, a in about["arrays"].items()}
        return Artifact(kind, arrays, about["note"])

    def __repr__(self) -> str:
        return f"<{self.id}: {self.recipe.method} on {self.recipe.data.source}, {self.status}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from peft_lab.present.card import run_card

        return run_card(self).mimebundle()


def _alive(record: Mapping[str, Any]) -> bool:
    import psutil

    try:
        # A process number may have been given to another process since; its start time tells.
        return abs(psutil.Process(record["pid"]).create_time() - record["process_started"]) < 1
    except (psutil.Error, KeyError):
        return False


def runs_folder(setting: str | os.PathLike[str] | None = None) -> Path:
    """Where runs live: the setting, else ``PEFT_LAB_RUNS``, else ``./peft_runs``."""
    return Path(setting or os.environ.get("PEFT_LAB_RUNS") or "peft_runs").resolve()


def list_runs(folder: Path) -> list[Run]:
    """Every run in a folder, by number. Folders without a record are passed over."""
    found = [p for p in folder.glob("*") if (p / RUN_JSON).is_file()] if folder.is_dir() else []
    return [Run(p) for p in sorted(found, key=_by_number)]


def find_run(folder: Path, name: str) -> Run:
    """A run by id (``run-2``, or just ``2``) or by path."""
    for path in (folder / name, folder / f"run-{name}", Path(name)):
        if (path / RUN_JSON).is_file():
            return Run(path)
    hint = nearest(name, (r.id for r in list_runs(folder)))
    raise RunProblem(f"no run named {name!r} in {folder.name}", hint)


def _by_number(path: Path) -> tuple[int, str]:
    digits = re.search(r"\d+$", path.name)
    return (int(digits.group()) if digits else 0, path.name)
