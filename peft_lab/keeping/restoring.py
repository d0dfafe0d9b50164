"""From a snapshot to a run of this bench. The file may come from anybody: nothing in it is believed unseen.

Its names must be those that a snapshot has, so that none can point out of the new folder; nothing may be compressed, so
that no file is larger than what it came in; sizes and hashes must be those on record; tensors are safetensors.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from peft_lab.errors import BadOption, RunProblem
from peft_lab.keeping.loading import LOADING
from peft_lab.keeping.snapshots import AT_REST, FORMAT, SNAPSHOT, TAKEN, Held, Snapshot
from peft_lab.present.style import bytes_, shorten
from peft_lab.recipe import checked
from peft_lab.record import fault_of
from peft_lab.run import ARTIFACTS, LAST, METRICS, WEIGHTS, Run
from peft_lab.run import FORMAT as RUN_FORMAT
from peft_lab.training.checkpoint import CHECKPOINT, read_position
from peft_lab.training.journal import now, take_number, writing
from peft_lab.training.weights import read_header

NAMES = re.compile(
    rf"{METRICS}|{WEIGHTS}|{LAST}|{CHECKPOINT}|{ARTIFACTS}/[a-z0-9][a-z0-9_-]{{0,80}}\.(json|safetensors)"
)
MOST_TEXT = 64 * 2**20
"""Bytes of a JSON file."""
AGAIN = "Copy it again from where it was taken"
OTHER = "A snapshot is made by %peft snapshot run-1"


def restore_snapshot(file: Path, runs: Path) -> Run:
    """Make a snapshot a new run in the folder of runs.

    Raises:
        RunProblem: the file is missing, damaged, of another kind or larger than the disk; nothing stays of it then.
    """
    file = file.expanduser()
    staged = runs / LOADING / uuid4().hex[:8]
    with writing(f"the folder of runs {runs.name}"), _opened(file) as archive:
        entries = _entries(archive, file)
        manifest = _manifest(archive, file)
        _must_agree(entries, manifest, file)
        record = _record(manifest, file)
        try:
            staged.mkdir(parents=True)
            _must_have_room(manifest, staged, file)
            for name, held in manifest.files.items():
                _extract(archive, entries[name], held, staged / name, file)
            _must_be_sound(staged, file)
            return Run(take_number(staged, runs, lambda path: {**record, "id": path.name}))
        finally:
            shutil.rmtree(staged, ignore_errors=True)
            with suppress(OSError):  # another kernel is loading
                (runs / LOADING).rmdir()


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; what goes wrong with reading it is one line."""
    if file.is_dir():
        raise RunProblem(f"{file.name} is a folder, not a snapshot", f"A saved adapter: %peft load {file.name}")
    if not file.is_file():
        raise RunProblem(f"there is no file {file.name}", OTHER)
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, UnicodeError) as error:
        raise RunProblem(f"{file.name} is damaged or no snapshot: {_said(error)}", AGAIN) from None


