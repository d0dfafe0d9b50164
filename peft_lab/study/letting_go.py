"""Whose weights stay on disk: what a study was asked to keep, and never what a run needs to go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from peft_lab.rows import FINISHED, Row
from peft_lab.run import LAST, RUN_JSON, WEIGHTS, Run
from peft_lab.study import texts
from peft_lab.study.outcome import best

SMALL = 16 * 2**20
"""Bytes of weights that are always small enough to be kept."""
SHARE = 0.1
"""Of the base model's bytes, what weights may take to count as an adapter's, however large."""
FLOAT = 4


def keeps_at_once(keep: str, cost: Mapping[str, Any]) -> bool:
    """Whether the weights of a run that has just finished are to stay."""
    if keep != "auto":
        return keep in ("all", "best")
    size = cost.get("bytes_on_disk") or 0
    return size <= max(SMALL, SHARE * FLOAT * (cost.get("total") or 0))


def keep_best(rows: Sequence[Row], others: Iterable[Row]) -> None:
    """Keep, of each method on each number of examples and budget, the weights of the best seed on validation alone.

    Args:
        rows: those that count.
        others: all cells, those among them whose learning rate lost.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row.status == FINISHED:
            groups.setdefault((row.method, row.asked, row.budget), []).append(row)
    kept = {best(group).path for group in groups.values()}
    for row in (*rows, *others):
        if row.status == FINISHED and row.path not in kept:
            let_go(Path(row.path))


def let_go(folder: Path) -> None:
    """Take the weights of a finished run away, and have its record say so."""
    from peft_lab.training.journal import write_json

    run = Run(folder)
    if run.status != FINISHED or run.active:
        return
    there = [file for name in (WEIGHTS, LAST) if (file := folder / name).is_file()]
    if not there:
        return
    notes = list(run.record.get("notes", []))
    with suppress(OSError):  # what cannot be taken away stays, and costs room only
        if texts.WEIGHTS_GONE not in notes:  # first: weights that are gone must not be missed without a word
            write_json(folder / RUN_JSON, {**run.record, "notes": [*notes, texts.WEIGHTS_GONE]})
        for file in there:
            file.unlink()
