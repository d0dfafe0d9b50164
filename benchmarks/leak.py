"""Many trainings in one kernel: does memory grow?

The same trainings, in turn of their methods, in a real kernel through ``%peft train`` and in one process through
``Lab``. After each one: the resident memory of the process, what torch holds on a GPU, and how many parameters of any
model are still alive. The measure is the highest memory after the second training against that of the second.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.common import ROOT, keep

METHODS = ("bitfit", "lora", "full")
ALLOWED = 0.05
SETUP = "import json\n%load_ext peft_lab\nfrom benchmarks.leak import held"
TRAIN = "%peft train {method} --model {model} --data {data} --max-steps {steps}"
TELL = "print(json.dumps(held()))"


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks leak")
    parser.add_argument("--trainings", type=int, default=20)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--data", default="helpdesk")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS])
    parser.add_argument("--dry", action="store_true", help="write no record")
    a = parser.parse_args(argv)
    asked = {
        "methods": [a.methods[at % len(a.methods)] for at in range(a.trainings)],
        "model": a.model,
        "data": a.data,
        "steps": a.steps,
    }
    rows = [{"way": way, **WAYS[way](asked)} for way in a.ways]
    if not a.dry:
        keep("leak", rows)
    report(rows)


def held() -> dict[str, int]:
    """What this process holds now, in bytes, and how many parameters of models live in it."""
    import psutil
    import torch

    gc.collect()
    device = torch.cuda.memory_allocated() if torch.cuda.is_available() else 0
    alive = sum(isinstance(found, torch.nn.Parameter) for found in gc.get_objects())
    return {"resident": psutil.Process().memory_info().rss, "device": device, "parameters": alive}


def in_a_kernel(asked: dict) -> dict:
    """All trainings as cells of one notebook."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SETUP)])
    for method in asked["methods"]:
        train = TRAIN.format(method=method, **{name: asked[name] for name in ("model", "data", "steps")})
        book.cells += [nbformat.v4.new_code_cell(train), nbformat.v4.new_code_cell(TELL)]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PEFT_LAB_RUNS": folder}
        NotebookClient(book, timeout=1200, resources={"metadata": {"path": str(ROOT)}}).execute(env=env)
    told = [json.loads(cell.outputs[-1]["text"].splitlines()[-1]) for cell in book.cells[2::2]]
    return summed(asked["methods"], told, time.perf_counter() - began)


def in_a_process(asked: dict) -> dict:
    """All trainings by one lab in a process of its own."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.leak", "child", json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return summed(asked["methods"], json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - began)


WAYS = {"kernel": in_a_kernel, "process": in_a_process}


def child(asked: dict) -> None:
    """Train; one line of JSON with what was held after each."""
    from peft_lab.lab import Lab

    told = []
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder)
        for method in asked["methods"]:
            lab.train(method, model=asked["model"], data=asked["data"], max_steps=asked["steps"])
            told.append(held())
    print(json.dumps(told))


def summed(methods: list[str], told: list[dict], seconds: float) -> dict:
    """How far memory grew after the second training, and all that was measured."""
    after = [row["resident"] for row in told]
    return {
        "growth": max(after[2:], default=after[-1]) / after[1] - 1,
        "growth_at_the_end": after[-1] / after[1] - 1,
        "device_growth": told[-1]["device"] - told[1]["device"],
        "parameters_left": max(row["parameters"] for row in told),
        "seconds": seconds,
        "trainings": [{"method": method, **row} for method, row in zip(methods, told, strict=True)],
    }


def report(rows: list[dict]) -> None:
    print("| where | trainings | after the second | highest after it | growth | at the end | parameters alive |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        after = [one["resident"] / 1e6 for one in row["trainings"]]
        memory = f"{after[1]:.0f} MB | {max(after[2:], default=after[-1]):.0f} MB"
        growth = f"{row['growth']:+.1%} | {row['growth_at_the_end']:+.1%}"
        print(f"| {row['way']} | {len(after)} | {memory} | {growth} | {row['parameters_left']} |")
    worst = max(row["growth"] for row in rows)
    print(f"memory grows by {worst:.1%} after the second training; allowed {ALLOWED:.0%}")


if __name__ == "__main__":
    child(json.loads(sys.argv[2]))
