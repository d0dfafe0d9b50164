"""Differences found before, kept on this machine by what decides them."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

ARRAYS = ("ends", "ld", "before")
Kept = tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Any]]


def folder() -> Path:
    """Where they are kept: in ``PEFT_LAB_CACHE``, else where the system has its caches."""
    if own := os.environ.get("PEFT_LAB_CACHE"):
        return Path(own).expanduser() / "roles"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "peft-lab" / "cache" / "roles"
    wanted = Path(os.environ.get("XDG_CACHE_HOME") or "")
    usual = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return (wanted if wanted.is_absolute() else usual) / "peft-lab" / "roles"


def load(key: str) -> Kept | None:
    """Arrays, the tuned change and the summary; None where there are none, or they cannot be read."""
    from safetensors import safe_open

    file = folder() / f"{key}.safetensors"
    try:
        with safe_open(file, framework="numpy") as stored:
            summary = json.loads((stored.metadata() or {})["summary"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (no mapping)
        arrays = {name: tensors.pop(name) for name in ARRAYS}
    except Exception:  # missing, half written by a crash of the machine, or damaged: they are found again
        return None
    return (arrays, tensors, summary) if isinstance(summary, dict) else None


def save(key: str, arrays: dict[str, np.ndarray], change: dict[str, np.ndarray], summary: dict[str, Any]) -> None:
    """Keep them; where they cannot be written they are found again next time."""
    from safetensors.numpy import save_file

    file = folder() / f"{key}.safetensors"
    unfinished = file.with_name(f"{key}.{os.getpid()}.tmp")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: np.ascontiguousarray(values) for name, values in {**arrays, **change}.items()}
        try:
            save_file(tensors, unfinished, metadata={"summary": json.dumps(summary)})
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
