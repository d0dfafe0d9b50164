"""What came of a study, row by row, from its runs on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from peft_lab.rows import FAILED, FINISHED, RUNNING, STOPPED, WAITING, Row, StudyRows
from peft_lab.run import RUN_JSON, Run
from peft_lab.study import texts
from peft_lab.study.book import Study
from peft_lab.study.cells import error_of, is_at_work, status_of
from peft_lab.study.grid import by_slot, group_of

Cells = Sequence[Mapping[str, Any]]
Known = dict[str, Row]
"""Rows of cells that have ended, by address: what they say does not change any more."""


def rows_of(study: Study) -> StudyRows:
    """All rows of a study that count."""
    known: Known = {}
    rows = rows_of_cells(study.cells, study, known)
    return StudyRows(study.name, study.plan.plain(), rows)


def rows_of_cells(cells: Cells, study: Study, known: Known) -> tuple[Row, ...]:
    """A row for each slot of the grid; where learning rates are tried, that of the best one.

    Args:
        known: rows that were read before; those that have ended are added.
    """
    failed = failed_sweeps(cells, study, known)
    rows = []
    for slot, candidates in by_slot(cells).items():
        one = candidates[0]
        if not one["address"] and slot[:3] in failed:
            rows.append(replace(_empty(one, FAILED), error=texts.FAILED_SWEEP.format(error=failed[slot[:3]])))
        elif len(candidates) == 1:
            rows.append(row_of(one, study, known))
        else:
            rows.append(_of_candidates(candidates, study, known))
    return tuple(rows)


def row_of(cell: Mapping[str, Any], study: Study, known: Known) -> Row:
    """What came of one cell."""
    address = cell["address"]
    if not address:
        return _empty(cell, WAITING)
    if address not in known:
        row = _read(cell, study.folder_of(address), study.errors.get(address, ""))
        if row.status not in (FINISHED, FAILED):
            return row
        known[address] = row
    # Two cells of different names may come to one recipe, and so to one run.
    return replace(known[address], method=cell["method"], asked=cell["asked"], examples=cell["examples"])


def rate_of(candidates: Cells, study: Study, known: Known) -> tuple[float | None, str]:
    """The learning rate that came out best on validation, once all have ended; else None, with why where all failed."""
    rows = [row_of(cell, study, known) for cell in candidates]
    if any(row.status not in (FINISHED, FAILED) for row in rows):
        return None, ""
    finished = [row for row in rows if row.status == FINISHED]
    if not finished:
        return None, rows[0].error
    return best(finished).learning_rate, ""


def best(rows: Sequence[Row]) -> Row:
    """The row with the best validation score; of equal ones the first, whose rate is nearest to the method's own."""
    return max(rows, key=lambda row: row.validation.get(row.headline, float("-inf")))


def failed_sweeps(cells: Cells, study: Study, known: Known) -> dict[tuple[Any, ...], str]:
    """Groups none of whose learning rates came through, and why."""
    found = {}
    for group, candidates in tried(cells).items():
        if error := rate_of(candidates, study, known)[1]:
            found[group] = error
    return found


def tried(cells: Cells) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    """The cells that differ in their learning rate only, by group."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for cell in cells:
        if cell["tried"]:
            found.setdefault(group_of(cell), []).append(cell)
    return found


def _of_candidates(candidates: Cells, study: Study, known: Known) -> Row:
    rows = [row_of(cell, study, known) for cell in candidates]
    rates = tuple(sorted(float(cell["learning_rate"]) for cell in candidates))
    finished = [row for row in rows if row.status == FINISHED]
    if all(row.status in (FINISHED, FAILED) for row in rows):
        return replace(best(finished) if finished else rows[0], swept=rates)
    first = next((row for wanted in (RUNNING, STOPPED, WAITING) for row in rows if row.status == wanted), rows[0])
    begun = first.status != WAITING or not (finished or any(row.status == FAILED for row in rows))
    status = first.status if begun else STOPPED  # some rates were tried, others were not
    return replace(_empty(candidates[0], status), swept=rates)


def _read(cell: Mapping[str, Any], folder: Path, error: str) -> Row:
    if not (folder / RUN_JSON).is_file():
        return replace(_empty(cell, FAILED if error else WAITING), error=error)
    run = Run(folder)
    if trouble := run.trouble:
        return replace(_empty(cell, FAILED), error=f"{RUN_JSON}: {trouble}", path=str(folder))
    status = status_of(run)
    if status not in (FINISHED, FAILED):
        at_work = status == RUNNING or is_at_work(folder)
        status = RUNNING if at_work else FAILED if error else STOPPED
    steps = run.record.get("steps", {})
    return Row(
        method=cell["method"],
        examples=cell["examples"],
        asked=cell["asked"],
        budget=cell["budget"],
        seed=cell["seed"],
        status=status,
        headline=run.headline if run.metrics else "",
        test=dict(run.metrics.get("test", {})),
        validation=dict(run.metrics.get("validation", {})),
        learning_rate=cell["learning_rate"],
        cost=dict(run.cost),
        steps=(int(steps.get("done") or 0), int(steps["planned"])) if steps.get("planned") is not None else None,
        error=(error_of(run) or error) if status == FAILED else "",
        path=str(folder),
    )


def _empty(cell: Mapping[str, Any], status: str) -> Row:
    return Row(
        method=cell["method"],
        examples=cell["examples"],
        asked=cell["asked"],
        budget=cell["budget"],
        seed=cell["seed"],
        status=status,
        learning_rate=cell["learning_rate"] if not cell["tried"] else None,
    )
