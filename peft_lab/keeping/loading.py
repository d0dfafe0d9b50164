"""A saved folder, checked, made a run of this bench."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from peft_lab.errors import ModelProblem, RunProblem
from peft_lab.files import sha256_of
from peft_lab.keeping.manifest import MANIFEST, Manifest, check_files, read_manifest
from peft_lab.keeping.unpacking import unpack
from peft_lab.run import WEIGHTS, Run, readable_runs
from peft_lab.training.journal import now, take_number
from peft_lab.training.restore import restore, untrained
from peft_lab.training.sameness import must_be_offered
from peft_lab.training.sample_texts import compare_sample, on_pairs, outputs_digest, sample_rows

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.training.restore import Restored

LOADING = ".loading"


@dataclass(frozen=True)
class Loaded:
    """A run that was checked and can answer."""

    run: Run
    restored: Restored
    difference: float | None
    """Between its answers now and those on record; None where none are."""
    outputs: str
    """Digest of its answers to the sample texts."""
    base: str
    """The same of the base model before the adapter was put on it, under an untrained head."""
    source: str = ""
    """The folder it was loaded from, or empty for a run of this bench."""


def load_run(run: Run, host: Host) -> Loaded:
    """Check a run of this bench and build its model.

    Raises:
        RunProblem: something it was trained with is missing or another one, or its answers are not those on record.
    """
    must_be_offered(run, host)
    rows = sample_rows(on_pairs(run))
    base = outputs_digest(untrained(run, host).outputs(rows))
    restored = restore(run, host)
    sample = run.record.get("sample")
    difference = compare_sample(restored, sample, run.id) if sample else None
    source = run.record.get("origin", {}).get("folder", "")
    return Loaded(run, restored, difference, outputs_digest(restored.outputs(rows)), base, source)


def load_folder(folder: Path, runs: Path, host: Host, model: str | None = None) -> Loaded:
    """Check a saved folder and make it a run; loading the same folder again finds the run it became.

    Args:
        runs: the folder of runs.
        model: where the base model is on this machine, if not under the name it was trained by.

    Raises:
        RunProblem: the folder is damaged or of another kind, or as :func:`load_run`.
    """
    manifest = read_manifest(folder)
    if manifest.kind == "merged":
        raise RunProblem(
            f"{folder.name} is a merged model, not an adapter", f"Use it as a base model: %peft model {folder}"
        )
    check_files(folder, manifest)
    identity = sha256_of(folder / MANIFEST)
    for run in readable_runs(runs):
        same = run.record.get("origin", {}).get("sha256") == identity
        if same and model in (None, run.recipe.model) and (run.path / WEIGHTS).is_file():
            return load_run(run, host)
    origin = {"folder": str(folder), "run": manifest.run["id"], "saved": manifest.saved, "loaded": now()}
    return _made_a_run(folder, manifest, runs, host, model, {**origin, "sha256": identity})


def _made_a_run(
    folder: Path, manifest: Manifest, runs: Path, host: Host, model: str | None, origin: dict[str, str]
) -> Loaded:
    # Checked out of sight first, so that a refused folder leaves no run behind.
    staged = runs / LOADING / uuid4().hex[:8] / folder.name
    try:
        checked = load_run(unpack(folder, manifest, staged, model=model, origin=origin), host)
        path = take_number(staged, runs, lambda path: {**checked.run.record, "id": path.name})
    except ModelProblem as error:
        hint = f"Say where its base model is here: %peft load {folder.name} --model FOLDER"
        raise RunProblem(f"{folder.name}: {error.message}", hint) from error
    except OSError as error:
        raise RunProblem(
            f"{folder.name} cannot be made a run: {error.strerror or error}", "See the folder of runs"
        ) from (error)
    finally:
        shutil.rmtree(staged.parent, ignore_errors=True)
        with suppress(OSError):  # another kernel is loading
            (runs / LOADING).rmdir()
    return Loaded(Run(path), checked.restored, checked.difference, checked.outputs, checked.base, str(folder))
