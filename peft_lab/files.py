"""Files: written so that nobody sees half of one, and known again by their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Write to the path that this gives: when the block ends it takes the place of ``file``, unless there was an error.

    A reader sees the old content or the new, never half of it.
    """
    unfinished = file.with_suffix(".tmp")
    try:
        yield unfinished
        unfinished.replace(file)
    finally:
        with suppress(OSError):  # the folder is gone, say: that has been said
            unfinished.unlink(missing_ok=True)


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def from_here(path: Path) -> str:
    """A path as it is from the present folder, where that is shorter."""
    try:
        return min(os.path.relpath(path), str(path), key=len)
    except (OSError, ValueError):  # another drive, or no present folder
        return str(path)
