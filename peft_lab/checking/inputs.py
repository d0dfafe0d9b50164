"""What a run depends on, as it is now: data, base model, code, packages.

A file that was not touched since a run began is not read again for it. The time of the last change of the file's entry
on disk counts as well as that of its content: a copy that kept its old date is noticed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import PeftLabError, UnknownName
from peft_lab.present.style import bytes_
from peft_lab.run import Run
from peft_lab.sources.inspection import KINDS
from peft_lab.texts import checks as texts

if TYPE_CHECKING:
    from peft_lab.host import Host

CARVING = (
    "limit",
    "validation_share",
    "validation_most",
    "validation_limit",
    "test_share",
    "split_seed",
    "subset_seed",
)
"""Of a declaration of data, what makes no difference to its fingerprint."""
HASHED = 1_000_000_000
"""Bytes of a base model up to which it is hashed and not only asked when it was written: a second or two."""
TOLD = 64_000_000
"""Bytes of data from which it is said that they are read, before."""


@dataclass
class Compared:
    """What is not as it was when a run began, and what could not be told; each in a few words."""

    changed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class Inputs:
    """Compares runs with what is there now.

    Args:
        known: fingerprints of data found before, by how the data is named, with the state of the files; added to.
    """

    def __init__(self, host: Host, known: dict[str, tuple[Any, str]]) -> None:
        self.host, self.known = host, known
        self.read: list[str] = []
        """Files that had to be read."""
        self._done: dict[Path, Compared] = {}

    def compare(self, run: Run) -> Compared:
        """What is not as it was."""
        if run.path not in self._done:
            found = self._done[run.path] = Compared()
            then = run.record.get("fingerprints") or {}
            for part in (self._data, self._model, self._code):
                part(run, then, found)
            self._packages(run, found)
        return self._done[run.path]

    # --- data ---------------------------------------------------------------------------------------------------------

    def _data(self, run: Run, then: dict[str, str], found: Compared) -> None:
        if not then.get("data"):
            return
        try:
            files = self._files(run)
        except (PeftLabError, OSError) as error:
            found.changed.append(texts.DATA_TROUBLE.format(why=_said(error)))
            return
        if files is None:
            found.unknown.append(texts.DATA_ON_HUB)
            return
        gone = [file.name for file in files if not file.exists()]
        if gone:
            found.changed.append(texts.DATA_GONE.format(files=", ".join(gone)))
            return
        try:
            now = self._fingerprint(run, files, then["data"])
        except PeftLabError as error:
            found.changed.append(texts.DATA_TROUBLE.format(why=error.message))
            return
        if now != then["data"]:
            touched = [
                texts.FILE_TOUCHED.format(file=file.name, time=_clock(_touched(file)))
                for file in files
                if not _older(file, run)
            ]
            found.changed.append(texts.DATA_CHANGED.format(files=", ".join(touched) or run.recipe.data.source))

    def _files(self, run: Run) -> list[Path] | None:
        """The files and folders that its data comes from; empty for rows that a plugin holds, None for the hub."""
        spec = run.recipe.data
        files: list[Path] = []
        source = Path(spec.source).expanduser()
        if spec.source in self.host.offers("datasets"):
            found = self.host.find("datasets", spec.source)
            with self.host.asking("datasets", spec.source, "splits"):
                splits = found.splits()
                files += [rows for rows in splits.values() if isinstance(rows, Path)]
            if len(files) < len(splits):
                return []
        elif source.is_dir():
            # The folder itself tells of files that came or went.
            files += [source, *sorted(file for file in source.iterdir() if file.suffix.lower() in KINDS)]
        elif source.exists() or source.suffix:
            files.append(source)
        else:
            return None
        return files + [Path(named).expanduser() for named in (spec.validation, spec.test) if named]

    def _fingerprint(self, run: Run, files: list[Path], then: str) -> str:
        from peft_lab.sources.datasets import load_data

        spec = run.recipe.data
        key = spec.model_dump_json(exclude=set(CARVING))
        state = [
            (str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns, file.stat().st_ctime_ns)
            for file in files
        ]
        if files and key in self.known and self.known[key][0] == state:
            return self.known[key][1]
        if files and all(_older(file, run) for file in files):
            now = then
        else:
            tables = [file for file in files if file.is_file()]
            size = sum(file.stat().st_size for file in tables)
            if size >= TOLD:
                sys.stderr.write(f"peft_lab: reading {_names(tables)} ({bytes_(size)}), written since {run.id} began\n")
            now = load_data(spec, self.host).fingerprint
            self.read += [f"{file.name} ({bytes_(file.stat().st_size)})" for file in tables]
        self.known[key] = state, now
        return now

    # --- the rest -----------------------------------------------------------------------------------------------------

    def _model(self, run: Run, then: dict[str, str], found: Compared) -> None:
        from peft_lab.sources.models import find_model

        name = run.recipe.model
        if not then.get("model"):
            return
        try:
            folder = self._folder(name)
            if folder is None:
                now = _commit(name)
            else:
                files = sorted(folder.glob("*.safetensors"))
                size = sum(file.stat().st_size for file in files)
                if files and size > HASHED and all(_older(file, run) for file in files):
                    return
                now = find_model(name, self.host).fingerprint
        except (PeftLabError, OSError) as error:
            found.changed.append(texts.MODEL_TROUBLE.format(why=_said(error)))
            return
        if not now:
            found.unknown.append(texts.MODEL_ON_HUB)
        elif now != then["model"]:
            found.changed.append(texts.MODEL_CHANGED.format(name=name))

    def _folder(self, name: str) -> Path | None:
        """Where a base model is on this machine; None for one of the hub."""
        if name in self.host.offers("models"):
            found = self.host.find("models", name)
            with self.host.asking("models", name, "folder"):
                folder: Path = found.folder()
            return folder
        path = Path(name).expanduser()
        on_hub = name.count("/") < 2 and not path.is_absolute() and not name.startswith((".", "~"))
        return None if on_hub and not path.is_dir() else path

    def _code(self, run: Run, then: dict[str, str], found: Compared) -> None:
        from peft_lab.training.fingerprints import code_fingerprint

        if not then.get("code"):
            return
        try:
            methods = [self.host.find("methods", spec.name) for spec in run.recipe.methods]
        except UnknownName as error:
            found.changed.append(texts.CODE_TROUBLE.format(why=error.message))
            return
        if code_fingerprint(methods) != then["code"]:
            found.changed.append(texts.CODE_CHANGED.format(method=run.recipe.method))

    def _packages(self, run: Run, found: Compared) -> None:
        from peft_lab.training.fingerprints import differences
        from peft_lab.training.journal import versions

        found.changed += differences({"versions": run.record.get("versions") or {}}, {"versions": versions()})


def _commit(name: str) -> str:
    """The commit of a hub model that is on this machine; empty where there is none. Nothing is asked of the hub."""
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(name, "config.json")
    return Path(file).parent.name if isinstance(file, str) else ""


def _touched(file: Path) -> float:
    status = file.stat()
    return max(status.st_mtime, status.st_ctime)


def _older(file: Path, run: Run) -> bool:
    """Whether a file was last touched before a run began, whose record counts whole seconds."""
    return _touched(file) < datetime.fromisoformat(run.record["started"]).timestamp()


def _clock(seconds: float) -> str:
    """A moment as people here say it: the time of today, else the date as well."""
    moment, today = datetime.fromtimestamp(seconds, UTC).astimezone(), datetime.now(UTC).astimezone()
    return f"{moment:%H:%M}" if moment.date() == today.date() else f"{moment:%Y-%m-%d %H:%M}"


def _names(files: Iterable[Path]) -> str:
    return ", ".join(file.name for file in files)


def _said(error: Exception) -> str:
    return error.message if isinstance(error, PeftLabError) else " ".join(str(error).split())
