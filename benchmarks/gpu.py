"""Quality, speed and memory on one GPU, in one command: ``python -m benchmarks gpu``. One JSON comes out of it.

It needs no network and nothing beyond the working tree and the packages installed: the data set helpdesk and the model
minilm are packaged. Ten minutes on one modern GPU at most: when the time is over, what is left is named and left out.
``--small`` runs all of it on any machine, on a tiny model, to see that it works; its figures mean nothing.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import keep, spread
from peft_lab.lab import Lab
from peft_lab.testing import tiny_lab

PRECISIONS = ("fp32", "bf16")
SPEED_STEPS = 30


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks gpu")
    parser.add_argument("--methods", nargs="+", default=["full", "head", "bitfit", "lora", "peft:vera"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", type=int, default=[8, 32, 128, 512])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/gpu.json")
    parser.add_argument("--small", action="store_true", help="a tiny model, few steps, any device")
    a = parser.parse_args(argv)
    if not a.small and a.device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            sys.exit("skipped: no CUDA device on this machine; --small shows that the benchmark works")
    until = time.monotonic() + 60 * a.minutes
    results: dict[str, list[dict]] = {"quality": [], "speed": [], "left_out": []}
    with tempfile.TemporaryDirectory() as folder:
        lab = small_lab(Path(folder), a) if a.small else Lab(folder)
        lab.train("head", **common(a), max_steps=2, precision="fp32")  # what is loaded and settled once a process
        for part, settings in plan(a):
            if time.monotonic() > until:
                results["left_out"].append({"part": part, **settings})
                continue
            row = measure(lab, part, settings, a)
            results[part].append(row)
            print(json.dumps({"part": part, **row}), flush=True)
    keep("gpu", results, a.out)
    report(results, a)


def small_lab(folder: Path, a: argparse.Namespace) -> Lab:
    """A lab with a tiny model, and sizes that take seconds."""
    a.methods, a.seeds, a.sizes = a.methods[:2], 1, [4]
    a.device = "auto"
    return tiny_lab(folder)


def common(a: argparse.Namespace) -> dict[str, Any]:
    name = {"model": "tiny", "data": "tiny"} if a.small else {"model": "minilm", "data": "helpdesk"}
    return {**name, "device": a.device}


def plan(a: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is measured, the most telling first; the precisions of one setting stand beside each other."""
    for seed in range(a.seeds):
        for method in a.methods:
            for precision in PRECISIONS:
                yield "quality", {"method": method, "seed": seed, "precision": precision}
        if seed == 0:
            for size in a.sizes:
                for method in a.methods:
                    for precision in PRECISIONS:
                        yield "speed", {"method": method, "batch_size": size, "precision": precision}


def measure(lab: Lab, part: str, settings: dict[str, Any], a: argparse.Namespace) -> dict:
    """One training. For speed: some steps of one size, without decay to zero that they would not live to see."""
    given = {**common(a), **settings}
    if part == "speed":
        given |= {"max_steps": 3 if a.small else SPEED_STEPS, "epochs": 1000, "schedule": "constant"}
    elif a.small:
        given |= {"max_steps": 3}
    run = lab.train(given.pop("method"), **given)
    hardware, cost = run.record["hardware"], run.cost
    return {
        **settings,
        "precision": hardware["precision"],
        "held": hardware.get("held", ""),
        "device": hardware["device"],
        "device_name": hardware["name"],
        "tf32": hardware.get("tf32"),
        "accuracy": run.metrics["test"]["accuracy"],
        "trainable": cost["trainable"],
        "steps": run.record["steps"]["done"],
        "seconds": cost["seconds"],
        "eval_seconds": cost["eval_seconds"],
        "load_seconds": cost["load_seconds"],
        "texts_per_second": cost["texts_per_second"],
        "peak_memory": cost["peak_memory"],
        "proof": all(mark["ok"] for mark in run.record["proof"]),
    }


def report(results: dict[str, list[dict]], a: argparse.Namespace) -> None:
    print("| method | precision | test accuracy, mean ± sd | texts/s, median | peak memory, MiB |")
    print("|---|---|---|---|---|")
    for method in a.methods:
        for precision in PRECISIONS:
            rows = [r for r in results["quality"] if (r["method"], r["precision"]) == (method, precision)]
            if rows:
                speed = statistics.median(r["texts_per_second"] for r in rows)
                memory = statistics.median(r["peak_memory"] for r in rows) / 2**20
                accuracy = spread([r["accuracy"] for r in rows])
                print(f"| {method} | {precision} | {accuracy} | {speed:.0f} | {memory:.0f} |")
    print("\n| method | precision | " + " | ".join(f"texts/s (MiB) at {size}" for size in a.sizes) + " |")
    print("|---|---|" + "---|" * len(a.sizes))
    for method in a.methods:
        for precision in PRECISIONS:
            cells = [cell(results["speed"], method, precision, size) for size in a.sizes]
            print(f"| {method} | {precision} | " + " | ".join(cells) + " |")
    if results["left_out"]:
        print(f"\nleft out, as the time was over: {len(results['left_out'])} measurements, named in the record")


def cell(rows: list[dict], method: str, precision: str, size: int) -> str:
    wanted = (method, precision, size)
    found = [r for r in rows if (r["method"], r["precision"], r["batch_size"]) == wanted]
    return f"{found[0]['texts_per_second']:.0f} ({found[0]['peak_memory'] / 2**20:.0f})" if found else "–"


if __name__ == "__main__":
    main(sys.argv[1:])
