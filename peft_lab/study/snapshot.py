"""A study in progress as plain data for a display: how far it is, what runs, and a small table of what is known."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from peft_lab.rows import FAILED, FINISHED, RUNNING, Row
from peft_lab.study.progress import StudyProgress
from peft_lab.texts import studies as texts

MOST_COLUMNS, MOST_RUNNING = 8, 4


def snapshot(progress: StudyProgress) -> dict[str, Any]:
    """Where a study is now."""
    rows = progress.rows()
    columns = list(dict.fromkeys((row.asked, row.budget) for row in rows if row.examples))
    budgets = {budget for _, budget in columns}
    return {
        "name": progress.study.name if progress.study is not None else "",
        "phase": progress.phase,
        "done": progress.done,
        "failed": progress.failed,
        "all": len(progress.cells),
        "seconds": progress.seconds,
        "left_seconds": progress.left_seconds,
        "columns": [column_name(*column, several=len(budgets) > 1) for column in columns[:MOST_COLUMNS]],
        "more_columns": max(0, len(columns) - MOST_COLUMNS),
        "lines": [
            (method, [_told(_at(rows, method, *column)) for column in columns[:MOST_COLUMNS]])
            for method in dict.fromkeys(row.method for row in rows)
        ],
        "headline": next((row.headline for row in rows if row.headline), ""),
        "running": [_running(cell, state) for cell, state in progress.running()[:MOST_RUNNING]],
    }


def column_name(asked: str, budget: float | None, *, several: bool) -> str:
    """The head of a column: how many examples, and in how much time."""
    from peft_lab.present.style import seconds

    if several or budget:
        return texts.EXAMPLES_WITHIN.format(asked=asked, budget=seconds(budget) if budget else texts.NO_BUDGET)
    return texts.EXAMPLES.format(asked=asked)


def _at(rows: Sequence[Row], method: str, asked: str, budget: float | None) -> list[Row]:
    own = [row for row in rows if row.method == method]
    if all(not row.examples for row in own):  # a baseline that no examples change
        return own
    return [row for row in own if (row.asked, row.budget) == (asked, budget)]


def _told(rows: Sequence[Row]) -> str:
    """What is known of the seeds of one method on one number of examples."""
    from peft_lab.present.style import score

    scores = [row.test[row.headline] for row in rows if row.status == FINISHED and row.headline in row.test]
    failed, running = (sum(row.status == status for row in rows) for status in (FAILED, RUNNING))
    parts = [score(mean(scores))] if scores else []
    if scores and len(scores) < len(rows):
        parts.append(texts.SOME_SEEDS.format(done=len(scores), all=len(rows)))
    if failed:
        parts.append(texts.SEEDS_FAILED.format(count=failed))
    if running:
        parts.append(texts.SEEDS_RUNNING)
    return ", ".join(parts) or "·"


def _running(cell: Any, state: Any) -> str:
    about = {"method": cell["method"], "asked": cell["asked"], "seed": cell["seed"]}
    if cell["tried"]:
        what = texts.RUNNING_CELL_RATE.format(**about, rate=f"{cell['learning_rate']:.2g}")
    else:
        what = texts.RUNNING_CELL.format(**about)
    steps = str(state.get("phase") or "")
    if state.get("steps"):
        steps = texts.RUNNING_STEP.format(step=f"{state['step']:,}", steps=f"{state['steps']:,}")
    return texts.RUNNING_AT.format(cell=what, at=steps) if steps else what
