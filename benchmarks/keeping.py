"""Save, fresh process, load: does every method on every family give the same outputs as the run that was saved?

Every built-in method trains a tiny random model of each family for a few steps and is saved. Then the runs are deleted,
and for each family a fresh process that has only the saved folders loads them. Equal means every bit of the outputs
for the sample texts, and a card that says so.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import ROOT, keep

FEW = {"max_steps": 3, "batch_size": 8, "device": "cpu", "precision": "fp32"}


def main(argv: list[str]) -> None:
    from peft_lab.testing import FAMILIES
    from peft_lab.testing.contract import built_in

    parser = argparse.ArgumentParser(prog="benchmarks keeping")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--methods", nargs="+", default=built_in())
    a = parser.parse_args(argv)
    rows = []
    for family in a.families:
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"family": family, **loaded_again(Path(folder), family, a.methods)})
        print(json.dumps(rows[-1]), flush=True)
    keep("keeping", rows)
    print("| family | saved and loaded | equal | refused before training |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['family']} | {row['saved']} | {row['saved'] - len(row['wrong'])} | {len(row['refused'])} |")


def loaded_again(folder: Path, family: str, methods: list[str]) -> dict:
    """Train, save and delete, then ask a fresh process."""
    import numpy as np

    from peft_lab.errors import MethodRefused
    from peft_lab.testing import tiny_lab
    from peft_lab.testing.tiny import NEEDED
    from peft_lab.training.restore import restore
    from peft_lab.training.sample_texts import sample_rows

    lab = tiny_lab(folder, family=family)
    model = str(folder / f"tiny-{family}")  # its path: another process finds it without this lab
    saved, refused = [], {}
    for method in methods:
        try:
            run = lab.train(method, model=model, **FEW, **NEEDED.get(method, {}))
        except MethodRefused as error:
            refused[method] = str(error)
            continue
        place = folder / method.replace(":", "-")
        lab.save(run.id, place)
        np.save(f"{place}.npy", restore(run, lab.host).outputs(sample_rows(False)))
        saved.append(str(place))
    shutil.rmtree(lab.folder)
    command = [sys.executable, "-m", "benchmarks.keeping", str(folder / "elsewhere"), *saved]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return {"saved": len(saved), "wrong": json.loads(done.stdout.splitlines()[-1]), "refused": refused}


def load_all(runs: str, folders: list[str]) -> None:
    """In the fresh process: load each folder, and print those whose outputs differ, as JSON."""
    import numpy as np

    from peft_lab.errors import PeftLabError
    from peft_lab.lab import Lab
    from peft_lab.training.sample_texts import sample_rows

    lab = Lab(runs)
    wrong = []
    for folder in folders:
        name = Path(folder).name
        try:
            said = str(lab.load(folder))
        except PeftLabError as error:
            wrong.append([name, str(error)])
            continue
        now, then = lab.served.restored.outputs(sample_rows(False)), np.load(f"{folder}.npy")
        if not np.array_equal(now, then):
            wrong.append([name, f"outputs are {abs(now - then).max():.2g} apart"])
        elif "bit for bit" not in said:
            wrong.append([name, f"the card does not say that they are equal: {said}"])
    print(json.dumps(wrong))


if __name__ == "__main__":
    load_all(sys.argv[1], sys.argv[2:])
