"""What keeping operations show when they are done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.present import style
from peft_lab.present.table import Table
from peft_lab.run import ARTIFACTS

if TYPE_CHECKING:
    from peft_lab.keeping.loading import Loaded
    from peft_lab.keeping.merging import Merged
    from peft_lab.keeping.rolling_back import RolledBack
    from peft_lab.keeping.saving import Saved
    from peft_lab.keeping.snapshots import Taken
    from peft_lab.run import Run

COLUMNS = ("", "what")


def saved(result: Saved) -> Table:
    """Of ``save``."""
    manifest, name = result.manifest, result.folder.name
    ours = "peft_lab" + (f" only: {manifest.why_not_peft}" if manifest.why_not_peft else "")
    opens = "peft_lab, and PEFT's PeftModel.from_pretrained" if manifest.layout == "peft" else ours
    rows = [
        ["folder", str(result.folder)],
        ["size", style.bytes_(result.size)],
        ["opened by", opens],
        ["loaded again", f"into a fresh base model: {_apart(result.difference)}"],
    ]
    if result.peft_difference is not None:
        rows.append(["by PEFT", f"in fp32, into another: {_apart(result.peft_difference)}"])
    note = f"Move the folder where you like; there: %peft load {name}"
    return Table(f"{manifest.run['id']} is saved", COLUMNS, rows, note=note)


def loaded(result: Loaded) -> Table:
    """Of ``load``."""
    run = result.run
    compared = "nothing on record to compare with" if result.difference is None else _apart(result.difference)
    rows = [
        ["in use", f"{run.id}, {run.recipe.method} on {run.recipe.model}"],
        ["from", result.source or "this folder of runs"],
        ["base model", f"the same: {(run.record['fingerprints'].get('model') or 'unknown')[:12]}"],
        ["tokenizer", "the same" if run.record["fingerprints"].get("tokenizer") else "no fingerprint on record"],
        ["answers", compared],
        ["score", _score(run)],
    ]
    note = 'Ask it: %peft predict "..."   Take it out of use: %peft rollback'
    return Table(f"{run.id} is in use", COLUMNS, rows, note=note)


def rolled_back(result: RolledBack) -> Table:
    """Of ``rollback``."""
    run = result.now
    before = f"{run.id}, {run.recipe.method} on {run.recipe.model}" if run else "the base model"
    rows = [["out of use", result.gone.run], ["in use", before if run else f"nothing: {before} as it was"]]
    rows.append(["proof", result.proof])
    note = f'Ask it: %peft predict "..."   Still there: %peft load {result.gone.run}' if run else ""
    return Table(f"{result.gone.run} is out of use", COLUMNS, rows, note=note or f"Again: %peft load {result.gone.run}")


def merged(result: Merged, run: Run) -> Table:
    """Of ``merge``."""
    rows = [
        ["folder", str(result.folder)],
        ["size", style.bytes_(result.size)],
        ["opened by", f"transformers alone: {result.auto_class}.from_pretrained"],
        ["against the run", f"loaded by transformers, in fp32: {_apart(result.difference)}"],
    ]
    if result.precision != "fp32":
        rows.append([f"against {result.precision}", f"as the run was trained: {_apart(result.own_difference)}"])
    note = f"It is a base model like any other: %peft model {result.folder.name}"
    return Table(f"{run.id} is merged", COLUMNS, rows, note=note)


def taken(result: Taken) -> Table:
    """Of ``snapshot``."""
    manifest, name = result.manifest, result.file.name
    steps = manifest.run.get("steps", {})
    planned = f" of {steps['planned']:,}" if steps.get("planned") else ""
    others = len({Path(file).stem for file in manifest.files if file.startswith(ARTIFACTS)})
    onward = (
        "%peft resume, exactly as the run itself would" if result.goes_on else "%peft train --from it, in new steps"
    )
    rows = [
        ["file", str(result.file)],
        ["size", style.bytes_(result.size)],
        ["at step", f"{manifest.step:,}{planned}"],
        ["holds", f"trained tensors, metric points, record, {others} artifact{'' if others == 1 else 's'}"],
        ["to go on", onward],
    ]
    note = f"Hand the file on; there: %peft restore {name}. It holds those texts of the data that the views show"
    return Table(f"snapshot of {manifest.run['id']}", COLUMNS, rows, note=note)


def _apart(difference: float) -> str:
    return (
        "its logits are the same, bit for bit" if difference == 0 else f"its logits differ by {difference:.1e} at most"
    )


def _score(run: Run) -> str:
    for split in ("test", "validation"):
        value = run.metrics.get(split, {}).get(run.headline)
        if value is not None:
            return f"{style.words(run.headline)} {style.score(value)} on {split}, when it was trained"
    return style.DASH
