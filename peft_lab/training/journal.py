"""Writes a run's folder as training goes, so that a stop, a crash or a full disk loses as little as can be."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.errors import RunProblem
from peft_lab.files import replacing
from peft_lab.recipe import Recipe
from peft_lab.record import process_times, unclosed
from peft_lab.run import ARTIFACTS, FORMAT, METRICS, PROGRESS, RUN_JSON, STOP, Run
from pluggy_specs import Artifact

if TYPE_CHECKING:
    from peft_lab.host import Host

SPARE, SPARE_SIZE = "spare.tmp", 256 * 1024
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PACKAGES = ("peft_lab", "torch", "transformers", "peft", "accelerate", "datasets")


class Journal:
    """The writing side of a run folder.

    Args:
        path: the folder, claimed for this run by :func:`claim` or holding a run that goes on.
        record: what is known of the run so far; see :func:`opening` and :func:`reopened`.
    """

    def __init__(self, path: Path, record: Mapping[str, Any], host: Host) -> None:
        self.path = path
        self.host = host
        self.record: dict[str, Any] = dict(record)
        self.begun = False
        """Whether a step was tried."""
        unclosed(self.record, still=False)
        try:
            # On a full disk this makes room for the last word.
            (path / SPARE).write_bytes(bytes(SPARE_SIZE))
            self.save()
        except OSError:  # not begun: what was on disk stays as it was
            with suppress(OSError):
                (path / SPARE).unlink(missing_ok=True)
            raise
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
        if text not in self.record["notes"]:
            self.record["notes"].append(text)

    def point(self, **values: Any) -> None:
        """Append a metric point; it is on disk when this returns."""
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(values)) + "\n")
        self.host.inform("metrics_logged", run_id=self.record["id"], point=values)

    def artifact(self, artifact: Artifact) -> None:
        """Write an artifact: arrays as safetensors, axes and labels as JSON.

        Raises:
            OSError: there is no room, or the folder cannot be written to.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        folder = self.path / ARTIFACTS
        folder.mkdir(exist_ok=True)
        file = folder / f"{artifact.kind}.safetensors"
        arrays = {n: np.ascontiguousarray(to_numpy(a.values)) for n, a in artifact.arrays.items()}
        about = {
            "kind": artifact.kind,
            "note": artifact.note,
            "arrays": {
                n: {"axes": list(a.axes), "labels": {k: list(map(str, v)) for k, v in a.labels.items()}}
                for n, a in artifact.arrays.items()
            },
        }
        try:
            with replacing(file) as unfinished:
                save_file(arrays, unfinished)
        except SafetensorError as error:
            raise system_error(error, file) from error
        write_json(folder / f"{artifact.kind}.json", about)

    def end(self, status: str, error: BaseException | None = None) -> None:
        """Close the run: ``finished``, ``stopped`` or ``failed``."""
        if error is not None:
            text = "".join(traceback.format_exception(error))
            message = " ".join(str(error).split())
            self.record["error"] = {"type": type(error).__name__, "message": message, "traceback": text}
        self.record |= {"status": status, "ended": now()}
        try:
            (self.path / SPARE).unlink(missing_ok=True)
            self.save()
        except OSError:
            unclosed(self.record)
            raise
        finally:
            self.host.inform("run_finished", run=self.record)

    def save(self) -> None:
        """Write the record atomically."""
        write_json(self.path / RUN_JSON, self.record)

    def take_back(self, record: Mapping[str, Any]) -> None:
        """Leave the run as it was before it was opened."""
        (self.path / SPARE).unlink(missing_ok=True)
        self.record = dict(record)
        self.save()

    def keep_points(self, count: int) -> list[dict[str, Any]]:
        """Take back the metric points behind the first ``count``, and damaged ones; return the rest."""
        file = self.path / METRICS
        points = self.run.points[:count]
        with replacing(file) as unfinished:
            unfinished.write_text("".join(json.dumps(point) + "\n" for point in points), encoding="utf-8")
        if len(points) < count:
            self.note(f"{count - len(points)} of {count} earlier metric points were damaged and are left out")
        return points


