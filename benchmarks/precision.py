"""bf16 against fp32: the loss as it falls, what is learned, and how fast; the same recipes in turn, over seeds.

A pair is one method and one seed trained in both precisions, one right after the other. Speed is compared within a
pair. The loss is averaged over tenths of the training; bf16 is within noise where the two precisions are no further
apart than seeds are. Finished runs are kept and not trained again.
"""

import argparse
import itertools
import json
import statistics
import sys

from benchmarks.common import ROOT, keep, spread
from peft_lab.data_spec import DataSpec
from peft_lab.lab import Lab
from peft_lab.run import Run, list_runs

PRECISIONS = ("fp32", "bf16")
PARTS = 10


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks precision")
    parser.add_argument("--methods", nargs="+", default=["full", "bitfit", "lora", "head"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--device", default="auto")
    a = parser.parse_args(argv)
    results = []
    lab = Lab(ROOT / "build" / "precision_runs")
    done = {r.recipe.fingerprint: r for r in list_runs(lab.folder) if r.status == "finished"}
    lab.train("head", model="minilm", data="helpdesk", max_steps=2, device=a.device)  # what is loaded only once
    for seed in range(a.seeds):
        for method in a.methods:
            for precision in PRECISIONS if seed % 2 else PRECISIONS[::-1]:
                results.append(measure(lab, done, method, seed, precision, a))
                print(json.dumps(results[-1]), flush=True)
    keep("precision", results)
    report(results, a.methods)


def measure(lab: Lab, done: dict[str, Run], method: str, seed: int, precision: str, a: argparse.Namespace) -> dict:
    recipe = lab.recipe(
        method,
        model="minilm",
        data=DataSpec(source="helpdesk", limit=a.limit),
        epochs=a.epochs,
        seed=seed,
        precision=precision,
        device=a.device,
    )
    run = done.get(recipe.fingerprint) or lab.train_recipe(recipe)
    losses = [point["loss"] for point in run.points if point["split"] == "train"]
    return {
        "method": method,
        "seed": seed,
        "precision": run.record["hardware"]["precision"],
        "held": run.record["hardware"].get("held", ""),
        "losses": [round(value, 4) for value in tenths(losses)],
        "validation_losses": [round(p["loss"], 4) for p in run.points if p["split"] == "validation"],
        "accuracy": run.metrics["test"]["accuracy"],
        "texts_per_second": run.cost["texts_per_second"],
        "peak_memory": run.cost["peak_memory"],
    }


def tenths(values: list[float]) -> list[float]:
    """The mean of each tenth of a curve."""
    edges = [round(i * len(values) / PARTS) for i in range(PARTS + 1)]
    return [statistics.mean(values[a:b]) for a, b in itertools.pairwise(edges) if b > a]


def report(results: list[dict], methods: list[str]) -> None:
    print("| method | test accuracy, fp32 | test accuracy, bf16 | texts/s, bf16 / fp32 | losses apart | of seeds |")
    print("|---|---|---|---|---|---|")
    for method in methods:
        of = {p: [r for r in results if r["method"] == method and r["precision"] == p] for p in PRECISIONS}
        for rows in of.values():
            rows.sort(key=lambda r: r["seed"])
        ratios = [b["texts_per_second"] / f["texts_per_second"] for f, b in zip(*of.values(), strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        accuracies = [spread([r["accuracy"] for r in rows]) for rows in of.values()]
        by_precision, by_seed = distances(of["fp32"], of["bf16"])
        print(f"| {method} | {accuracies[0]} | {accuracies[1]} | {ratio} | {by_precision:.4f} | {by_seed:.4f} |")


def distances(fp32: list[dict], bf16: list[dict]) -> tuple[float, float]:
    """How far apart losses are, mean over the tenths: of one seed in two precisions, of two seeds in fp32."""

    def apart(one: dict, other: dict) -> float:
        return statistics.mean(abs(a - b) for a, b in zip(one["losses"], other["losses"], strict=True))

    same_seed = [apart(one, other) for one, other in zip(fp32, bf16, strict=True)]
    other_seed = [apart(one, other) for i, one in enumerate(fp32) for other in fp32[i + 1 :]]
    return statistics.mean(same_seed), statistics.mean(other_seed) if other_seed else float("nan")


if __name__ == "__main__":
    main(sys.argv[1:])
