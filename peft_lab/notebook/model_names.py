"""Names of the modules of a base model, read from the head of its safetensors files: no weights, no torch."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peft_lab.host import Host

WEIGHTS = "*.safetensors"
LARGEST_HEAD = 100 * 2**20  # the format's own limit


def modules_of(name: str, host: Host) -> list[str]:
    """Ends of names of linear layers, as options that choose layers take them; none where the model is not here.

    The last part comes first (``query``), then the path within a layer (``attention.self.query``).
    """
    folder = folder_of(name, host)
    if folder is None:
        return []
    paths: dict[str, None] = {}
    for file in sorted(folder.glob(WEIGHTS)):
        stat = file.stat()
        paths |= dict.fromkeys(_paths_in_layers(file, stat.st_size, stat.st_mtime_ns))
    short = dict.fromkeys(path.rpartition(".")[2] for path in paths)
    return [*short, *(path for path in paths if path not in short)]


def folder_of(name: str, host: Host) -> Path | None:
    """Where the files of a model are on this machine."""
    offered = host.offers("models")
    try:
        if name in offered:
            return offered[name].item.folder()
        path = Path(name).expanduser()
        return path if path.is_dir() else _in_hub_cache(name)
    except (OSError, RuntimeError, ValueError):  # its package is not installed, no home folder, no such name
        return None


def _in_hub_cache(name: str) -> Path | None:
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        return None
    from huggingface_hub import try_to_load_from_cache

    for file in ("model.safetensors", "model.safetensors.index.json"):
        found = try_to_load_from_cache(name, file)
        if isinstance(found, str):
            return Path(found).parent
    return None


@lru_cache(maxsize=64)
def _paths_in_layers(file: Path, size: int, changed: int) -> tuple[str, ...]:
    """Paths within a numbered layer of all matrices of a file; read again when the file has changed."""
    return tuple(
        dict.fromkeys(
            found[1]
            for name, shape in _tensors(file)
            if len(shape) == 2 and (found := re.fullmatch(r"(?:.*\.)?\d+\.(\D.*)\.weight", name))
        )
    )


def _tensors(file: Path) -> Iterator[tuple[str, list[int]]]:
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > LARGEST_HEAD:
            return
        head = json.loads(stream.read(length))
    for name, about in head.items():
        if name != "__metadata__":
            yield name, about["shape"]
