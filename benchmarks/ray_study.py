"""Two Ray workers against one, on the cells of a small study, one thread each; all start-up counts."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import asked, keep

METHODS = ("bitfit", "lora", "head")


def train(cell: Mapping[str, Any]) -> dict[str, Any]:
    """What a study does with a cell, and how long it took whom."""
    from peft_lab.study.cells import run_cell

    began = time.perf_counter()
    done = run_cell(cell)
    return {**done, "seconds": time.perf_counter() - began, "pid": os.getpid()}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks ray_study")
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--data", default="helpdesk")
    a = parser.parse_args(argv)
    os.environ["OMP_NUM_THREADS"] = "1"  # of workers: they inherit it
    with tempfile.TemporaryDirectory() as scratch:
        rows = [measure(a, workers, Path(scratch)) for workers in (1, 2)]
    one, two = rows
    same = one.pop("metrics") == two.pop("metrics")
    ratio = one["seconds"] / two["seconds"]
    print(f"two workers: {ratio:.2f} times as fast, scores {'equal' if same else 'NOT equal'}")
    settings = {"cells": a.cells, "steps": a.steps, "model": a.model, "data": a.data}
    keep("ray_study", {**settings, "rows": rows, "ratio": round(ratio, 3), "same": same})


def measure(a: argparse.Namespace, workers: int, scratch: Path) -> dict[str, Any]:
    """All cells on a Ray of its own with so many workers."""
    from peft_lab.lab import Lab
    from peft_lab.run import Run
    from peft_lab.study.places.cluster import connected
    from peft_lab.study.places.on_ray import OnRay

    lab = Lab(scratch / "runs")
    cells = []
    for number in range(a.cells):
        method, options = asked(METHODS[number % len(METHODS)])
        recipe = lab.composed(
            method, model=a.model, data=a.data, seed=number // len(METHODS), max_steps=a.steps, device="cpu", **options
        )
        folder = scratch / str(workers) / f"c{number}"
        cells.append({"address": folder.name, "folder": str(folder), "recipe": recipe.model_dump(mode="json")})
    began = time.perf_counter()
    with connected("", workers):
        there = time.perf_counter()
        found = list(OnRay(OnRay.Options(workers=workers)).run_cells(train, cells, bool))
        done = time.perf_counter()
    failed = [row["error"] for row in found if "error" in row]
    if failed:
        raise SystemExit(failed[0])
    by_cell = {row["cell"]: row for row in found}
    row = {
        "workers": workers,
        "seconds": round(done - there, 2),
        "start": round(there - began, 2),
        "of_cells": [round(by_cell[cell["address"]]["seconds"], 2) for cell in cells],
        "processes": len({one["pid"] for one in found}),
    }
    print(row)
    return row | {"metrics": {name: dict(Run(one["path"]).metrics["test"]) for name, one in by_cell.items()}}
