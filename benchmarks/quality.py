"""Test scores of methods over tasks and seeds, on minilm. Finished runs are kept and not trained again.

python -m benchmarks quality                                                  # Banking77, default settings
python -m benchmarks quality --tasks banking77-10 cola --methods full bitfit adapter --sweep
python -m benchmarks quality --methods full "sparse density=0.01" "sparse density=0.01 by=random" --sweep

With ``--sweep`` a third, once and three times the method's own learning rate are tried with seed 0, and the one with
the best validation score is used for all seeds. Rows are kept beside those that are there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, ROOT, SHARED, keep, need, spread
from peft_lab.data_spec import DataSpec
from peft_lab.lab import Lab
from peft_lab.run import list_runs

FACTORS = (1 / 3, 1.0, 3.0)
BUILD = ROOT / "build"


@dataclass(frozen=True)
class Asked:
    """A task as it is trained here."""

    data: str
    kind: str = "csv"
    epochs: float = 3
    per_label: int | None = None
    """Training rows of each label, the same for all methods; smaller sets are parts of larger ones."""

    def spec(self) -> DataSpec:
        """Where its rows are."""
        train, test = (SHARED / "data" / f"{self.data}_{part}.{self.kind}" for part in ("train", "test"))
        need(train, test)
        if self.per_label:
            train = few(train, self.per_label)
        return DataSpec(source=str(train), test=str(test))


TASKS = {
    "banking77": Asked("banking77"),
    "banking77-100": Asked("banking77", per_label=100),
    "banking77-10": Asked("banking77", epochs=10, per_label=10),
    "cola": Asked("cola"),
    "mrpc": Asked("mrpc", epochs=5),
    "sts": Asked("sts"),
    "wnut17": Asked("wnut17", kind="conll"),
}
Row = dict[str, Any]


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks quality")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["banking77"])
    parser.add_argument("--methods", nargs="+", default=["bitfit", "full", "lora", "head"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sweep", action="store_true")
    a = parser.parse_args(argv)
    file = RESULTS / "quality.json"
    rows: list[Row] = json.loads(file.read_text())["results"] if file.exists() else []
    lab = Lab(BUILD / "quality_runs")

    def row(task: str, method: str, seed: int, rate: float | None) -> Row:
        found = measured(lab, task, method, seed, rate)
        rows[:] = [one for one in rows if key(one) != key(found)] + [found]
        keep("quality", rows)
        return found

    for task in a.tasks:
        for method in a.methods:
            first = row(task, method, 0, None)
            rate = first["learning_rate"]
            if a.sweep:
                tried = [first, *(row(task, method, 0, rate * factor) for factor in FACTORS if factor != 1)]
                rate = max(tried, key=lambda one: one["validation"][one["headline"]])["learning_rate"]
            for seed in range(1, a.seeds):
                row(task, method, seed, rate)
    print(table(rows, a.tasks))


def key(row: Row) -> tuple[Any, ...]:
    """What two rows of one measurement share."""
    return row.get("task", "banking77"), row["method"], row["seed"], round(row["learning_rate"], 8)


def measured(lab: Lab, task: str, method: str, seed: int, rate: float | None) -> Row:
    """One run, trained unless it is there."""
    name, *options = method.split()
    settings: dict[str, Any] = dict(option.split("=", 1) for option in options)
    settings |= {"epochs": TASKS[task].epochs, "seed": seed} | ({"learning_rate": rate} if rate else {})
    recipe = lab.recipe(name, model="minilm", data=TASKS[task].spec(), **settings)
    done = {run.recipe.fingerprint: run for run in list_runs(lab.folder) if run.status == "finished"}
    run = done.get(recipe.fingerprint) or lab.train_recipe(recipe)
    found = {
        "task": task,
        "method": method,
        "seed": seed,
        "learning_rate": recipe.training.learning_rate,
        "epochs": recipe.training.epochs,
        "precision": run.record["hardware"]["precision"],
        "headline": run.headline,
        "test": run.metrics["test"],
        "validation": run.metrics["validation"],
        "cost": run.cost,
    }
    print(json.dumps({k: found[k] for k in ("task", "method", "seed", "learning_rate", "test")}), flush=True)
    return found


def few(train: Path, per_label: int) -> Path:
    """So many rows of each label, as a file."""
    import pandas as pd

    file = BUILD / "quality_data" / f"{train.stem}-{per_label}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(train).sample(frac=1, random_state=0)
    rows[rows.groupby("label").cumcount() < per_label].to_csv(file, index=False)
    return file


def table(rows: Iterable[Row], tasks: Iterable[str]) -> str:
    """For each task and method the scores over seeds, at the learning rate that was chosen on validation."""
    lines = [
        "| task | method | score | test, mean ± sd | seeds | learning rate | trainable |",
        "|---|---|---|---|---|---|--:|",
    ]
    for task in tasks:
        own = [row for row in rows if row.get("task", "banking77") == task]
        for method in dict.fromkeys(row["method"] for row in own):
            these = [row for row in own if row["method"] == method]
            score = these[0].get("headline", "accuracy")
            first = max((row for row in these if row["seed"] == 0), key=lambda row: row["validation"][score])
            rate = first["learning_rate"]
            same = sorted((row for row in these if row["learning_rate"] == rate), key=lambda row: row["seed"])
            each = ", ".join(f"{row['seed']}: {row['test'][score]:.4f}" for row in same)
            mean = spread([row["test"][score] for row in same])
            lines.append(
                f"| {task} | {method} | {score} | {mean} | {each} | {rate:.2g} | {first['cost']['trainable']:,} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
