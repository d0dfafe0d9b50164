"""RFT against plain fine-tuning on smollm2: same steps, same seeds, held-out losses by the role of tokens.

python -m benchmarks rft                                      # the packaged generator
python -m benchmarks rft --data ../shared/data/toolcalls_train.json --max-steps 60 --methods lora lora+rft

Roles are found once for each data set and laid over all runs. Finished runs are kept and not trained again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, asked, keep, spread, trained_once
from peft_lab.by_role import by_run
from peft_lab.lab import Lab
from peft_lab.run import Run

BUILD = ROOT / "build"
SCORES = (
    "loss",
    "loss_reasoning",
    "loss_boilerplate",
    "exact_match",
    "valid_json",
    "tool_name",
    "argument_keys",
    "argument_values",
    "forgetting",
)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks rft")
    parser.add_argument("--data", default="toolcalls")
    parser.add_argument("--methods", nargs="+", default=["lora", "lora+rft"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-steps", type=int, default=60)
    parser.add_argument("--out", type=Path)
    a = parser.parse_args(argv)
    lab = Lab(BUILD / "rft_runs")
    rows: list[dict[str, Any]] = []
    for seed in range(a.seeds):
        runs = {method: trained(lab, method, seed, a) for method in a.methods}
        laid = by_run(list(runs.values()))
        for method, run in runs.items():
            scores = {**run.metrics["test" if "test" in run.metrics else "validation"], **laid.get(run.id, {})}
            row = {"data": Path(a.data).name, "method": method, "seed": seed, "scores": scores, "cost": run.cost}
            rows.append(row)
            print(json.dumps({**row, "cost": row["cost"]["seconds"]}), flush=True)
            keep("rft", rows, a.out)
    print(table(rows))


def trained(lab: Lab, method: str, seed: int, a: argparse.Namespace) -> Run:
    """A run, trained unless it is there."""
    name, settings = asked(method)
    recipe = lab.recipe(name, model="smollm2", data=a.data, max_steps=a.max_steps, seed=seed, **settings)
    return trained_once(lab, recipe)


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and deviation over seeds; for each score also the difference to the first method, seed by seed."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    first = {row["seed"]: row["scores"] for row in rows if row["method"] == methods[0]}
    lines = ["| score | " + " | ".join(methods) + " |", "|---|" + "---|" * len(methods)]
    for name in SCORES:
        cells = []
        for method in methods:
            these = [row for row in rows if row["method"] == method and name in row["scores"]]
            cell = spread([row["scores"][name] for row in these]) if these else "–"
            if method != methods[0] and these:
                apart = [row["scores"][name] - first[row["seed"]][name] for row in these if name in first[row["seed"]]]
                cell += " (" + ", ".join(f"{one:+.4f}" for one in apart) + ")"
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
