"""Studies as they are shown: what is known of one, what one would take, which there are."""

from __future__ import annotations

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
from peft_lab.texts import studies as texts

if TYPE_CHECKING:
    from peft_lab.host import Host

MOST_ERRORS = 12


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
    about = {
        "name": study.name,
        "model": plan["model"],
        "data": plan["data"]["source"],
        "done": f"{done:,}",
        "all": f"{every:,}",
    }
    if study.active:
        note = texts.STATE_RUNNING
    elif any(row.status not in (FINISHED, FAILED) for row in rows.rows):
        note = texts.STATE_OPEN
    else:
        note = texts.STATE_DONE
    notes = [note.format(name=study.name), *study.content.get("notes", ())]
    names = (*texts.STATE_COLUMNS, *(texts.STATUS_WORDS[status] for status in STATUSES))
    return Table(texts.STATE_TITLE.format(**about), names, lines, note=_sentences(notes))


def _sentences(said: Sequence[str]) -> str:
    return " ".join(f"{text.rstrip('.')}." for text in said if text)


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
                style.seconds(budget) if budget else texts.NO_BUDGET if first.examples else style.DASH,
                *(_spread(done, split) for split in ("test", "validation")),
                texts.OF.format(some=len(done), all=len(own)),
                style.three_digits(first.learning_rate) if first.learning_rate else style.DASH,
                style.seconds(mean(float(row.cost.get("seconds") or 0.0) for row in done)),
                style.count(first.cost.get("trainable")),
            ]
        )
    headline = next((row.headline for row in rows.rows if row.headline), "score")
    return Table("", texts.HEADINGS, lines, note=_sentences([texts.MEANS_NOTE.format(metric=style.words(headline))]))


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
        [row.method, row.asked, style.seconds(row.budget) if row.budget else texts.NO_BUDGET, row.seed, row.error]
        for row in found[:MOST_ERRORS]
    ]
    more = [texts.FAILED_MORE.format(count=len(found) - MOST_ERRORS)] if len(found) > MOST_ERRORS else []
    return Table(texts.FAILED_TITLE, texts.FAILED_COLUMNS, lines, note=_sentences([*more, texts.FAILED_NOTE]))


def forecast(found: Forecast) -> Table:
    """What a study would do."""
    lines: list[list[Any]] = [[method, cells, done, style.seconds(left)] for method, cells, done, left in found.methods]
    open_ = found.cells - found.done - found.failed
    counts = {"cells": f"{found.cells:,}", "done": f"{found.done:,}", "open": f"{open_:,}"}
    title = texts.FORECAST_TITLE.format(name=found.name, **counts)
    said = texts.FORECAST_UNKNOWN
    if found.seconds is not None:
        said = texts.FORECAST_NOTE.format(time=style.seconds(found.seconds), disk=style.bytes_(found.disk))
    return Table(title, texts.FORECAST_COLUMNS, lines, note=_sentences([said, *found.notes]), align="<>>>")


def listing(runs: Path) -> Table:
    """All studies of a folder of runs, the latest last."""
    lines: list[list[Any]] = []
    for study in studies_in(runs):
        try:
            rows = rows_of(study)
        except PeftLabError as error:
            lines.append([study.name, texts.LISTING_UNREADABLE.format(error=error.message), *["-"] * 6])
            continue
        done, failed = (sum(row.status == status for row in rows.rows) for status in (FINISHED, FAILED))
        left = len(rows.rows) - done - failed
        status = texts.LISTING_STATUS["running" if study.active else "open" if left else "finished"]
        plan = rows.plan
        methods = style.shorten(", ".join(map(_name, plan["methods"])), 60)
        lines.append([study.name, status, plan["model"], plan["data"]["source"], methods, done, failed, left])
    note = texts.LISTING_NOTE if lines else texts.LISTING_EMPTY
    return Table(texts.LISTING_TITLE.format(folder=runs.name), texts.LISTING_COLUMNS, lines, note=note)


def _name(method: Any) -> str:
    return next(iter(method)) if isinstance(method, Mapping) else str(method)


def _spread(rows: Sequence[Row], split: str) -> str:
    values = [getattr(row, split)[row.headline] for row in rows if row.headline in getattr(row, split)]
    if not values:
        return style.DASH
    return style.score(mean(values)) + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _evidence(rows: StudyRows, against: str | None) -> list[Any]:
    """The table with the test, the figures behind it, and whether it would hold on other texts of the same kind.

    Nothing where no run has the score.
    """
    from peft_lab.evidence import comparisons, summarise
    from peft_lab.listings.evidence import comparisons_table, study_table
    from peft_lab.listings.evidence_on_texts import texts_table

    try:
        summary, found = summarise(rows), comparisons(rows, against=against)
    except RunProblem:
        return []
    behind = [comparisons_table(summary, found), texts_table(rows, found)] if found else []
    return [study_table(rows, summary, found), *(table for table in behind if table is not None)]


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
