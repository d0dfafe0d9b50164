"""Banking77, minilm, default settings: test accuracy over seeds. Finished runs are kept and not trained again."""

import argparse
import json
import sys

from benchmarks.common import BANKING77, ROOT, keep, need, spread
from peft_lab.data_spec import DataSpec
from peft_lab.lab import Lab
from peft_lab.run import list_runs


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks quality")
    parser.add_argument("--methods", nargs="+", default=["bitfit", "full", "lora", "head"])
    parser.add_argument("--seeds", type=int, default=3)
    a = parser.parse_args(argv)
    need(*BANKING77)
    lab = Lab(ROOT / "build" / "quality_runs")
    train, test = map(str, BANKING77)
    done = {r.recipe.fingerprint: r for r in list_runs(lab.folder) if r.status == "finished"}
    results = []
    for method in a.methods:
        for seed in range(a.seeds):
            recipe = lab.recipe(method, model="minilm", data=DataSpec(source=train, test=test), seed=seed)
            run = done.get(recipe.fingerprint) or lab.train_recipe(recipe)
            row = {
                "method": method,
                "seed": seed,
                "learning_rate": recipe.training.learning_rate,
                "epochs": recipe.training.epochs,
                "precision": run.record["hardware"]["precision"],
                "test": run.metrics["test"],
                "validation": run.metrics["validation"],
                "cost": run.cost,
            }
            results.append(row)
            print(json.dumps({k: row[k] for k in ("method", "seed", "test", "precision")}), flush=True)
    keep("quality", results)
    print("| method | test accuracy, mean ± sd | trainable | learning rate |")
    print("|---|---|---|---|")
    for method in a.methods:
        rows = [r for r in results if r["method"] == method]
        accuracy = spread([r["test"]["accuracy"] for r in rows])
        print(f"| {method} | {accuracy} | {rows[0]['cost']['trainable']:,} | {rows[0]['learning_rate']:g} |")


if __name__ == "__main__":
    main(sys.argv[1:])
