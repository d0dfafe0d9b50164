"""A run at one step, in one file that another machine can go on from: tensors, metric points, record, all with hashes.

A zip of stored files: safetensors, JSON and JSON lines, nothing compressed and nothing that could hold code. What a run
that goes on has on disk is of several moments; here all of it is of the moment of its checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from peft_lab.errors import RunProblem
from peft_lab.keeping.manifest import KEPT
from peft_lab.run import ARTIFACTS, LAST, METRICS, WEIGHTS, Run
from peft_lab.training.checkpoint import CHECKPOINT, OPTIMIZER, RANDOM, Position, read_position
from peft_lab.training.evaluation import CONSTANT
from peft_lab.training.journal import now, plain, versions, writing
from peft_lab.training.weights import read_header, read_tensors, write_tensors

FORMAT = 1
SNAPSHOT = "snapshot.json"
AT_REST = ("finished", "stopped")
"""States in which all that a run has on disk is of one moment."""
TAKEN = (*KEPT, "offered_by", "sample")
"""Of a run's record."""
TRIES = 3


class Held(BaseModel):
    """What a file of a snapshot must be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    """Bytes."""


class Snapshot(BaseModel):
    """The content of ``snapshot.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    kind: Literal["snapshot"] = "snapshot"
    taken: str
    """When, UTC."""
    taken_with: dict[str, str]
    """Versions at that time; those that trained it are in ``run``."""
    step: int = Field(ge=0)
    run: dict[str, Any]
    """The record of the run, without what concerns only the machine it was trained on."""
    files: dict[str, Held]


@dataclass(frozen=True)
class Taken:
    """A snapshot that was written."""

    file: Path
    size: int
    """Bytes."""
    manifest: Snapshot

    @property
    def goes_on(self) -> bool:
        """Whether the run can be resumed from it, not only be begun from."""
        return CHECKPOINT in self.manifest.files


