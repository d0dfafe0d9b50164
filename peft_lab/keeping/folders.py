"""A folder that appears whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from peft_lab.errors import RunProblem
from peft_lab.keeping.manifest import MANIFEST, README, read_manifest

HINTS = {
    errno.ENOSPC: "Make room on the disk, or choose a folder on another one",
    errno.EDQUOT: "Make room on the disk, or choose a folder on another one",
    errno.EFBIG: "Choose a folder where files may be as large",
}


@contextmanager
def new_folder(wanted: str | os.PathLike[str], kind: str, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside the wanted one; it takes that place when the block ends well.

    However the block fails, nothing half-written stays, and what was in that place before is there again.

    Args:
        kind: ``adapter`` or ``merged``: what may be replaced is of the same kind.
        replace: whether an earlier one may be.

    Raises:
        RunProblem: something else is in that place, or the system refuses to write.
    """
    folder = Path(wanted).expanduser().absolute()
    _must_be_free(folder, kind, replace)
    made: list[Path] = []
    staged = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.tmp")
    try:
        with _told(folder):
            made = _make_parents(folder.parent)
            staged.mkdir()
            yield staged
            _swap(staged, folder)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        for parent in made:
            with suppress(OSError):  # something else moved in meanwhile
                parent.rmdir()
        raise


def _must_be_free(folder: Path, kind: str, replace: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunProblem(f"{folder.name} is a file", "Name a folder that does not exist yet")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / MANIFEST).is_file():
        raise RunProblem(f"the folder {folder.name} holds other things", "Name a folder that does not exist yet")
    saved = read_manifest(folder)
    if saved.kind != kind:
        other = "a merged model" if saved.kind == "merged" else "a saved adapter"
        raise RunProblem(f"the folder {folder.name} holds {other}", "Name a folder that does not exist yet")
    if not replace:
        raise RunProblem(f"the folder {folder.name} holds {saved.run['id']} already", "Say --replace to write over it")
    known = {MANIFEST, README, *saved.files}
    strange = sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if not f.is_dir())
    if lost := [name for name in strange if name not in known]:
        raise RunProblem(f"{lost[0]} in the folder {folder.name} would be lost", "Move it, or name another folder")


def _make_parents(parent: Path) -> list[Path]:
    """Make missing folders; return them, innermost first."""
    missing = [p for p in (parent, *parent.parents) if not p.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    return missing


def _swap(staged: Path, folder: Path) -> None:
    if not folder.exists():
        staged.rename(folder)
        return
    before = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.old")
    folder.rename(before)
    try:
        staged.rename(folder)
    except BaseException:
        before.rename(folder)
        raise
    shutil.rmtree(before, ignore_errors=True)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn what the system says about writing into one line."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        hint = HINTS.get(getattr(error, "errno", None) or 0, "Choose a folder that can be written to")
        if "No space left" in said:
            hint = HINTS[errno.ENOSPC]
        raise RunProblem(f"the folder {folder.name} cannot be written: {said}", hint) from error
