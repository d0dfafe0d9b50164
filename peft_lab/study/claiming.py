"""One process at a time: locks that the system gives back when their owner dies, however it dies."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PATIENCE = 0.25
"""Seconds after which a lock that is held is somebody's: who only looks at one holds it for much less."""


@contextmanager
def claimed(file: Path, patience: float = PATIENCE) -> Iterator[bool]:
    """Hold a lock inside the block; false where somebody else holds it, in this process or another.

    The file stays: taking it away would let two hold locks of one name.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience
    with file.open("a+b") as stream:
        while not (mine := _lock(stream)) and time.monotonic() < until:
            time.sleep(0.01)
        try:
            yield mine
        finally:
            if mine:
                _unlock(stream)


def is_claimed(file: Path) -> bool:
    """Whether somebody holds a lock."""
    if not file.is_file():
        return False
    with claimed(file, patience=0.0) as mine:
        return not mine


if sys.platform == "win32":
    import msvcrt

    def _lock(stream: IO[bytes]) -> bool:
        stream.seek(0)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(stream: IO[bytes]) -> None:
        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(stream: IO[bytes]) -> bool:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(stream: IO[bytes]) -> None:
        fcntl.flock(stream, fcntl.LOCK_UN)
