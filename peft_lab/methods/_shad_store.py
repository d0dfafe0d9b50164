"""Differences found before, kept on this machine by what decides them."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pluggy_specs.cache import cache_folder

ARRAYS = ("ends", "ld", "before")
Kept = tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Any]]


def folder() -> Path:
    """Where they are kept."""
    return cache_folder() / "roles"


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
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    file = folder() / f"{key}.safetensors"
    unfinished = file.with_name(f"{key}.{os.getpid()}.tmp")
    with suppress(OSError, SafetensorError):  # a full disk is the second
        file.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: np.ascontiguousarray(values) for name, values in {**arrays, **change}.items()}
        try:
            save_file(tensors, unfinished, metadata={"summary": json.dumps(summary)})
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
