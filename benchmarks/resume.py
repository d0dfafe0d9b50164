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
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, keep
from peft_lab.errors import MethodRefused, RunProblem
from peft_lab.run import LAST, WEIGHTS, Run
from peft_lab.testing.contract import built_in
from peft_lab.testing.tiny import NEEDED

IMPORTED = ("torch", "transformers", "peft", "accelerate", "datasets", "sklearn.metrics", "peft_lab.training.session")
SETTINGS = {"batch_size": 8, "device": "cpu"}
REFUSED = 3


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks resume")
    parser.add_argument("--methods", nargs="+", default=[*built_in(), "bitfit+lora"])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--jobs", type=int, default=2, help="methods that are tried at once")
    a = parser.parse_args(argv)
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that the server forks
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["benchmarks.resume", *IMPORTED])
    with tempfile.TemporaryDirectory() as scratch:
        model, data = ground(Path(scratch))

        def measure(method: str) -> dict:
            settings = {**SETTINGS, "model": str(model), "data": str(data), **NEEDED.get(method, {})}
            settings |= {"precision": a.precision, "epochs": a.epochs}
            draw = random.Random(f"{a.seed} {method}")
            began = time.perf_counter()
            found = kills(fork, Path(scratch) / method, method, settings, a.moments, draw)
            found = {"method": method, "epochs": a.epochs, **found, "seconds": round(time.perf_counter() - began)}
            print(json.dumps(found), flush=True)
            return found

        # Each method's row is kept at once, beside those of other methods: they may be measured on different days.
        name = "resume" if a.precision == "fp32" else f"resume-{a.precision}"
        kept = RESULTS / f"{name}.json"
        rows = {r["method"]: r for r in json.loads(kept.read_text())["results"]} if kept.exists() else {}
        with ThreadPoolExecutor(a.jobs) as pool:
            for done in as_completed([pool.submit(measure, method) for method in a.methods]):
                rows[done.result()["method"]] = done.result()
                keep(name, list(rows.values()))
    print("| method | killed | of these before the first step | equal after resuming |\n|---|---|---|---|")
    for row in rows.values():
        result = f"{row['equal']} of {row['moments']}" if "equal" in row else "refused before training"
        print(f"| {row['method']} | {row.get('killed', '')} | {row.get('early', '')} | {result} |")


def ground(folder: Path) -> tuple[Path, Path]:
    """A tiny model and some rows, as files."""
    from peft_lab.testing import tiny_model, tiny_rows

    data = folder / "rows.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in tiny_rows(240)))
    return tiny_model(folder / "model", num_hidden_layers=4, hidden_size=64, intermediate_size=256), data


def kills(fork: Any, folder: Path, method: str, settings: dict, moments: int, draw: random.Random) -> dict:
    """What became of one method, killed at so many moments between the start of its run and the end."""
    found = {"moments": moments, "killed": 0, "early": 0, "equal": 0, "unreadable": 0}
    process = fork.Process(target=begin, args=(folder, method, settings))
    path = folder / "run-1"
    began = started(process, path)
    process.join()
    if process.exitcode == REFUSED:
        return {"refused": True}
    duration = time.perf_counter() - began
    whole = facts(path)
    for number in range(2, 3 * moments):
        if found["killed"] == moments:
            break
        child = fork.Process(target=begin, args=(folder, method, settings))
        path = folder / f"run-{number}"
        started(child, path)
        time.sleep(draw.uniform(0, duration))
        if not child.is_alive():  # it was faster than the first
            continue
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        found["killed"] += 1
        found["early"] += not (path / "metrics.jsonl").exists()
        try:
            status = Run(path).status
        except RunProblem:
            found["unreadable"] += 1
            continue
        if status != "finished":  # else it was killed on its way out, when all was written
            again = fork.Process(target=go_on, args=(folder, path.name))
            again.start()
            again.join()
        found["equal"] += facts(path) == whole
    return found


def started(process: Any, path: Path) -> float:
    """Start a process and wait until its run is there, or the process has ended; returns the time."""
    process.start()
    while not path.is_dir() and process.is_alive():
        time.sleep(0.001)
    return time.perf_counter()


def begin(folder: Path, method: str, settings: dict) -> None:
    from peft_lab.lab import Lab
    from peft_lab.training import checkpoint

    checkpoint.EVERY, checkpoint.SHARE = 0.05, 1.0
    lab = Lab(folder)
    try:
        lab.train_recipe(lab.recipe(method, **settings))
    except MethodRefused:
        sys.exit(REFUSED)


def go_on(folder: Path, name: str) -> None:
    from peft_lab.lab import Lab

    Lab(folder).resume(name)


def facts(path: Path) -> dict:
    """What must be equal."""
    from peft_lab.training.weights import read_tensors

    run = Run(path)
    files = [path / name for name in (WEIGHTS, LAST) if (path / name).exists()]
    tensors = {(f.name, n): t.numpy().tobytes() for f in files for n, t in read_tensors(f).items()}
    points = [{k: v for k, v in point.items() if k != "seconds"} for point in run.points]
    return {"status": run.status, "metrics": run.metrics, "points": points, "tensors": tensors}


if __name__ == "__main__":
    main(sys.argv[1:])
