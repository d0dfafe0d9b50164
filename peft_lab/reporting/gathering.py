"""Gathers what a report says: rows, statistics, judgements, pictures. The only module here that asks others for them.

Pictures are drawn by views that are asked for by name, like a stranger's; one that cannot draw costs its picture only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import PeftLabError
from peft_lab.files import from_here
from peft_lab.listings.results import drawn as drawn_by
from peft_lab.loading import OWN
from peft_lab.recipe import Recipe, checked
from peft_lab.reporting.choosing import recommended
from peft_lab.reporting.judged import risks_of
from peft_lab.reporting.material import BETTER, NOT_SHOWN, WORSE, Contrast, Drawn, Material, Pair, Record
from peft_lab.rows import FAILED, FINISHED, RUNNING, STOPPED, UNTRAINED, Row, StudyRows
from peft_lab.run import Run

if TYPE_CHECKING:
    from peft_lab.evidence import Comparison, Summary
    from peft_lab.host import Host

View = tuple[str, str, Mapping[str, Any]]
"""The caption it gets, the view's name, its options."""
OF_A_STUDY: tuple[View, ...] = (
    ("data", "data-curve", {}),
    ("time", "time-curve", {}),
    ("cost", "comparison", {"against": "trainable"}),
)
OF_RUNS: tuple[View, ...] = (("cost", "comparison", {"against": "seconds"}), ("training", "curves", {}))
OF_RISKS: tuple[View, ...] = (("calibration", "reliability", {}), ("coverage", "risk-coverage", {}))
OF_A_RUN: tuple[View, ...] = (("training", "curves", {}),)
STATUS = {"finished": FINISHED, "failed": FAILED, "crashed": FAILED, "stopped": STOPPED, "running": RUNNING}


def of_study(rows: StudyRows, host: Host, *, file: str = "") -> Material:
    """What there is to say about a study."""
    names = {row.path: from_here(Path(row.path)) for row in rows.rows if row.path}
    return _material("study", rows, host, names, OF_A_STUDY, study_file=file)


def of_runs(runs: Sequence[Run], host: Host) -> Material:
    """What there is to say about one run, or about several."""
    rows = rows_of(runs)
    names = {str(run.path): run.id for run in runs}
    one = len(runs) == 1
    views = OF_A_RUN if one else OF_RUNS
    pair = pair_of(runs[0], runs[1], rows) if len(runs) == 2 else None
    return _material("run" if one else "runs", rows, host, names, views, pair=pair)


def rows_of(runs: Sequence[Run]) -> StudyRows:
    """Runs as rows: those that differ in their seed alone are repetitions; others of one method have the run's name."""
    recipes = {run.id: run.recipe.model_dump(mode="json", exclude={"seed"}) for run in runs}
    rows = []
    for run in runs:
        rivals = [r for r in runs if r.recipe.method == run.recipe.method]
        rivals = [
            r for r in rivals if recipes[r.id] != recipes[run.id] or len({_data_of(r), _data_of(run)} - {None}) > 1
        ]
        name = f"{run.recipe.method} ({run.id})" if rivals else run.recipe.method
        rows.append(row_of(run, name))
    return StudyRows(
        " ".join(run.id for run in runs), {"methods": list(dict.fromkeys(r.method for r in rows))}, tuple(rows)
    )


def row_of(run: Run, method: str) -> Row:
    """A run as a row."""
    record, budget = run.record, run.recipe.training.max_seconds
    examples = int((record.get("data") or {}).get("rows", {}).get("train") or 0)
    steps = record.get("steps") or {}
    return Row(
        method,
        examples,
        str(examples),
        budget,
        run.recipe.seed,
        STATUS.get(run.status, FAILED),
        run.headline,
        dict(run.metrics.get("test", {})),
        dict(run.metrics.get("validation", {})),
        run.recipe.training.learning_rate,
        dict(run.cost),
        (int(steps["done"]), int(steps["planned"])) if steps.get("planned") else None,
        str((record.get("error") or {}).get("message") or ""),
        str(run.path),
    )


def pair_of(one: Run, other: Run, rows: StudyRows) -> Pair | None:
    """Which of two runs is right where; None where they did not answer the same test texts with a label each."""
    from peft_lab.evidence import correct_answers, mcnemar

    if not _same_test(one, other):
        return None
    try:
        right = [correct_answers(run.artifact("test-answers")) for run in (one, other)]
    except PeftLabError:  # no such artifact: an older run
        return None
    if right[0] is None or right[1] is None or len(right[0]) != len(right[1]):
        return None
    found = mcnemar(right[0], right[1])
    names = [
        row.method if len({r.method for r in rows.rows}) > 1 else run.id
        for row, run in zip(rows.rows, (one, other), strict=True)
    ]
    return Pair(
        names[0],
        names[1],
        found.both,
        found.only_a,
        found.only_b,
        found.neither,
        found.difference,
        found.low,
        found.high,
        found.p,
        found.verdict,
    )


def _material(
    kind: str,
    rows: StudyRows,
    host: Host,
    names: Mapping[str, str],
    views: Sequence[View],
    *,
    pair: Pair | None = None,
    study_file: str = "",
) -> Material:
    records = {row.path: dict(run.record) for row in rows.rows if (run := _run_at(row.path)) is not None}
    summary = _summary(rows)
    methods = {spec["name"] for record in records.values() for spec in _recipe(record).get("methods", ())}
    offered = {name: offer for name, offer in host.offers("methods").items() if name in methods}
    first = Material(kind, rows, summary, records, pair=pair)
    here: tuple[Contrast, ...] = ()
    over: tuple[Contrast, ...] = ()
    enough = None
    if summary is not None and first.comparable:
        here, over = _contrasts(rows, first)
        enough = _enough(rows, first) if kind == "study" else None
    material = Material(
        kind,
        rows,
        summary,
        records,
        here,
        over,
        pair,
        enough,
        tuple(risks_of(rows.rows, names)),
        summaries={name: offer.summary for name, offer in offered.items()},
        builtin=frozenset(name for name, offer in offered.items() if offer.plugin == OWN),
        names=names,
        study_file=study_file,
    )
    return replace(material, figures=tuple(_figures(material, host, (*views, *OF_RISKS))))


