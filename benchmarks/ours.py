"""One training by peft_lab in a process of its own; one JSON line out, with the keys of the Trainer baseline."""

import argparse
import json
import resource
import tempfile

from peft_lab.data_spec import DataSpec
from peft_lab.lab import Lab


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--method", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    settings = {"learning_rate": a.lr} if a.lr else {}
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder)
        run = lab.train(
            a.method,
            model=a.model,
            data=DataSpec(source=a.train, test=a.test, limit=a.limit),
            epochs=a.epochs,
            batch_size=a.batch_size,
            max_length=a.max_length,
            precision=a.precision,
            device="cpu",
            seed=a.seed,
            **settings,
        )
        cost = run.cost
        result = {
            "method": a.method,
            "precision": run.record["hardware"]["precision"],
            "steps": run.record["steps"]["done"],
            "accuracy": round(run.metrics["test"]["accuracy"], 4),
            "train_seconds": round(cost["seconds"], 2),
            "samples_per_second": round(cost["texts_per_second"], 2),
            "trainable": cost["trainable"],
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "validation": run.metrics["validation"]["accuracy"],
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
