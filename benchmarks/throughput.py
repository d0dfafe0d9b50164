"""Training speed, memory and quality against Trainer + PEFT: same model, data, batch size and steps, run in turn.

Each round trains every method four ways, one after the other in processes of their own: the baseline with its
defaults, the baseline with its length groups, peft_lab in the baseline's fp32, and peft_lab in the precision that it
takes by itself. Ratios are taken within a round, medians over rounds; a round is a seed, so that quality is compared
over the same runs.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

from benchmarks.common import BANKING77, BASELINE, ROOT, keep, middle, need, spread
from peft_lab.sources.models import minilm_folder

OURS = {"peft_lab": "fp32", "peft_lab-auto": "auto"}
WAYS = ("trainer", "trainer-grouped", *OURS)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks throughput")
    parser.add_argument("--methods", nargs="+", default=["full", "bitfit", "lora"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=2)
    a = parser.parse_args(argv)
    need(*BANKING77, BASELINE)
    results: list[dict] = []
    for seed in range(a.rounds):
        for method in a.methods:
            for way in WAYS:
                row = {"way": way, "seed": seed, **measure(way, method, seed, a)}
                results.append(row)
                print(json.dumps(row), flush=True)
    keep("throughput", results)
    report(results, a.methods)


def measure(way: str, method: str, seed: int, a: argparse.Namespace) -> dict:
    train, test = BANKING77
    shared = ["--method", method, "--train", str(train), "--test", str(test), "--seed", str(seed)]
    shared += ["--epochs", str(a.epochs), "--batch-size", "32", "--max-length", "64", "--limit", str(a.limit)]
    if way in OURS:
        command = [sys.executable, "-m", "benchmarks.ours", *shared, "--precision", OURS[way]]
    else:
        grouped = ["--group-by-length"] if way == "trainer-grouped" else []
        command = [sys.executable, str(BASELINE), "--model", str(minilm_folder()), *shared, *grouped]
    with tempfile.TemporaryDirectory() as folder:  # the baseline writes beside itself
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT if way in OURS else folder, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def report(results: list[dict], methods: list[str]) -> None:
    print("| method | way | texts/s, median | fp32 / this | auto / this | peak memory, MiB | accuracy |")
    print("|---|---|---|---|---|---|---|")
    for method in methods:
        of_method = [r for r in results if r["method"] == method]
        rows = {w: [r for r in of_method if r["way"] == w] for w in WAYS}
        for way, runs in rows.items():
            speed = statistics.median(r["samples_per_second"] for r in runs)
            memory = statistics.median(r["peak_rss_mib"] for r in runs)
            ratios = " | ".join(ratio(rows[ours], runs) for ours in OURS)
            accuracy = spread([r["accuracy"] for r in runs])
            print(f"| {method} | {way} | {speed:.1f} | {ratios} | {memory:.0f} | {accuracy} |")


def ratio(ours: list[dict], others: list[dict]) -> str:
    """How many times as fast, by round: median and range."""
    return middle([faster(one, other) for one, other in zip(ours, others, strict=True)])


def faster(ours: dict, other: dict) -> float:
    return ours["samples_per_second"] / other["samples_per_second"]


if __name__ == "__main__":
    main(sys.argv[1:])
