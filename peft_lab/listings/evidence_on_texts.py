"""Whether differences of a study would hold on other texts: seeds and test texts drawn again together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from peft_lab.errors import PeftLabError
from peft_lab.evidence import Comparison, correct_answers, two_levels
from peft_lab.evidence.answers import KIND, same_texts
from peft_lab.evidence.comparing import BETTER, NOTHING_SHOWN, WORSE
from peft_lab.evidence.correction import holm
from peft_lab.evidence.summary import budget_order
from peft_lab.listings.evidence import between, signed
from peft_lab.listings.evidence_notes import LONGEST_NAME, p_value, percent, said_budget
from peft_lab.present.style import shorten
from peft_lab.present.table import Table
from peft_lab.rows import FINISHED, Row, StudyRows
from peft_lab.run import Run
from peft_lab.texts import evidence as texts


def texts_table(rows: StudyRows, comparisons: Sequence[Comparison]) -> Table | None:
    """Share of right answers, with the most rows and time: differences with intervals over seeds and texts.

    None where runs have not kept answers that are right or wrong, on the same texts.
    """
    if not comparisons:
        return None
    against = comparisons[0].against
    place = _place([row for row in rows.rows if row.method == against])
    mine = _right(rows, against, place)
    found = []
    for one in comparisons:
        other = _right(rows, one.method, place)
        seeds = [seed for seed in mine if seed in other and same_texts(mine[seed][0], other[seed][0])]
        seeds = [seed for seed in seeds if len(mine[seed][1]) == len(mine[seeds[0]][1])]
        if seeds:
            right = [np.stack([kept[seed][1] for seed in seeds]) for kept in (other, mine)]
            found.append((one.method, two_levels(right[0], right[1], level=one.level)))
    if not found or place is None:
        return None
    level, made = comparisons[0].level, list[tuple[str | int, ...]]()
    for (method, result), p in zip(found, holm([result.p for _, result in found]), strict=True):
        verdict = NOTHING_SHOWN if p > level else BETTER if result.difference > 0 else WORSE
        interval = between(result.low, result.high)
        known = (shorten(method, LONGEST_NAME), signed(result.difference), interval, result.seeds, p_value(float(p)))
        made.append((*known, _said(verdict)))
    title = texts.TEXTS_TITLE.format(name=rows.name, against=shorten(against, LONGEST_NAME))
    note = texts.TEXTS_NOTE.format(
        rows=f"{place[0]:,}", budget=said_budget(place[1]), n=f"{found[0][1].texts:,}", level=percent(level)
    )
    return Table(title, texts.TEXTS_COLUMNS, made, note)


def _said(verdict: str) -> str:
    return {BETTER: texts.BETTER, WORSE: texts.WORSE, NOTHING_SHOWN: texts.NOTHING_SHOWN}[verdict]


def _place(own: Sequence[Row]) -> tuple[int, float | None] | None:
    """The most rows, and with them the longest budget, of runs that finished."""
    places = [(row.examples, row.budget) for row in own if row.status == FINISHED and row.path]
    return max(places, key=lambda place: (place[0], budget_order(place[1]))) if places else None


def _right(
    rows: StudyRows, method: str, place: tuple[int, float | None] | None
) -> Mapping[int, tuple[Any, np.ndarray]]:
    """The answers of a method by seed, and which of them are right."""
    found = {}
    for row in rows.rows:
        if row.method != method or (row.examples, row.budget) != place or row.status != FINISHED or not row.path:
            continue
        try:
            artifact = Run(row.path).artifact(KIND)
        except PeftLabError:  # an older run, or one that writes
            continue
        if (right := correct_answers(artifact)) is not None:
            found[row.seed] = (artifact, right)
    return found