def opening(path: Path, recipe: Recipe) -> dict[str, Any]:
    """The record of a run that begins in this process."""
    return {
        "format": FORMAT,
        "id": path.name,
        "status": "running",
        "recipe": recipe.model_dump(mode="json"),
        "started": now(),
        "ended": None,
        **process(),
        "versions": versions(),
        "fingerprints": {"recipe": recipe.fingerprint},
        "notes": [],
        "resumed": [],
        "metrics": {},
        "error": None,
    }


def reopened(run: Run) -> dict[str, Any]:
    """The record of a run that goes on in this process; what asked it to stop, and where it last was, is taken away."""
    for file in (STOP, PROGRESS):
        (run.path / file).unlink(missing_ok=True)
    before = dict(run.record)
    gone = {"at_step": before.get("steps", {}).get("done", 0), "after": run.status, "when": now()}
    resumed = [*before.get("resumed", ()), gone]
    return {**before, "status": "running", "ended": None, "error": None, "resumed": resumed, **process()}


def process(pid: int | None = None) -> dict[str, Any]:
    """Who trains: a process number, and when that process began, for numbers are given again."""
    import psutil

    found = psutil.Process(pid)
    return {"pid": found.pid, **process_times(found)}


def claim(folder: Path, recipe: Recipe, forecast: Mapping[str, Any] | None = None, name: str = "") -> Path:
    """Make the next free ``run-N`` folder with an opening record in it, at once: there is none without a record.

    Two kernels never get the same one.

    Args:
        name: of the folder, instead of the next free one.

    Raises:
        RunProblem: it cannot be written, or there is one of that name.
    """
    with writing(f"the folder of runs {folder.name}"):
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".new-{uuid.uuid4().hex}"
        draft.mkdir()
        try:
            if name:
                write_json(draft / RUN_JSON, opening(folder / name, recipe) | {"forecast": forecast})
                return draft.rename(folder / name)
            return take_number(draft, folder, lambda path: opening(path, recipe) | {"forecast": forecast})
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def take_number(draft: Path, folder: Path, record: Callable[[Path], Mapping[str, Any]]) -> Path:
    """Make a draft the next free ``run-N``, at once and with the record of that name in it."""
    numbers = [int(p.name[4:]) for p in folder.glob("run-*") if p.name[4:].isdigit()]
    number = max(numbers, default=0) + 1
    while True:
        path = folder / f"run-{number}"
        write_json(draft / RUN_JSON, record(path))
        try:
            return draft.rename(path)
        except OSError:  # somebody else was faster; a folder that is not empty is never replaced
            if not path.exists():
                raise
            number += 1


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn what the system says about writing into one line.

    Raises:
        RunProblem: names what could not be written, and why.
    """
    try:
        yield
    except OSError as error:
        raise not_written(what, error) from error


def not_written(what: str, error: OSError, hint: str = "") -> RunProblem:
    """The line about a file that could not be written."""
    said = error.strerror or " ".join(str(error).split())
    where = f" ({Path(str(error.filename)).name})" if error.filename else ""
    room = "Make room on the disk" if error.errno in FULL else "Look at the folder: may it be written to?"
    return RunProblem(f"{what} cannot be written: {said}{where}", f"{room}{hint}")


def system_error(error: Exception, file: Path) -> OSError:
    """What the system said, out of an error of safetensors, which passes it on as text."""
    said = " ".join(str(error).split())
    number = re.search(r"\(os error (\d+)\)", said)
    return OSError(int(number[1]), os.strerror(int(number[1])), str(file)) if number else OSError(said)


def write_json(file: Path, data: Any) -> None:
    """Write JSON so that a reader sees the old content or the new, never half of it."""
    with replacing(file) as unfinished:
        unfinished.write_text(json.dumps(plain(data), ensure_ascii=False, indent=1), encoding="utf-8")


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
