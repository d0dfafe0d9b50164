"""The study of arXiv:2401.04051 once more: MRPC, CoLA, STS, minilm, six ways to adapt, 10, 30 and 100 % of the rows.

python -m benchmarks paper_study                          # trains what is not there, two side by side, a thread each
python -m benchmarks paper_study --tasks sts --show       # what is there: tables, pictures, the record

The paper names tasks, methods and 30 % of the data; its base model, settings and other fractions are not known, these
are ours. What it calls the default model is ``untrained``. Learning rates are chosen on validation with the first seed:
for 10 and 30 % by the study itself, from a third, once and three times each method's own; for all rows, where that
would take hours, by the sweep of the same three that ``benchmarks quality`` made.

Cells with all rows that the study has not are those of that sweep itself: the same data, test rows, epochs and seeds,
on a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from types import SimpleNamespace
from typing import Any

from benchmarks.common import RESULTS, ROOT, keep
from benchmarks.quality import TASKS, chosen_rate
from peft_lab.errors import RunProblem
from peft_lab.rows import FINISHED, HEAD, UNTRAINED, Row, StudyRows
from peft_lab.run import Run

AMOUNTS = ("parts", "all")
"""Of rows: 10 and 30 % with a sweep, then all."""
SEEDS = 3
IMAGES = ROOT / "docs" / "images"
RUNS = ROOT / "build" / "paper_study"
SWEEP = RESULTS / "quality_gpu.json"


@dataclass(frozen=True)
class Of:
    """How a task is trained."""

    epochs: int
    validation: int
    """Rows that choose state and rate: no more than a tenth of the rest, on which the smallest cells train."""
    rates: Mapping[str, float]
    """Learning rates on all rows."""


ASKED = {
    "sts": Of(3, 431, {"full": 1e-4, "bitfit": 3e-3, "adapter": 3e-3, "lora": 3e-3}),
    "mrpc": Of(5, 320, {"full": 1e-4, "bitfit": 9e-3, "adapter": 1e-3, "lora": 1e-3}),
    "cola": Of(3, 500, {"full": 1e-4, "bitfit": 1e-3, "adapter": 1e-3, "lora": 1e-3}),
}
CLAIMS = (("bitfit", "full"), ("adapter", "untrained"), ("adapter", "head"), ("lora", "full"), ("adapter", "full"))
"""What the paper says something about: bitfit against full, adapters against the default model; and what we add."""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks paper_study")
    parser.add_argument("--tasks", nargs="+", choices=ASKED, default=list(ASKED))
    parser.add_argument("--amounts", nargs="+", choices=AMOUNTS, default=list(AMOUNTS))
    parser.add_argument("--methods", nargs="+", help="of those, or head; all when not given")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="train nothing")
    a = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of workers: they inherit it
    if not a.show:
        for task in a.tasks:
            for amount in a.amounts:
                train(task, amount, a.methods, a.seeds, a.workers)
    for task in a.tasks:
        show(task)


def train(task: str, amount: str, methods: Sequence[str] | None, seeds: int, workers: int) -> None:
    """The cells of a task that are not there yet."""
    from peft_lab.lab import Lab

    of = ASKED[task]
    swept = amount == "parts"
    rates = {name: of.rates.get(name) for name in methods or of.rates}
    Lab(RUNS).study(
        name=f"{task}-{amount}",
        model="minilm",
        data=TASKS[task].spec(),
        methods=[name if swept or rate is None else {name: {"learning_rate": rate}} for name, rate in rates.items()],
        examples=["10 %", "30 %"] if swept else ["all"],
        sweep="auto" if swept else None,
        seeds=seeds,
        validation_rows=of.validation,
        epochs=of.epochs,
        keep="none",
        on="processes",
        workers=workers,
    )


def show(task: str) -> None:
    """Tables, the picture and the record of a task, always of all that there is of it."""
    from peft_lab.evidence import comparisons, smallest_enough, summarise
    from peft_lab.listings.evidence import study_table
    from peft_lab.present.picture import render
    from peft_lab.views.data_curve import DataCurve

    rows = found(task)
    summary = summarise(rows)
    sizes = [count for count, _ in summary.sizes]
    claims = [
        c
        for method, against in CLAIMS
        for size in (None, *sizes)
        if {method, against} <= {row.method for row in rows.rows if size in (None, row.examples)} | {UNTRAINED}
        for c in comparisons(rows, against, examples=size)
        if c.method == method
    ]
    print(f"{task}, {summary.metric}\n")
    print(study_table(rows, summary, comparisons(rows)))
    for c in claims:
        print(f"{c.method} - {c.against}: {c.difference:+.4f}, {c.above} of {c.seeds} seeds above, {c.verdict}")
    record = {
        "metric": summary.metric,
        "epochs": ASKED[task].epochs,
        # Not what they cost: cells were trained side by side, and were held for other measurements.
        "rows": [{k: v for k, v in asdict(row).items() if k not in ("path", "cost")} for row in rows.rows],
        "claims": [asdict(c) for c in claims],
        "enough": [asdict(e) for e in smallest_enough(rows)],
    }
    keep(f"paper_{task}", record, RESULTS / f"paper_{task}.json")
    (IMAGES / f"paper-{task}.png").write_bytes(render(DataCurve().draw(as_runs(rows))).png)


def found(task: str) -> StudyRows:
    """Rows of the studies of a task as of one, methods without the rate that they were given."""
    from peft_lab.study.book import find_study
    from peft_lab.study.outcome import rows_of

    rows: list[Row] = []
    for amount in AMOUNTS:
        here = list(swept(task)) if amount == "all" else []
        with suppress(RunProblem):  # it was never begun
            here += rows_of(find_study(RUNS, f"{task}-{amount}")).rows
        rows += [replace(row, method=row.method.partition(" ")[0]) for row in here]
    rows.sort(key=lambda row: row.status == FINISHED)  # of two, the one that is there, of the study if both are
    # The sweep kept a tenth for validation, the study a few rows less: one size, told as the larger one.
    every = max((row.examples for row in rows if row.asked == "all"), default=0)
    rows = [replace(row, examples=every) if row.asked == "all" else row for row in rows]
    once = {(row.method, row.asked, row.seed): row for row in rows}
    return StudyRows(task, {"methods": list(ASKED[task].rates)}, tuple(once.values()))


def swept(task: str) -> tuple[Row, ...]:
    """Rows of the sweep over all rows, with the learning rate that each method was then trained with."""
    every = json.loads(SWEEP.read_text())["results"]
    rows = []
    for method in (*ASKED[task].rates, HEAD):
        mine = [row for row in every if (row["task"], row["method"]) == (task, method)]
        rate = chosen_rate(mine, task, method) if mine else None
        for row in mine:
            if row["learning_rate"] == rate:
                examples = round(row["cost"]["texts_per_second"] * row["cost"]["seconds"] / row["epochs"])
                scores = {name: row[name] for name in ("headline", "test", "validation", "learning_rate", "cost")}
                rows.append(Row(method, examples, "all", None, row["seed"], FINISHED, **scores))
    return tuple(rows)


def as_runs(rows: StudyRows) -> list[Any]:
    """Runs for the picture. Of a row of the sweep no run is left: one with another number of rows stands for it."""
    done = [row for row in rows.rows if row.status == FINISHED]
    kept = [(row.method, Run(row.path)) for row in done if row.path]
    alike, runs = dict(kept), [run for _, run in kept]
    for row in done:
        if not row.path and row.method in alike:
            recipe = alike[row.method].recipe.model_copy(update={"seed": row.seed})
            record = {"data": {"rows": {"train": row.examples}}}
            told = {"metrics": {"test": row.test}, "cost": row.cost, "headline": row.headline, "record": record}
            runs.append(SimpleNamespace(id=f"{row.method}-{row.seed}", recipe=recipe, status=FINISHED, **told))
    return runs