def take(run: Run, file: str | Path | None = None, *, replace: bool = False) -> Taken:
    """Put a run as it is now into one file, also while it is being trained: then as its last checkpoint has it.

    Args:
        file: where to; ``run-3-step-200.zip`` in the present folder when not given.
        replace: write over a snapshot that is there.

    Raises:
        RunProblem: there is nothing to keep yet, or the file is there or cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="peft-lab-") as temporary:
        staged = Path(temporary)
        with writing("the snapshot"):
            record = _still(run, staged)
        if not (staged / WEIGHTS).is_file():
            raise RunProblem(f"{run.id} has no weights yet", "Wait until it has trained for a while")
        step = int(record.get("steps", {}).get("done", 0))
        wanted = Path(file).expanduser() if file else Path(f"{run.id}-step-{step}.zip")
        _must_be_free(wanted, replace)
        with writing(wanted.name):
            manifest = _write(wanted.absolute(), staged, record, step)
            return Taken(wanted, wanted.stat().st_size, manifest)


# --- all of one moment ------------------------------------------------------------------------------------------------


def _still(run: Run, to: Path) -> dict[str, Any]:
    """Copy the files of a run; return the record that belongs to them."""
    for _ in range(TRIES):
        status = run.status
        record = {name: run.record[name] for name in TAKEN if name in run.record}
        with suppress(FileNotFoundError):  # it ended meanwhile, and took its checkpoint away
            record = _at_rest(run, record, to) if status in AT_REST else _of_checkpoint(run, record, to)
            if run.status == status:
                return record
        for found in list(to.iterdir()):
            shutil.rmtree(found) if found.is_dir() else found.unlink()
    raise RunProblem(f"{run.id} is just ending", "Try again in a moment")


def _at_rest(run: Run, record: dict[str, Any], to: Path) -> dict[str, Any]:
    for name in (CHECKPOINT, WEIGHTS, LAST, METRICS):
        if (run.path / name).is_file() and not (name == CHECKPOINT and run.status == "finished"):
            shutil.copyfile(run.path / name, to / name)
    _copy_artifacts(run, to)
    return record


def _of_checkpoint(run: Run, record: dict[str, Any], to: Path) -> dict[str, Any]:
    """What was so when the checkpoint was written; metric points and a best state that came later are left out.

    Going on meets them again, as it would have where the run was.
    """
    if not (run.path / CHECKPOINT).is_file():
        hint = "The first comes after 20 s of training, and when it is stopped: %peft stop " + run.id
        raise RunProblem(f"{run.id} is {run.status} and has no checkpoint yet", hint)
    shutil.copyfile(run.path / CHECKPOINT, to / CHECKPOINT)
    at = read_position(to / CHECKPOINT)
    points = run.points[: at.points]
    (to / METRICS).write_text("".join(json.dumps(point) + "\n" for point in points), encoding="utf-8")
    best = _put_weights(run, at, to)
    _copy_artifacts(run, to)
    record |= {"status": "stopped", "steps": {**record.get("steps", {}), "done": at.steps}, "metrics": {}, "proof": []}
    record.pop("best", None)
    if best:
        epoch = next((p.get("epoch") for p in points if p.get("split") == "validation" and p["step"] == best), None)
        record["best"] = {"step": best, "epoch": epoch}
        scores = {name: value for name, value in (at.best_scores or {}).items() if name != CONSTANT}
        record["metrics"] = {"validation": scores}
    return record


def _put_weights(run: Run, at: Position, to: Path) -> int | None:
    """The best state that the checkpoint knows of, or its own; return the step where it is the best one."""
    with suppress(FileNotFoundError):
        shutil.copyfile(run.path / WEIGHTS, to / WEIGHTS)
        if at.best_step is not None and read_header(to / WEIGHTS).get("step") == str(at.best_step):
            return at.best_step
    own = {n: t for n, t in read_tensors(to / CHECKPOINT).items() if not n.startswith((OPTIMIZER, RANDOM))}
    write_tensors(own, to / WEIGHTS, {"step": str(at.steps)})
    return at.steps if at.best_step == at.steps and not at.unmeasured else None


def _copy_artifacts(run: Run, to: Path) -> None:
    for kind in run.artifacts:
        (to / ARTIFACTS).mkdir(exist_ok=True)
        for suffix in (".json", ".safetensors"):
            source = run.path / ARTIFACTS / f"{kind}{suffix}"
            shutil.copyfile(source, to / ARTIFACTS / source.name)


# --- one file ---------------------------------------------------------------------------------------------------------


def _must_be_free(file: Path, replace: bool) -> None:
    if file.is_dir():
        raise RunProblem(f"{file.name} is a folder", "Name a file: run-3-step-200.zip")
    if not file.exists():
        return
    if not replace:
        raise RunProblem(f"{file.name} is there already", "Say --replace to write over it, or name another file")
    if not _is_snapshot(file):
        raise RunProblem(f"{file.name} is no snapshot and would be lost", "Name another file")


def _is_snapshot(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return SNAPSHOT in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _write(file: Path, staged: Path, record: Mapping[str, Any], step: int) -> Snapshot:
    file.parent.mkdir(parents=True, exist_ok=True)
    names = sorted(found.relative_to(staged).as_posix() for found in staged.rglob("*") if found.is_file())
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.stem}-", suffix=".tmp", delete=False) as made:
        unfinished = Path(made.name)
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            files = {name: _add(archive, name, staged / name) for name in names}
            manifest = Snapshot(taken=now(), taken_with=versions(), step=step, run=plain(record), files=files)
            text = json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=1)
            archive.writestr(zipfile.ZipInfo(SNAPSHOT), text)
        unfinished.chmod(0o644)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return manifest


def _add(archive: zipfile.ZipFile, name: str, source: Path) -> Held:
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reading, archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as writing_to:
        while block := reading.read(1 << 20):
            digest.update(block)
            size += len(block)
            writing_to.write(block)
    return Held(sha256=digest.hexdigest(), size=size)
