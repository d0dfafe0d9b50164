"""Memory of tensors alone while a method trains on a CPU, as ``max_memory_allocated`` tells it on CUDA.

python -m benchmarks tensors                       # full against sparse on Banking77: the longest batches, four steps
python -m benchmarks tensors --methods full lora

The resident memory of a process is mostly libraries and what the C library keeps; this is what the method needs. Every
allocation and release of a tensor is recorded, from before the model is loaded until the run is closed, and the highest
sum is told for each part of the run. The longest batch comes first, and the optimizer's state after the first step, so
that a few steps reach what all of them would. Each method has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, asked, keep
from benchmarks.quality import TASKS
from peft_lab.lab import Lab
from peft_lab.training.progress import Progress

METHODS = (
    "full",
    "sparse density=0.01",
    "sparse density=0.01 granularity=row",
    "sparse density=0.01 granularity=tensor",
    "sparse density=0.01 lowest=3",
    "sparse density=0.01 granularity=tensor lowest=3",
    "sparse density=0.01 granularity=tensor lowest=4",
)
STEPS = 4


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks tensors")
    parser.add_argument("--task", choices=TASKS, default="banking77")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--one", help="one method, in this process")
    parser.add_argument("--out", type=Path)
    a = parser.parse_args(argv)
    if a.one:
        print(json.dumps(one(a.task, a.one)))
        return
    rows: list[dict[str, Any]] = []
    for method in a.methods:
        command = [sys.executable, "-m", "benchmarks", "tensors", "--task", a.task, "--one", method]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        keep("tensors", rows, a.out)
    print(table(rows))


def one(task: str, method: str) -> dict[str, Any]:
    """Bytes of tensors at their highest, by what the run was doing."""
    from torch.profiler import ProfilerActivity, profile

    name, settings = asked(method)
    lab = Lab(ROOT / "build" / "tensor_runs")
    recipe = lab.recipe(name, model="minilm", data=TASKS[task].spec(), max_steps=STEPS, **settings)
    phases: list[tuple[int, str]] = []

    class Noting(Progress):
        def update(self, **said: Any) -> None:
            if "phase" in said:
                phases.append((time.time_ns(), said["phase"]))
            super().update(**said)

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run = lab.training_of(recipe)(Noting())
    events = recorded.profiler.kineto_results.events()
    moves = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    now, at, phase, highest = 0, 0, "start", {}
    for when, size in moves:
        while at < len(phases) and phases[at][0] <= when:
            phase, at = phases[at][1], at + 1
        now += size
        highest[phase] = max(highest.get(phase, 0), now)
    return {"method": method, "highest": highest, "trainable": run.cost["trainable"], "total": run.cost["total"]}


def table(rows: list[dict[str, Any]]) -> str:
    """MiB by part of the run; shares of the first method."""
    parts = [part for part in rows[0]["highest"] if part != "start"]
    lines = [f"| method | {' | '.join(parts)} | training, share of the first |", "|---" * (len(parts) + 2) + "|"]
    for row in rows:
        mib = [f"{row['highest'].get(part, 0) / 2**20:.0f}" for part in parts]
        share = row["highest"]["training"] / rows[0]["highest"]["training"]
        lines.append(f"| {row['method']} | {' | '.join(mib)} | {share:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
