"""Studies as they are shown: what is known of one, what one would take, which there are."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from peft_lab.errors import PeftLabError, RunProblem, UnknownName
from peft_lab.present import style
from peft_lab.present.stack import Stack
from peft_lab.present.table import Table
from peft_lab.rows import FAILED, FINISHED, STATUSES, Row, StudyRows
from peft_lab.run import Run
from peft_lab.study.book import Study, studies_in
from peft_lab.study.forecast import Forecast
from peft_lab.study.outcome import rows_of
from peft_lab.study.snapshot import column_name
from peft_lab.study.texts import HEADINGS, NO_BUDGET, STATUS_WORDS

if TYPE_CHECKING:
    from peft_lab.host import Host

MOST_ERRORS = 12
EVIDENCE, TABLES = "peft_lab.evidence", "peft_lab.listings.evidence"


@dataclass(frozen=True)
class StudyShown(Stack):
    """What is known of a study; ``rows`` holds it as data."""

    rows: StudyRows | None = None


def shown(study: Study, host: Host, against: str | None = None) -> StudyShown:
    """Tables and pictures of a study, from its runs on disk."""
    rows = rows_of(study)
    state = state_table(study, rows)
    parts: list[Any] = [state]
    if any(row.status == FINISHED for row in rows.rows):
        parts += _evidence(rows, against) or [means(rows)]
        parts += _pictures(rows, host)
    if trouble := failures(rows):
        parts.append(trouble)
    return StudyShown(parts, rows)


def state_table(study: Study, rows: StudyRows) -> Table:
    """How far a study is, by method."""
    lines: list[list[Any]] = []
    for method in dict.fromkeys(row.method for row in rows.rows):
        own = [row for row in rows.rows if row.method == method]
        lines.append([method, len(own), *(sum(row.status == status for row in own) for status in STATUSES)])
    done, every = sum(row.status == FINISHED for row in rows.rows), len(rows.rows)
    plan = rows.plan
    title = f"study {study.name}: {plan['model']} on {plan['data']['source']}, {done:,} of {every:,} rows finished"
    if study.active:
        note = f"It is being run now. Stop it: %peft study stop {study.name}"
    elif any(row.status not in (FINISHED, FAILED) for row in rows.rows):
        note = f"Go on with it: run its cell again, or say %peft study resume {study.name}"
    else:
        note = "A row is a method on a number of examples, with a time budget and a seed."
    notes = [note, *study.content.get("notes", ())]
    names = ("method", "rows", *(STATUS_WORDS[status] for status in STATUSES))
    return Table(title, names, lines, note=" ".join(f"{text.rstrip('.')}." for text in notes))


def means(rows: StudyRows) -> Table:
    """Mean and standard deviation over seeds, where nothing better is at hand."""
    lines: list[list[Any]] = []
    for (method, asked, budget), own in groups(rows.rows).items():
        done = [row for row in own if row.status == FINISHED]
        if not done:
            continue
        first = done[0]
        lines.append(
            [
                method,
                asked if first.examples else style.DASH,
                style.seconds(budget) if budget else NO_BUDGET if first.examples else style.DASH,
                *(_spread(done, split) for split in ("test", "validation")),
                f"{len(done)} of {len(own)}",
                style.three_digits(first.learning_rate) if first.learning_rate else style.DASH,
                style.seconds(mean(float(row.cost.get("seconds") or 0.0) for row in done)),
                style.count(first.cost.get("trainable")),
            ]
        )
    headline = next((row.headline for row in rows.rows if row.headline), "score")
    note = f"Mean ± standard deviation of {style.words(headline)} over seeds. Test has chosen nothing."
    return Table("", HEADINGS, lines, note=note)


def groups(rows: Sequence[Row]) -> dict[tuple[str, str, float | None], list[Row]]:
    """Rows that differ in their seed only."""
    found: dict[tuple[str, str, float | None], list[Row]] = {}
    for row in rows:
        found.setdefault((row.method, row.asked, row.budget), []).append(row)
    return found


def failures(rows: StudyRows) -> Table | None:
    """Rows that failed, with the reason; None where none did."""
    found = [row for row in rows.rows if row.status == FAILED]
    if not found:
        return None
    lines: list[list[Any]] = [
        [row.method, row.asked, style.seconds(row.budget) if row.budget else NO_BUDGET, row.seed, row.error]
        for row in found[:MOST_ERRORS]
    ]
    more = f"{len(found) - MOST_ERRORS} more failed. " if len(found) > MOST_ERRORS else ""
    note = f"{more}A failed cell is not tried again, unless it is asked for: --again"
    return Table("failed", ("method", "examples", "budget", "seed", "reason"), lines, note=note)


def forecast(found: Forecast) -> Table:
    """What a study would do."""
    lines: list[list[Any]] = [[method, cells, done, style.seconds(left)] for method, cells, done, left in found.methods]
    open_ = found.cells - found.done - found.failed
    title = f"study {found.name}: {found.cells:,} cells, {found.done:,} finished, {open_:,} to do"
    if found.seconds is None:
        said = "How long it takes is known once a cell of each method has finished, or by %peft study --forecast"
    else:
        said = f"About {style.seconds(found.seconds)}, and {style.bytes_(found.disk)} on disk"
    notes = [said, *found.notes]
    return Table(
        title,
        ("method", "cells", "finished", "time for the rest"),
        lines,
        note=" ".join(f"{text.rstrip('.')}." for text in notes),
        align="<>>>",
    )


def listing(runs: Path) -> Table:
    """All studies of a folder of runs, the latest last."""
    lines: list[list[Any]] = []
    for study in studies_in(runs):
        try:
            rows = rows_of(study)
        except PeftLabError as error:
            lines.append([study.name, f"unreadable: {error.message}", *["-"] * 5])
            continue
        done, failed = (sum(row.status == status for row in rows.rows) for status in (FINISHED, FAILED))
        left = len(rows.rows) - done - failed
        status = "running" if study.active else "finished" if not left else "open"
        plan = rows.plan
        methods = style.shorten(", ".join(map(_name, plan["methods"])), 60)
        lines.append([study.name, status, plan["model"], plan["data"]["source"], methods, done, failed, left])
    columns = ("study", "status", "model", "data", "methods", "finished", "failed", "to do")
    note = "%peft study show NAME" if lines else "No study yet: %%peft study, with methods: [full, lora] below it"
    return Table(f"studies in {runs.name}", columns, lines, note=note)


def _name(method: Any) -> str:
    return next(iter(method)) if isinstance(method, Mapping) else str(method)


def _spread(rows: Sequence[Row], split: str) -> str:
    values = [getattr(row, split)[row.headline] for row in rows if row.headline in getattr(row, split)]
    if not values:
        return style.DASH
    return style.score(mean(values)) + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _evidence(rows: StudyRows, against: str | None) -> list[Any]:
    """The table with the test, where what computes it is installed."""
    if importlib.util.find_spec(TABLES) is None:
        return []
    evidence, tables = importlib.import_module(EVIDENCE), importlib.import_module(TABLES)
    try:
        summary = evidence.summarise(rows)
        return [tables.study_table(rows, summary, evidence.comparisons(rows, against=against))]
    except RunProblem:  # no run has the score
        return []


def _pictures(rows: StudyRows, host: Host) -> list[Any]:
    """What views draw of its finished runs: over data and over time where there are several, and against cost."""
    done = [row for row in rows.rows if row.status == FINISHED]
    trained = [row for row in done if row.examples]
    found = []
    if len({row.examples for row in trained}) > 1:
        found += _drawn(host, "data-curve", done)
    if len({row.budget for row in trained}) > 1:
        found += _drawn(host, "time-curve", done)
    return found + (_drawn(host, "comparison", trained) if trained else [])


def _drawn(host: Host, name: str, rows: Sequence[Row]) -> list[Any]:
    """The picture of a view; nothing where it is not offered, or finds nothing to draw."""
    from peft_lab.listings.results import drawn

    try:
        return [drawn(host, name, host.find("views", name)(), [Run(row.path) for row in rows])]
    except (UnknownName, RunProblem):
        return []


__all__ = ["StudyShown", "column_name", "failures", "forecast", "groups", "listing", "means", "shown", "state_table"]
