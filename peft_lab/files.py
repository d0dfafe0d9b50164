"""Files: written so that nobody sees half of one, and known again by their content."""

from __future__ import annotations

import hashlib
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
