"""Training a causal model against Trainer + PEFT: the same rows, LoRA, AdamW and rates, run in turn; and SHAD's cost.

python -m benchmarks causal                          # smollm2 on the packaged generator, three rounds of 12 steps
python -m benchmarks causal --shad                   # finding the roles against the fine-tuning that they serve

Each round trains five ways, each in a process of its own: peft_lab in the precision that it takes by itself, peft_lab
in fp32, Trainer in fp32 and under bf16 autocast with the rows in peft_lab's order, and Trainer in fp32 with its own
random order, as a person would have it. peft_lab groups rows by length, which cannot be switched off: the order that
its first training used is written down, has to be that of the second, and is fed to Trainer. Seconds are those of
the steps alone, nothing is evaluated or saved but what a run of peft_lab writes down as it goes. Memory is the highest
resident memory of the process, loading included. Where other processes are at work, ``cpu_seconds`` of all threads say
more than seconds do. Ratios are taken within a round, medians over rounds.

A round is a seed: of the adapters and of the order of rows, or with ``--order 0`` of the adapters only. Adapters of one
seed begin alike in all ways, so that losses can be compared step by step, each averaged with some before it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, keep, middle, spread

OURS = ("peft_lab", "peft_lab-fp32")
WAYS = (*OURS, "trainer", "trainer-bf16", "trainer-random")
APART = (("peft_lab", "peft_lab-fp32"), ("peft_lab-fp32", "trainer"), ("trainer-bf16", "trainer"))
"""Whose losses are compared, on the same rows from the same adapters."""
SMOOTH = 5
"""Steps that a loss is averaged over."""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks causal")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--data", default="toolcalls")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--order", type=int, help="seed of the order of rows in all rounds")
    parser.add_argument("--shad", action="store_true", help="measure what finding the roles costs instead")
    parser.add_argument("--epochs", type=float, default=3, help="of the fine-tuning that roles are found for")
    parser.add_argument("--options", nargs="*", default=[], help="of shad, such as upper=0.5")
    parser.add_argument("--here", action="store_true", help="in this process: to try it; memory then says nothing")
    parser.add_argument("--out", type=Path)
    a = parser.parse_args(argv)
    if a.ways[0] not in OURS and not a.shad:
        sys.exit(f"the first way writes down what the others do: name one of {', '.join(OURS)} first")
    if a.shad and a.steps < 2:
        sys.exit("the pace is that of the steps after the first: at least --steps 2")
    rows: list[dict[str, Any]] = []
    for seed in range(a.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for way in ("shad",) if a.shad else a.ways:
                row = {"way": way, "seed": seed, **measure(way, seed, Path(folder) / "work.json", a)}
                rows.append(row)
                print(json.dumps(row), flush=True)
        if a.shad:
            keep("causal_shad", about(rows, a), a.out)
        else:
            keep("causal", about(rows, a) | {"losses": losses(rows)}, a.out)
    print(shad_table(rows) if a.shad else table(rows))


def measure(way: str, seed: int, work: Path, a: argparse.Namespace) -> dict[str, Any]:
    """One training in a process of its own."""
    argv = [way, "--work", str(work), "--model", a.model, "--data", a.data, "--seed", str(seed)]
    argv += ["--steps", str(a.steps), "--epochs", str(a.epochs)]
    argv += ["--limit", str(a.limit)] if a.limit else []
    argv += ["--order", str(a.order)] if a.order is not None else []
    argv += ["--options", *a.options]
    if a.here:
        from benchmarks.causal_run import run

        return run(argv)
    command = [sys.executable, "-m", "benchmarks.causal_run", *argv]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"{way}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def about(rows: list[dict[str, Any]], a: argparse.Namespace) -> dict[str, Any]:
    """The record, with what was asked for."""
    return {"model": Path(a.model).name, "data": Path(a.data).name, "limit": a.limit, "order": a.order, "rows": rows}


def losses(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How far apart loss curves are, mean over the steps: of one seed in two ways, and of two seeds in one way."""
    curves = {way: {r["seed"]: smoothed(r["losses"]) for r in rows if r["way"] == way} for way in WAYS}
    of_ways = {
        f"{one} and {other}": [apart(curves[one][seed], curves[other][seed]) for seed in curves[one]]
        for one, other in APART
        if curves[one] and curves[one].keys() == curves[other].keys()
    }
    of_seeds = {
        way: [apart(one, other) for one, other in itertools.combinations(by_seed.values(), 2)]
        for way, by_seed in curves.items()
        if len(by_seed) > 1
    }
    return {"averaged_over": SMOOTH, "ways_apart": of_ways, "seeds_apart": of_seeds}


def smoothed(values: Sequence[float]) -> list[float]:
    """Each value averaged with those before it."""
    return [statistics.mean(values[max(0, i - SMOOTH + 1) : i + 1]) for i in range(len(values))]


def apart(one: Sequence[float], other: Sequence[float]) -> float:
    """Mean absolute difference."""
    return statistics.mean(abs(a - b) for a, b in zip(one, other, strict=True))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Speed, memory and losses of each way."""
    of = {way: [row for row in rows if row["way"] == way] for way in dict.fromkeys(row["way"] for row in rows)}
    known = [way for way in OURS if way in of]
    columns = ["way", "precision", "tokens/s", "supervised/s", "padding", *(f"{way} / this" for way in known)]
    lines = [
        "| " + " | ".join([*columns, "peak memory, MiB"]) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for way, runs in of.items():
        padding = 1 - sum(r["tokens"]["all"] for r in runs) / sum(r["tokens"]["computed"] for r in runs)
        cells = [way, runs[0]["precision"], *(f"{median(runs, n):.1f}" for n in SPEEDS), f"{padding:.1%}"]
        cells += [ratio(of[ours], runs) for ours in known]
        lines.append("| " + " | ".join([*cells, f"{median(runs, 'peak_memory_mib'):.0f}"]) + " |")
    found = losses(rows)
    for name, by_seed in (*found["ways_apart"].items(), *found["seeds_apart"].items()):
        what = "by seed" if name in found["ways_apart"] else "two seeds"
        lines.append(f"\nlosses apart, {name}, {what}: " + ", ".join(f"{value:.4f}" for value in by_seed))
    return "\n".join(lines)


SPEEDS = ("tokens_per_second", "supervised_per_second")


def median(runs: Sequence[dict[str, Any]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def ratio(ours: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> str:
    """How many times as many tokens a second, by round: median and range."""
    name = "tokens_per_second"
    return middle([one[name] / other[name] for one, other in zip(ours, others, strict=True)])


def shad_table(rows: Sequence[dict[str, Any]]) -> str:
    """Seconds of finding the roles and of what they are found for; the latter worked out from fewer steps."""
    shares = [100 * row["share"] for row in rows]
    cells = [spread([row[name] for row in rows]) for name in ("shad_seconds", "sft_seconds")]
    return "\n".join(
        [
            "| finding roles, s | fine-tuning, s (worked out) | share, % |",
            "|---|---|---|",
            "| " + " | ".join([*cells, spread(shares)]) + " |",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
