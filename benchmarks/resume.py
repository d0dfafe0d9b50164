"""Kill a training at random moments and resume it: equal to the run that was never killed, or not.

Each training is a process of its own, killed with SIGKILL; another fresh process resumes it. Equal means every metric
point, the final scores, and every bit of the weights that were kept.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import keep

METHODS = (
    "full",
    "head",
    "bitfit",
    "lora",
    "bitfit+lora",
    "peft:ia3",
    "peft:vera",
    "peft:shira",
    "peft:prefix_tuning",
    "peft:prompt_tuning",
)
NEEDED = ("torch", "transformers", "peft", "accelerate", "datasets", "sklearn.metrics", "peft_lab.training.session")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks resume")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args(argv)
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["benchmarks.resume", *NEEDED])
    draw = random.Random(a.seed)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        model, data = ground(Path(scratch))
        for method in a.methods:
            began = time.perf_counter()
            row = {"method": method, **kills(fork, Path(scratch) / method, model, data, method, a.moments, draw)}
            rows.append({**row, "seconds": time.perf_counter() - began})
            print(json.dumps(rows[-1]), flush=True)
    keep("resume", rows)
    print("| method | killed | of these before the first step | equal after resuming |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['method']} | {row['killed']} | {row['early']} | {row['equal']} of {row['moments']} |")


def ground(folder: Path) -> tuple[Path, Path]:
    """A tiny model and some rows, as files."""
    from peft_lab.testing import tiny_model, tiny_rows

    data = folder / "rows.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in tiny_rows(240)))
    return tiny_model(folder / "model", num_hidden_layers=4, hidden_size=64, intermediate_size=256), data


def kills(fork: Any, folder: Path, model: Path, data: Path, method: str, moments: int, draw: random.Random) -> dict:
    settings = {"model": str(model), "data": str(data), "epochs": 6, "batch_size": 8, "device": "cpu"}
    began = time.perf_counter()
    whole = finished(fork.Process(target=begin, args=(folder, method, settings)), folder / "run-1")
    duration = time.perf_counter() - began
    found = {"moments": moments, "killed": 0, "early": 0, "equal": 0, "unreadable": 0}
    for number in range(2, moments + 2):
        child = fork.Process(target=begin, args=(folder, method, settings))
        child.start()
        path = folder / f"run-{number}"
        while not path.is_dir():
            time.sleep(0.001)
        time.sleep(draw.uniform(0, duration))
        alive = child.is_alive()
        if alive:
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        found["killed"] += alive
        found["early"] += not (path / "metrics.jsonl").exists()
        if not (path / "run.json").exists():
            found["unreadable"] += 1  # killed between making the folder and writing the record
            continue
        run = finished(fork.Process(target=go_on, args=(folder, path.name)), path) if alive else facts(path)
        found["equal"] += run == whole
    return found


def begin(folder: Path, method: str, settings: dict) -> None:
    from peft_lab.lab import Lab
    from peft_lab.training import checkpoint

    checkpoint.EVERY, checkpoint.SHARE = 0.05, 1.0
    lab = Lab(folder)
    lab.train_recipe(lab.recipe(method, precision="fp32", **settings))


def go_on(folder: Path, name: str) -> None:
    from peft_lab.lab import Lab

    Lab(folder).resume(name)


def finished(process: Any, path: Path) -> dict:
    process.start()
    process.join()
    return facts(path)


def facts(path: Path) -> dict:
    """What must be equal."""
    from peft_lab.run import LAST, WEIGHTS, Run
    from peft_lab.training.weights import read_tensors

    run = Run(path)
    files = [path / name for name in (WEIGHTS, LAST) if (path / name).exists()]
    tensors = {(f.name, n): t.numpy().tobytes() for f in files for n, t in read_tensors(f).items()}
    points = [{k: v for k, v in point.items() if k != "seconds"} for point in run.points]
    return {"status": run.status, "metrics": run.metrics, "points": points, "tensors": tensors}


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
