"""From a saved folder to a run folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft_lab.keeping import peft_layout
from peft_lab.keeping.manifest import Manifest
from peft_lab.run import FORMAT, RUN_JSON, WEIGHTS, Run
from peft_lab.training.journal import write_json
from peft_lab.training.weights import write_tensors


def unpack(
    folder: Path, manifest: Manifest, to: Path, *, model: str | None = None, origin: Mapping[str, Any] | None = None
) -> Run:
    """Write a run folder with what a saved folder holds; it must not exist yet.

    Args:
        model: where the base model is on this machine, if not under the name it was trained by.
        origin: where the folder came from, kept in the run.

    Raises:
        RunProblem: a tensor file is damaged, or a key is missing or unexpected.
    """
    to.mkdir(parents=True)
    if manifest.layout == "peft":
        write_tensors(peft_layout.read(folder, manifest), to / WEIGHTS)
    else:
        shutil.copyfile(folder / WEIGHTS, to / WEIGHTS)
    record = dict(manifest.run)
    was = record.get("status")
    notes = list(record.get("notes", ()))
    if was != "finished":
        notes.append(f"it was {was} when it was saved")
    if model is not None:
        record["recipe"] = {**record["recipe"], "model": model}
    size = (to / WEIGHTS).stat().st_size
    record |= {
        "format": FORMAT,
        "id": to.name,
        "status": "finished",
        "error": None,
        "notes": notes,
        "cost": {**record.get("cost", {}), "bytes_on_disk": size},
        "offered_by": manifest.offered_by,
        "sample": manifest.sample.model_dump(mode="json"),
        "origin": dict(origin or {}),
    }
    write_json(to / RUN_JSON, record)
    return Run(to)
