"""Test scores of methods over tasks and seeds, on minilm. Finished runs are kept and not trained again.

python -m benchmarks quality                                                  # Banking77, default settings
python -m benchmarks quality --tasks banking77-10 cola --methods full bitfit adapter --sweep
python -m benchmarks quality --methods full "sparse density=0.01" "sparse density=0.01 by=random" --sweep
python -m benchmarks quality --methods apt prefix "prefix lengths_from=apt" --sweep --jobs 8      # on a large machine

With ``--sweep`` a third, once and three times the method's own learning rate are tried with seed 0, and the one with
the best validation score is used for all seeds. Rows are kept beside those that are there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, ROOT, SHARED, asked, keep, need, spread, trained_once
from benchmarks.side_by_side import Chain, work_off
from peft_lab.data_spec import DataSpec
from peft_lab.lab import Lab
from peft_lab.methods._prefix_lengths import openness
from peft_lab.run import Run

FACTORS = (1 / 3, 1.0, 3.0)
BUILD = ROOT / "build"


@dataclass(frozen=True)
class Asked:
    """A task as it is trained here."""

    data: str
    kind: str = "csv"
    epochs: float = 3
    task: str | None = None
    metric: str | None = None
    per_label: int | None = None
    """Training rows of each label, the same for all methods; smaller sets are parts of larger ones."""
    validation: int | None = None
    """Rows of validation, taken from those that are then left; a share of the few is rough."""

    def spec(self) -> DataSpec:
        """Where its rows are."""
        train, test = (SHARED / "data" / f"{self.data}_{part}.{self.kind}" for part in ("train", "test"))
        need(train, test)
        validation = str(others(train, self.per_label or 0, self.validation)) if self.validation else None
        if self.per_label:
            train = few(train, self.per_label)
        return DataSpec(source=str(train), test=str(test), validation=validation, task=self.task, metric=self.metric)


TASKS = {
    "banking77": Asked("banking77"),
    "banking77-100": Asked("banking77", per_label=100),
    "banking77-10": Asked("banking77", epochs=10, per_label=10),
    "banking77-10-judged": Asked("banking77", epochs=10, per_label=10, validation=1000),
    "cola": Asked("cola", metric="matthews"),
    "mrpc": Asked("mrpc", epochs=5),
    "sts": Asked("sts", task="regression"),
    "wnut17": Asked("wnut17", kind="conll"),
}
Row = dict[str, Any]
SAME_TOKENS = "lengths_from=apt"
"""Of ``prefix``: lengths from the gates of the run of ``apt`` with the same task and seed."""


@dataclass(frozen=True)
class Work:
    """A run to be measured."""

    task: str
    method: str
    seed: int
    rate: float
    gates: float | None = None
    """Learning rate of the run of ``apt`` that lengths come from."""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks quality")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["banking77"])
    parser.add_argument("--methods", nargs="+", default=["bitfit", "full", "lora", "head"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, on a machine with cores for it")
    parser.add_argument("--minutes", type=float, help="no run is begun after them")
    parser.add_argument("--out", type=Path, default=RESULTS / "quality.json")
    a = parser.parse_args(argv)
    rows: list[Row] = json.loads(a.out.read_text())["results"] if a.out.exists() else []

    def chain(task: str, method: str) -> Chain:
        """The rates of a sweep with seed 0, then the other seeds with the best of them."""
        usual = lab().recipe(asked(method)[0], model="minilm", data=TASKS[task].spec()).training.learning_rate
        gates = chosen_rate(rows, task, "apt") if SAME_TOKENS in method else None
        rates = [usual * factor for factor in (FACTORS if a.sweep else (1.0,))]
        found = note((yield [Work(task, method, 0, rate, gates) for rate in rates]))
        best = max(found, key=lambda row: row["validation"][row["headline"]])["learning_rate"]
        note((yield [Work(task, method, seed, best, gates) for seed in range(1, a.seeds)]))
        if method == "apt" and (later := [m for m in a.methods if SAME_TOKENS in m]):
            for after in later:
                yield from chain(task, after)

    def note(found: list[Row]) -> list[Row]:
        keys = {key(row) for row in found}
        rows[:] = [row for row in rows if key(row) not in keys] + found
        keep("quality", rows, a.out)
        return found

    first = [m for m in a.methods if SAME_TOKENS not in m or "apt" not in a.methods]
    undone = work_off((chain(task, method) for task in a.tasks for method in first), measured, a.jobs, a.minutes)
    print("\n".join([table(rows, a.tasks), *undone]))


@cache
def lab() -> Lab:
    """Where the runs are."""
    return Lab(BUILD / "quality_runs")


def key(row: Row) -> tuple[Any, ...]:
    """What two rows of one measurement share."""
    return row.get("task", "banking77"), row["method"], row["seed"], round(row["learning_rate"], 8)


def measured(work: Work) -> Row:
    """One run, trained unless it is there."""
    run = trained(work)
    settings = run.recipe.training
    found = {
        "task": work.task,
        "method": work.method,
        "seed": work.seed,
        "learning_rate": settings.learning_rate,
        "epochs": settings.epochs,
        "precision": run.record["hardware"]["precision"],
        "device": run.record["hardware"]["name"],
        "headline": run.headline,
        "test": run.metrics["test"],
        "validation": run.metrics["validation"],
        "cost": run.cost,
        "curve": curve(run),
        **({"openness": openness(run.artifact("prefix-gates"))} if work.method == "apt" else {}),
    }
    print(json.dumps({k: found[k] for k in ("task", "method", "seed", "learning_rate", "test")}), flush=True)
    return found


def trained(work: Work) -> Run:
    """The run of a piece of work."""
    name, settings = asked(work.method)
    if work.gates is not None:
        settings["lengths_from"] = trained(Work(work.task, "apt", work.seed, work.gates)).id
    settings |= {"epochs": TASKS[work.task].epochs, "seed": work.seed, "learning_rate": work.rate}
    recipe = lab().recipe(name, model="minilm", data=TASKS[work.task].spec(), **settings)
    return trained_once(lab(), recipe)


def curve(run: Run) -> list[dict[str, float]]:
    """How the score on validation came about: step, seconds of training, score."""
    points = run.history.query("split == 'validation'")
    names = ["step", "seconds", run.headline]
    return [dict(zip(("step", "seconds", "score"), map(float, point), strict=True)) for point in points[names].values]


def chosen_rate(rows: Iterable[Row], task: str, method: str) -> float:
    """The learning rate with the best score on validation with seed 0."""
    tried = [row for row in rows if row.get("task", "banking77") == task and row["method"] == method]
    tried = [row for row in tried if row["seed"] == 0]
    if not tried:
        raise SystemExit(f"{method} has to be measured on {task} first")
    best = max(tried, key=lambda row: row["validation"][row.get("headline", "accuracy")])
    return float(best["learning_rate"])


def few(train: Path, per_label: int) -> Path:
    """So many rows of each label, as a file."""
    return _drawn(train, f"{per_label}", lambda rows: rows[rows.groupby("label").cumcount() < per_label])


def others(train: Path, per_label: int, count: int) -> Path:
    """So many rows that are not among the few of each label, as a file."""
    name = f"not-{per_label}-{count}"
    return _drawn(train, name, lambda rows: rows[rows.groupby("label").cumcount() >= per_label].head(count))


def _drawn(train: Path, name: str, of: Callable[[Any], Any]) -> Path:
    import pandas as pd

    file = BUILD / "quality_data" / f"{train.stem}-{name}.csv"
    if file.exists():  # another process may be reading it
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    of(pd.read_csv(train).sample(frac=1, random_state=0)).to_csv(file, index=False)
    return file


def table(rows: Iterable[Row], tasks: Iterable[str]) -> str:
    """For each task and method the scores over seeds, at the learning rate that was chosen on validation."""
    lines = [
        "| task | method | score | test, mean ± sd | seeds | over `full`, by seed | learning rate | trainable |",
        "|---|---|---|---|---|---|---|--:|",
    ]
    for task in tasks:
        own = [row for row in rows if row.get("task", "banking77") == task]
        methods = list(dict.fromkeys(row["method"] for row in own))
        full = by_seed(own, task, "full") if "full" in methods else {}
        for method in methods:
            found = by_seed(own, task, method)
            first = found[0]
            name = first.get("headline", "accuracy")
            score = {seed: row["test"][name] for seed, row in sorted(found.items())}
            each = ", ".join(f"{value:.4f}" for value in score.values())
            over = [value - full[seed]["test"][name] for seed, value in score.items() if seed in full]
            apart = "" if method == "full" else ", ".join(f"{one:+.3f}" for one in over)
            cells = [task, method, name, spread(list(score.values())), each, apart]
            cells += [f"{first['learning_rate']:.2g}", f"{first['cost']['trainable']:,}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def by_seed(rows: Iterable[Row], task: str, method: str) -> dict[int, Row]:
    """The rows of a method with the learning rate that was chosen on validation."""
    rows = list(rows)
    rate = chosen_rate(rows, task, method)
    return {row["seed"]: row for row in rows if row["method"] == method and row["learning_rate"] == rate}


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
