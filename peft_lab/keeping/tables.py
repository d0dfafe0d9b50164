"""What keeping operations show when they are done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.present import style
from peft_lab.present.table import Table
from peft_lab.run import ARTIFACTS
from peft_lab.texts import cards
from peft_lab.texts import keeping as texts

if TYPE_CHECKING:
    from peft_lab.keeping.loading import Loaded
    from peft_lab.keeping.merging import Merged
    from peft_lab.keeping.rolling_back import RolledBack
    from peft_lab.keeping.saving import Saved
    from peft_lab.keeping.snapshots import Taken
    from peft_lab.run import Run


def saved(result: Saved) -> Table:
    """Of ``save``."""
    manifest, name = result.manifest, result.folder.name
    ours = texts.OPENED_BY_US_ONLY if manifest.why_not_peft else texts.OPENED_BY_US
    opens = texts.OPENED_BY_PEFT if manifest.layout == "peft" else ours.format(why=manifest.why_not_peft)
    rows = [
        [texts.FOLDER, str(result.folder)],
        [texts.SIZE, style.bytes_(result.size)],
        [texts.OPENED_BY, opens],
        [texts.LOADED_AGAIN, texts.INTO_FRESH.format(apart=_apart(result.difference))],
    ]
    if result.peft_difference is not None:
        rows.append([texts.BY_PEFT, texts.IN_FP32.format(apart=_apart(result.peft_difference))])
    title, note = texts.SAVED.format(run=manifest.run["id"]), texts.SAVED_NOTE.format(name=name)
    return Table(title, texts.COLUMNS, rows, note=note)


def loaded(result: Loaded) -> Table:
    """Of ``load``."""
    run, prints = result.run, result.run.record["fingerprints"]
    compared = texts.NOTHING_TO_COMPARE if result.difference is None else _apart(result.difference)
    rows = [
        [texts.IN_USE, _named(run)],
        [texts.FROM, result.source or texts.THIS_FOLDER],
        [texts.BASE_MODEL, texts.SAME_MODEL.format(fingerprint=(prints.get("model") or texts.UNKNOWN)[:12])],
        [texts.TOKENIZER, texts.SAME if prints.get("tokenizer") else texts.NO_FINGERPRINT],
        [texts.ANSWERS, compared],
        [texts.SCORE, _score(run)],
    ]
    return Table(texts.LOADED.format(run=run.id), texts.COLUMNS, rows, note=texts.LOADED_NOTE)


def rolled_back(result: RolledBack) -> Table:
    """Of ``rollback``."""
    run = result.now
    gone = result.gone.run
    rows = [[texts.OUT_OF_USE, gone], [texts.IN_USE, _named(run) if run else texts.BASE_AS_IT_WAS]]
    rows.append([texts.PROOF, result.proof])
    note = texts.ROLLED_BACK_TO_RUN if run else texts.ROLLED_BACK_NOTE
    return Table(texts.ROLLED_BACK.format(run=gone), texts.COLUMNS, rows, note=note.format(run=gone))


def merged(result: Merged, run: Run) -> Table:
    """Of ``merge``."""
    rows = [
        [texts.FOLDER, str(result.folder)],
        [texts.SIZE, style.bytes_(result.size)],
        [texts.OPENED_BY, texts.OPENED_BY_TRANSFORMERS.format(auto_class=result.auto_class)],
        [texts.AGAINST_RUN, texts.BY_TRANSFORMERS.format(apart=_apart(result.difference))],
    ]
    if result.precision != "fp32":
        against = texts.AGAINST_PRECISION.format(precision=result.precision)
        rows.append([against, texts.AS_TRAINED.format(apart=_apart(result.own_difference))])
    title, note = texts.MERGED.format(run=run.id), texts.MERGED_NOTE.format(name=result.folder.name)
    return Table(title, texts.COLUMNS, rows, note=note)


def taken(result: Taken) -> Table:
    """Of ``snapshot``."""
    manifest, name = result.manifest, result.file.name
    steps = manifest.run.get("steps", {})
    step = texts.STEP_OF if steps.get("planned") else texts.STEP
    others = len({Path(file).stem for file in manifest.files if file.startswith(ARTIFACTS)})
    rows = [
        [texts.FILE, str(result.file)],
        [texts.SIZE, style.bytes_(result.size)],
        [texts.AT_STEP, step.format(step=f"{manifest.step:,}", planned=f"{steps.get('planned') or 0:,}")],
        [texts.HOLDS, texts.HELD.format(others)],
        [texts.TO_GO_ON, texts.RESUME if result.goes_on else texts.BEGIN_FROM],
    ]
    title, note = texts.SNAPSHOT.format(run=manifest.run["id"]), texts.SNAPSHOT_NOTE.format(name=name)
    return Table(title, texts.COLUMNS, rows, note=note)


def _named(run: Run) -> str:
    return texts.METHOD_ON_MODEL.format(run=run.id, method=run.recipe.method, model=run.recipe.model)


def _apart(difference: float) -> str:
    return texts.SAME_LOGITS if difference == 0 else texts.OTHER_LOGITS.format(difference=f"{difference:.1e}")


def _score(run: Run) -> str:
    for split in ("test", "validation"):
        value = run.metrics.get(split, {}).get(run.headline)
        if value is not None:
            metric = {"metric": style.words(run.headline), "value": style.score(value)}
            return texts.SCORE_THEN.format(**metric, split=cards.SPLITS[split])
    return style.DASH
