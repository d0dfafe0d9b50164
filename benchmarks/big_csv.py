"""What loading a CSV file of a gigabyte takes in a process of its own: seconds and memory, the first time and again."""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import ROOT, keep

LABELS = [f"queue {number}" for number in range(40)]

CODE = """
import json, sys, time
from types import SimpleNamespace

import datasets, numpy, pandas, pyarrow
from peft_lab.data_spec import DataSpec
from peft_lab.sources.datasets import load_data

def resident(which):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(which)) / 1024

spec = json.loads(sys.argv[1])
before, began = resident("VmRSS"), time.perf_counter()
data = load_data(DataSpec(**spec), SimpleNamespace(offers=lambda kind: {}))
seconds = time.perf_counter() - began
peak = resident("VmHWM")
print(json.dumps({
    "seconds": round(seconds, 1),
    "start_mib": round(before),
    "peak_mib": round(peak),
    "above_start_mib": round(peak - before),
    "rows": {split: len(table) for split, table in data.splits.items()},
    "fingerprint": data.fingerprint,
    "notes": data.notes,
}))
"""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks big_csv")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--limit", type=int, default=10_000, help="training rows that the third load keeps")
    a = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "big.csv"
        rows = write_csv(file, a.megabytes * 1_000_000)
        size = file.stat().st_size
        results = []
        for what, more in (("first", {}), ("again", {}), ("again, with a limit", {"limit": a.limit})):
            result = {"load": what, "bytes": size, "rows_written": rows, **load(file, Path(folder) / "cache", more)}
            print(json.dumps({name: value for name, value in result.items() if name != "notes"}), flush=True)
            results.append(result)
    assert len({result["fingerprint"] for result in results}) == 1
    keep("big_csv", results)


def write_csv(file: Path, size: int, seed: int = 0) -> int:
    """Write tickets of 20 to 280 letters, one in a hundred a repeat and one in a thousand empty; return the rows."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvw", k=draw.randint(2, 9))) for _ in range(20_000)]
    story = " ".join(draw.choices(words, k=500_000))
    rows = written = 0
    text = "the first text"
    with file.open("w", encoding="utf-8") as out:
        out.write("message,queue\n")
        while written < size:
            chance = draw.random()
            if chance > 0.01:
                start = int(draw.random() * (len(story) - 300))
                text = story[start : start + 20 + int(draw.random() * 260)].strip()
            line = f"{'' if chance < 0.001 else text},{LABELS[rows % len(LABELS)]}\n"
            out.write(line)
            written += len(line)
            rows += 1
    return rows


def load(file: Path, cache: Path, more: dict[str, int]) -> dict:
    """Load a file in a process of its own, with a cache of its own."""
    spec = json.dumps({"source": str(file), "text": "message", "label": "queue", **more})
    known = {**os.environ, "PYTHONPATH": str(ROOT), "HF_DATASETS_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, spec], capture_output=True, text=True, env=known, cwd=file.parent, check=False
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main(sys.argv[1:])