# --- statistics -------------------------------------------------------------------------------------------------------


def _summary(rows: StudyRows) -> Summary | None:
    from peft_lab.evidence import summarise

    try:
        return summarise(rows)
    except PeftLabError:  # no run has a score
        return None


def _contrasts(rows: StudyRows, material: Material) -> tuple[tuple[Contrast, ...], tuple[Contrast, ...]]:
    """Methods against the best one where the answer is decided, and against baselines.

    A difference counts as shown where it is shown there and over all numbers of rows and budgets, as in the study's own
    table: of few seeds in one place a t-test alone would decide.
    """
    from peft_lab.evidence import comparisons

    examples, budget = material.place
    here = [
        c for c in comparisons(rows, examples=examples, budget=budget) if c.seeds > 1 and math.isfinite(c.difference)
    ]
    everywhere = comparisons(rows)
    if here and everywhere and everywhere[0].against != here[0].against:
        everywhere = comparisons(rows, here[0].against)
    verdicts = {c.method: c.verdict for c in everywhere}
    found = tuple(_contrast(c, verdicts.get(c.method, c.verdict)) for c in here)
    contenders = [cell.method for cell in material.contenders()]
    over: list[Contrast] = []
    for name in material.summary.baselines if material.summary else ():
        try:
            against = comparisons(rows, name, examples=examples, budget=budget)
        except PeftLabError:  # it was not trained there
            continue
        over += [_contrast(c) for c in against if c.method in contenders and c.seeds > 1]
    return found, tuple(over)


def _contrast(found: Comparison, everywhere: str | None = None) -> Contrast:
    here_only = found.differs and everywhere not in (None, found.verdict)
    verdict = NOT_SHOWN if here_only else {"better": BETTER, "worse": WORSE}.get(found.verdict, NOT_SHOWN)
    low, high = found.t_low, found.t_high
    return Contrast(
        found.method,
        found.against,
        found.difference,
        low,
        high,
        found.corrected_p,
        verdict,
        found.seeds,
        here_only,
        found.seeds_to_show,
    )


def _enough(rows: StudyRows, material: Material) -> tuple[str, int] | None:
    """With how few texts a method is good enough: the method with the fewest, the better one of two.

    None where no training at all is as good: then it is no number of texts that reached it.
    """
    from peft_lab.evidence import smallest_enough

    budget = material.place[1]
    contenders = [cell.method for cell in material.contenders()]
    reached = [e for e in smallest_enough(rows) if e.budget == budget and e.examples and e.method in contenders]
    without = [cell.mean for cell in material.summary.of(UNTRAINED) if cell.n] if material.summary else []
    if not reached or max(without, default=-math.inf) >= reached[0].target:
        return None
    least = min(reached, key=lambda e: (e.examples, contenders.index(e.method)))
    assert least.examples is not None
    return least.method, least.examples


# --- runs and pictures ------------------------------------------------------------------------------------------------


def _figures(material: Material, host: Host, views: Sequence[View]) -> Iterator[Drawn]:
    for what, name, options in views:
        cls = host.offers("views").get(name)
        runs = _drawn_runs(material, what)
        if cls is None or not runs:
            continue
        try:
            view = cls.item(checked(cls.item.Options, options, name))
            picture = drawn_by(host, name, view, runs)
        except PeftLabError:  # it is among the problems
            continue
        if picture.png:
            yield Drawn(what, picture.png, picture.alt, picture.width)


def _drawn_runs(material: Material, what: str) -> list[Run]:
    """Of which runs: cost where the answer is decided, risks of the run that was judged, all others of all.

    Scores of different data are not drawn against each other.
    """
    if what in ("calibration", "coverage"):
        judged = next((risk for risk in material.risks if risk.method == recommended(material)), None)
        run = _run_at(judged.path) if judged else None
        return [run] if run is not None and "test-answers" in run.artifacts else []
    rows = material.finished if material.kind == "study" else list(material.rows.rows)
    if what == "cost" and not material.comparable:
        return []
    if what == "cost" and material.kind == "study" and material.scored:
        rows = [r for r in rows if (r.examples, r.budget) == material.place and r.method != UNTRAINED]
    return [run for row in rows if (run := _run_at(row.path)) is not None]


def _run_at(path: str) -> Run | None:
    """The run of a row; None where there is none, or none that can be read."""
    try:
        run = Run(path) if path else None
        return run if run is not None and not run.trouble else None
    except PeftLabError:
        return None


def _recipe(record: Record) -> Mapping[str, Any]:
    return record.get("recipe") or {}


def _data_of(run: Run) -> str | None:
    """The hash of a run's data: a file of one name may have changed between two runs."""
    found: str | None = (run.record.get("fingerprints") or {}).get("data")
    return found


def _same_test(one: Run, other: Run) -> bool:
    """Whether two runs were tested on the same texts, as far as their records tell."""
    prints = [_data_of(run) for run in (one, other)]
    specs: list[Recipe] = [one.recipe, other.recipe]
    same = [(recipe.data.test, recipe.data.label, recipe.data.text) for recipe in specs]
    return prints[0] is not None and prints[0] == prints[1] and same[0] == same[1]
