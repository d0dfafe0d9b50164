"""Files and folders as bytes that travel between machines: known by their content, written whole where they arrive."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path

from peft_lab.files import sha256_of

Stamp = tuple[tuple[str, int, int], ...]


def pack(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> bytes:
    """A file or a folder as one tar, not compressed: weights do not get smaller.

    Args:
        wanted: by its name in the folder, whether a file comes along.
    """
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as parcel:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                name = file.relative_to(path).as_posix()
                if file.is_file() and wanted(name):
                    parcel.add(file.resolve(), f"it/{name}")
        else:
            parcel.add(path.resolve(), "it")
    return made.getvalue()


def unpack(parcel: bytes, place: Path) -> None:
    """Write a file or folder whole: whoever looks sees what was there before, or all of the new.

    Raises:
        OSError: there is no room, or it may not be written to.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".new-{uuid.uuid4().hex}")
    draft.mkdir()
    try:
        with tarfile.open(fileobj=io.BytesIO(parcel)) as packed:
            packed.extractall(draft, filter="data")
        if place.is_dir():  # a folder that is not empty is never replaced by a rename
            place.rename(draft / "before")
        (draft / "it").replace(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files; worked out once until something changes."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found = [(file, file.stat()) for file in files]
    stamp = tuple((file.relative_to(path).as_posix(), s.st_size, s.st_mtime_ns) for file, s in found)
    return _digest(path, stamp)


@cache
def _digest(path: Path, stamp: Stamp) -> str:
    if not path.is_dir():
        return sha256_of(path)
    listed = "".join(f"{sha256_of(path / name)}  {name}\n" for name, _, _ in stamp)
    return hashlib.sha256(listed.encode()).hexdigest()