def _entries(archive: zipfile.ZipFile, file: Path) -> dict[str, zipfile.ZipInfo]:
    """What is in the archive by name, when all of it may be there."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.filename == SNAPSHOT and info.file_size > MOST_TEXT:
            raise RunProblem(f"{SNAPSHOT} in {file.name} is {bytes_(info.file_size)} large", AGAIN)
        if info.filename in entries:
            raise RunProblem(f"{file.name} holds {shorten(info.filename)} twice", AGAIN)
        entries[info.filename] = info
    if SNAPSHOT not in entries:
        raise RunProblem(f"{file.name} is no snapshot: it has no {SNAPSHOT}", OTHER)
    for name, info in entries.items():
        if name != SNAPSHOT and not NAMES.fullmatch(name):
            raise RunProblem(f"{file.name} holds {shorten(name)!r}, which no snapshot has", OTHER)
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
            raise RunProblem(f"{shorten(name)} in {file.name} is compressed or locked, as in no snapshot", OTHER)
    if sum(info.file_size for info in entries.values()) > file.stat().st_size:
        raise RunProblem(f"{file.name} says that it holds more than it can", AGAIN)
    return entries


def _manifest(archive: zipfile.ZipFile, file: Path) -> Snapshot:
    try:
        data = json.loads(archive.read(SNAPSHOT).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunProblem(f"{SNAPSHOT} in {file.name} is damaged: {_said(error)}", AGAIN) from None
    if not isinstance(data, Mapping):
        raise RunProblem(f"{SNAPSHOT} in {file.name} is damaged: it holds no record", AGAIN)
    if isinstance(data.get("format"), int) and data["format"] > FORMAT:
        newer = f"its format is {data['format']}, this one reads {FORMAT}"
        raise RunProblem(f"{file.name} was taken by a newer peft_lab: {newer}", "pip install --upgrade peft-lab")
    try:
        return checked(Snapshot, data, SNAPSHOT)
    except BadOption as error:
        raise RunProblem(f"{SNAPSHOT} in {file.name} is damaged: {shorten(error.message, 160)}", AGAIN) from None


def _must_agree(entries: Mapping[str, zipfile.ZipInfo], manifest: Snapshot, file: Path) -> None:
    there, wanted = set(entries) - {SNAPSHOT}, set(manifest.files)
    if differing := sorted(there ^ wanted):
        word = "lacks" if differing[0] in wanted else "holds the unexpected"
        raise RunProblem(f"{file.name} {word} {shorten(differing[0])}", AGAIN)
    if WEIGHTS not in wanted:
        raise RunProblem(f"{file.name} holds no {WEIGHTS}", OTHER)
    for name, held in manifest.files.items():
        if entries[name].file_size != held.size:
            raise _changed(name, file)
        if not name.endswith(".safetensors") and held.size > MOST_TEXT:
            raise RunProblem(f"{name} in {file.name} is {bytes_(held.size)} large", AGAIN)


def _record(manifest: Snapshot, file: Path) -> dict[str, Any]:
    """The record of the new run, but for its name."""
    record = {name: manifest.run[name] for name in TAKEN if name in manifest.run}
    if fault := fault_of(record):
        raise RunProblem(f"the record in {file.name} is damaged: {shorten(fault, 160)}", AGAIN)
    if record["status"] not in AT_REST:
        raise RunProblem(f"the record in {file.name} is damaged: it says {record['status']}", AGAIN)
    before = shorten(str(record.get("id", "a run")))
    said = f"Restored from {file.name}: {before} as it was at step {manifest.step:,}, taken {shorten(manifest.taken)}"
    origin = {"snapshot": file.name, "run": before, "step": manifest.step, "taken": manifest.taken, "restored": now()}
    return record | {
        "format": RUN_FORMAT,
        "error": None,
        "notes": [said, *record.get("notes", ())],
        "origin": origin,
    }


def _must_have_room(manifest: Snapshot, folder: Path, file: Path) -> None:
    needed, free = sum(held.size for held in manifest.files.values()), shutil.disk_usage(folder).free
    if needed > free:
        raise RunProblem(f"{file.name} needs {bytes_(needed)}, and {bytes_(free)} of disk are free", "Make room")


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, held: Held, to: Path, file: Path) -> None:
    """Write one file of the archive, and see that it is what was put in."""
    to.parent.mkdir(exist_ok=True)
    digest, left = hashlib.sha256(), held.size
    with archive.open(info) as reading, to.open("wb") as writing_to:
        while block := reading.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise _changed(info.filename, file)
            digest.update(block)
            writing_to.write(block)
    if left or digest.hexdigest() != held.sha256:
        raise _changed(info.filename, file)


def _must_be_sound(staged: Path, file: Path) -> None:
    """Every file of tensors must be one, and a checkpoint must say where it stands."""
    try:
        for tensors in staged.rglob("*.safetensors"):
            read_header(tensors)
        if (staged / CHECKPOINT).is_file():
            read_position(staged / CHECKPOINT)
    except RunProblem as error:
        said = error.message.replace(f"{staged}/", "")
        raise RunProblem(f"{file.name} cannot be used: {shorten(said, 160)}", AGAIN) from None


def _changed(name: str, file: Path) -> RunProblem:
    return RunProblem(f"{shorten(name)} in {file.name} is not what was put in: it is damaged or was changed", AGAIN)


def _said(error: BaseException) -> str:
    return shorten(" ".join(str(error).split()) or type(error).__name__, 120)
