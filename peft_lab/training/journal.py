"""Writes a run's folder as training goes, so that a stop, a crash or a full disk loses as little as can be."""

from __future__ import annotations

import json
import math
import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.recipe import Recipe
from peft_lab.run import ARTIFACTS, FORMAT, METRICS, RUN_JSON, Run
from pluggy_specs import Artifact

if TYPE_CHECKING:
    from peft_lab.host import Host

PACKAGES = ("peft_lab", "torch", "transformers", "peft", "accelerate", "datasets")


class Journal:
    """The writing side of a run folder. The folder is claimed when the journal is made."""

    def __init__(self, folder: Path, recipe: Recipe, host: Host) -> None:
        import psutil

        self.path = claim(folder)
        self.host = host
        self.record: dict[str, Any] = {
            "format": FORMAT,
            "id": self.path.name,
            "status": "running",
            "recipe": recipe.model_dump(mode="json"),
            "started": now(),
            "ended": None,
            "pid": os.getpid(),
            "process_started": psutil.Process().create_time(),
            "versions": versions(),
            "fingerprints": {"recipe": recipe.fingerprint},
            "notes": [],
            "metrics": {},
            "error": None,
        }
        self.save()
        host.inform("run_started", run=self.record)

    @property
    def run(self) -> Run:
        """The reading side."""
        return Run(self.path)

    def update(self, **facts: Any) -> None:
        """Add facts to the record and write it."""
        self.record.update(facts)
        self.save()

    def note(self, text: str) -> None:
        """Something a person should know about this run."""
        self.record["notes"].append(text)

    def point(self, **values: Any) -> None:
        """Append a metric point; it is on disk when this returns."""
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(values)) + "\n")
        self.host.inform("metrics_logged", run_id=self.record["id"], point=values)

    def artifact(self, artifact: Artifact) -> None:
        """Write an artifact: arrays as safetensors, axes and labels as JSON."""
        from safetensors.numpy import save_file

        folder = self.path / ARTIFACTS
        folder.mkdir(exist_ok=True)
        arrays = {n: np.ascontiguousarray(to_numpy(a.values)) for n, a in artifact.arrays.items()}
        about = {
            "kind": artifact.kind,
            "note": artifact.note,
            "arrays": {
                n: {"axes": list(a.axes), "labels": {k: list(map(str, v)) for k, v in a.labels.items()}}
                for n, a in artifact.arrays.items()
            },
        }
        save_file(arrays, folder / f"{artifact.kind}.safetensors")
        write_json(folder / f"{artifact.kind}.json", about)

    def end(self, status: str, error: BaseException | None = None) -> None:
        """Close the run: ``finished``, ``stopped`` or ``failed``."""
        if error is not None:
            text = "".join(traceback.format_exception(error))
            message = " ".join(str(error).split())
            self.record["error"] = {"type": type(error).__name__, "message": message, "traceback": text}
        self.update(status=status, ended=now())
        self.host.inform("run_finished", run=self.record)

    def save(self) -> None:
        """Write the record atomically."""
        write_json(self.path / RUN_JSON, self.record)


def claim(folder: Path) -> Path:
    """Make the next free ``run-N`` folder; two kernels never get the same one."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [int(p.name[4:]) for p in folder.glob("run-*") if p.name[4:].isdigit()]
    number = max(numbers, default=0) + 1
    while True:
        try:
            (folder / f"run-{number}").mkdir()
            return folder / f"run-{number}"
        except FileExistsError:
            number += 1


def write_json(file: Path, data: Any) -> None:
    """Write JSON so that a reader sees the old content or the new, never half of it."""
    unfinished = file.with_suffix(".tmp")
    unfinished.write_text(json.dumps(plain(data), ensure_ascii=False, indent=1), encoding="utf-8")
    unfinished.replace(file)


def plain(value: Any) -> Any:
    """Turn tuples, numpy numbers and paths into what JSON knows; what is not a finite number becomes null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


def to_numpy(values: Any) -> np.ndarray:
    """A numpy array of a tensor or anything array-like; bf16 becomes float32."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    import platform

    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name.replace("_", "-"))
        except PackageNotFoundError:
            continue
    return found


def now() -> str:
    """UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
