"""Time and peak memory until a method reaches the validation score that ``full`` reaches at its best, on minilm.

python -m benchmarks reach                                   # ten examples of each label, seeds 0, 1, 2
python -m benchmarks reach --methods "full learning_rate=9e-4" "sparse granularity=tensor learning_rate=3e-3"

Each run has a process of its own, seeds after one another and methods in turn. The first method is the one whose best
score the others have to reach. Seconds are those of training, and with those of getting ready (calibration is in them).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, asked, keep, middle
from benchmarks.quality import TASKS, curve
from peft_lab.lab import Lab

METHODS = (
    "full learning_rate=9e-4",
    "sparse density=0.01 learning_rate=3e-3",
    "sparse density=0.01 granularity=row learning_rate=3e-3",
    "sparse density=0.01 granularity=tensor learning_rate=3e-3",
    "sparse density=0.01 lowest=3 learning_rate=3e-3",
    "sparse density=0.01 granularity=tensor lowest=3 learning_rate=3e-3",
)
"""With the learning rates that a sweep on validation chose for ten examples of each label."""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks reach")
    parser.add_argument("--task", choices=TASKS, default="banking77-10")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "SEED"), help="one run, in this process")
    parser.add_argument("--out", type=Path)
    a = parser.parse_args(argv)
    epochs = a.epochs or TASKS[a.task].epochs
    if a.one:
        print(json.dumps(one(a.task, a.one[0], int(a.one[1]), epochs)))
        return
    rows: list[dict[str, Any]] = []
    for seed in range(a.seeds):
        for method in a.methods:
            command = [sys.executable, "-m", "benchmarks", "reach", "--task", a.task, "--epochs", str(epochs)]
            done = subprocess.run([*command, "--one", method, str(seed)], capture_output=True, text=True, cwd=ROOT)
            if done.returncode:
                sys.exit(done.stderr)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            keep("reach", rows, a.out)
    print(table(rows))


def one(task: str, method: str, seed: int, epochs: float) -> dict[str, Any]:
    """One run, trained anew."""
    name, settings = asked(method)
    lab = Lab(ROOT / "build" / "reach_runs")
    settings = {"epochs": epochs, "seed": seed, **settings}
    run = lab.train(name, model="minilm", data=TASKS[task].spec(), **settings)
    return {"method": method, "seed": seed, "cost": run.cost, "curve": curve(run), "test": run.metrics["test"]}


def reached(row: dict[str, Any], score: float) -> float | None:
    """Seconds of training until the score on validation; None where it is never reached."""
    return next((point["seconds"] for point in row["curve"] if point["score"] >= score), None)


def table(rows: list[dict[str, Any]]) -> str:
    """For each method: seconds until the best score of the first, by seed, and as a share of what that took."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    first = {row["seed"]: row for row in rows if row["method"] == methods[0]}
    best = {seed: max(point["score"] for point in row["curve"]) for seed, row in first.items()}
    took = {seed: reached(row, best[seed]) or 0.0 for seed, row in first.items()}
    lines = [
        "| method | seconds of training until the best score of the first | share | with getting ready "
        "| seconds a step, share | peak memory, share |",
        "|---|---|---|---|---|---|",
    ]
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        until = [(row, reached(row, best[row["seed"]])) for row in own]
        there = [(row, seconds) for row, seconds in until if seconds is not None]
        share = [seconds / took[row["seed"]] for row, seconds in there]
        whole = [
            (row["cost"]["load_seconds"] + seconds) / (first[row["seed"]]["cost"]["load_seconds"] + took[row["seed"]])
            for row, seconds in there
        ]
        step = [row["cost"]["seconds"] / first[row["seed"]]["cost"]["seconds"] for row in own]
        memory = [row["cost"]["peak_memory"] / first[row["seed"]]["cost"]["peak_memory"] for row in own]
        each = ", ".join("never" if seconds is None else f"{seconds:.0f}" for _, seconds in until)
        cells = [method, each, *(middle(values) for values in (share, whole, step, memory))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
