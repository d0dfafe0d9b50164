"""Files: written so that nobody sees half of one, and known again by their content."""

from __future__ import annotations

import hashlib
import os
import sys
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


def cache_folder() -> Path:
    """Where what can be made again is kept between sessions: ``PEFT_LAB_CACHE``, or ``peft-lab`` where the system has
    its caches. It may not be there yet.
    """
    own = os.environ.get("PEFT_LAB_CACHE")
    if own:
        return Path(own).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "peft-lab" / "cache"
    wanted = os.environ.get("XDG_CACHE_HOME")
    usual = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    # The standard says that a relative path there is to be ignored.
    return (Path(wanted) if wanted and Path(wanted).is_absolute() else usual) / "peft-lab"
