"""Whether differences of a study would hold on other texts and with other seeds, and which of both they hang on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from peft_lab.errors import PeftLabError
from peft_lab.evidence import Comparison, OnTexts, correct_answers, on_texts
from peft_lab.evidence.answers import KIND, same_texts
from peft_lab.evidence.comparing import BETTER, NOTHING_SHOWN, WORSE
from peft_lab.evidence.summary import budget_order
from peft_lab.listings.evidence import between, signed
from peft_lab.listings.evidence_notes import LONGEST_NAME, p_value, percent, said_budget, said_family
from peft_lab.present.style import DASH, share, shorten
from peft_lab.present.table import Table
from peft_lab.rows import FINISHED, Row, StudyRows
from peft_lab.run import Run
from peft_lab.texts import evidence as texts

Answers = Mapping[int, tuple[Any, np.ndarray]]
"""By seed: what was answered, and which of it is right."""


def texts_table(rows: StudyRows, comparisons: Sequence[Comparison]) -> Table | None:
    """Share of right answers, with the most rows and time: differences with intervals over seeds and texts.

    None where runs have not kept answers that are right or wrong, on the same texts.
    """
    if not comparisons:
        return None
    against, level = comparisons[0].against, comparisons[0].level
    place = _place([row for row in rows.rows if row.method == against])
    methods = [against, *(one.method for one in comparisons)]
    right = {method: _right(rows, method, place) for method in methods}
    # More comparisons than rows: the best was found in these scores, and every pair counts, as in the table above.
    every = comparisons[0].family > len(comparisons)
    asked = combinations(methods, 2) if every else [(method, against) for method in methods[1:]]
    pairs = {pair: known for pair in asked if (known := _both(right[pair[0]], right[pair[1]])) is not None}
    found = {one.method: one for one in on_texts(pairs, against, level=level)}
    if not found or place is None:
        return None
    made = [_row(one, found[one.method]) for one in comparisons if one.method in found]
    title = texts.TEXTS_TITLE.format(name=rows.name, against=shorten(against, LONGEST_NAME))
    some = next(iter(found.values()))
    where = {"rows": f"{place[0]:,}", "budget": said_budget(place[1]), "n": f"{some.found.texts:,}"}
    several = any(one.found.seeds > 1 for one in found.values())
    family = said_family(some.family, every=every)
    note = (texts.TEXTS_NOTE if several else texts.TEXTS_NOTE_ONE).format(**where, family=family, level=percent(level))
    return Table(title, texts.TEXTS_COLUMNS, made, note)


def _row(one: Comparison, corrected: OnTexts) -> tuple[str | int, ...]:
    found, verdict = corrected.found, corrected.verdict
    ahead, behind = one.failed if found.difference > 0 else one.failed[::-1]
    if ahead > behind:  # what failed may have been what it does worst
        verdict = NOTHING_SHOWN
    luck = DASH if math.isnan(found.spread_seeds) else share(found.spread_seeds)
    interval, p = between(found.low, found.high), p_value(corrected.corrected_p)
    return shorten(one.method, LONGEST_NAME), signed(found.difference), interval, found.seeds, luck, p, _said(verdict)


def _both(one: Answers, other: Answers) -> tuple[np.ndarray, np.ndarray] | None:
    """What is right of two methods, [seed, text], of seeds that both have on the same texts."""
    seeds = [seed for seed in one if seed in other and same_texts(one[seed][0], other[seed][0])]
    seeds = [seed for seed in seeds if same_texts(one[seed][0], one[seeds[0]][0])]
    if not seeds:
        return None
    first, second = (np.stack([kept[seed][1] for seed in seeds]) for kept in (one, other))
    return first, second


def _said(verdict: str) -> str:
    return {BETTER: texts.BETTER, WORSE: texts.WORSE, NOTHING_SHOWN: texts.NOTHING_SHOWN}[verdict]


def _place(own: Sequence[Row]) -> tuple[int, float | None] | None:
    """The most rows, and with them the longest budget, of runs that finished."""
    places = [(row.examples, row.budget) for row in own if row.status == FINISHED and row.path]
    return max(places, key=lambda place: (place[0], budget_order(place[1]))) if places else None


def _right(rows: StudyRows, method: str, place: tuple[int, float | None] | None) -> Answers:
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
