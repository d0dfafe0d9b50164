"""What a study costs over its runs, and whether one that is killed comes to the same table.

python -m benchmarks study            # the overhead: a study against the same recipes trained one after another
python -m benchmarks study --kill 3   # kill -9 at random moments, gone on with each time, against one left alone

Each side is a process of its own that has imported everything before the clock starts, on minilm and helpdesk. As two
processes meet a machine in two moods, the study's seconds are also held against those of its own trainings.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, keep

ASKED: dict[str, Any] = {
    "model": "minilm",
    "data": "helpdesk",
    "methods": ["bitfit", "lora"],
    "examples": [100, 300],
    "seeds": [0],
    "epochs": 1,
    "device": "cpu",
    "precision": "fp32",
}
"""Six trained cells of some seconds each, so that what is not training shows: two methods and the head, two sizes."""
KILLED = {**ASKED, "seeds": [0, 1], "sweep": {"learning_rate": [1e-3, 3e-3]}}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks study")
    parser.add_argument("--rounds", type=int, default=2, help="of each side, in turn")
    parser.add_argument("--kill", type=int, default=0, help="kill a study so many times instead")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of killing")
    parser.add_argument("--side", choices=("study", "runs"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    a = parser.parse_args(argv)
    if a.side:
        print(json.dumps(measured(a.side, a.folder)))
        return
    found = killed(a.kill, a.seed) if a.kill else overhead(a.rounds)
    print(json.dumps(found, indent=1))
    keep("study-killed" if a.kill else "study", found, RESULTS / f"study{'-killed' if a.kill else ''}.json")


# --- overhead ---------------------------------------------------------------------------------------------------------


def overhead(rounds: int) -> dict[str, Any]:
    """Seconds of a study and of the same recipes one after another, with the share that the study takes more."""
    took: dict[str, list[dict[str, float]]] = {"study": [], "runs": []}
    for number in range(2 * rounds):
        side = ("study", "runs", "runs", "study")[number % 4]
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks", "study", "--side", side, "--folder", folder]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        took[side].append(json.loads(said.splitlines()[-1]))
    kinds = ("seconds", "processor_seconds")
    best = {kind: {side: min(one[kind] for one in every) for side, every in took.items()} for kind in kinds}
    return {
        "cells": took["study"][0]["cells"],
        **{kind: {side: [round(one[kind], 2) for one in every] for side, every in took.items()} for kind in kinds},
        "overhead": {kind: round(found["study"] / found["runs"] - 1, 4) for kind, found in best.items()},
        "of_which_trainings": [round(one["trainings"], 2) for one in took["study"]],
        "overhead_over_its_own_trainings": [round(one["seconds"] / one["trainings"] - 1, 4) for one in took["study"]],
    }


def measured(side: str, folder: Path) -> dict[str, float]:
    """One side, behind a training that has everything imported."""
    from peft_lab.lab import Lab
    from peft_lab.recipe import Recipe
    from peft_lab.rows import UNTRAINED
    from peft_lab.study.cells import run_cell, with_host

    lab = Lab(folder / "runs")
    lab.train("head", model="minilm", data="helpdesk", max_steps=2, device="cpu", precision="fp32")
    lab.plan("head", device="cpu", precision="fp32")  # imports what a forecast needs
    asked = dict(ASKED)
    engine = lab._engine(
        lab._planned(asked.pop("model"), asked.pop("data"), {}, asked.pop("methods"), _plan(asked), asked), None, False
    )
    cells = engine.grid.cells()
    trainings = _timed_trainings()
    began, spent = time.perf_counter(), time.process_time()
    if side == "study":
        lab.study(**ASKED)
    else:
        for cell in cells:
            if cell["kind"] == UNTRAINED:
                with with_host(lab.host):
                    run_cell({**cell, "folder": str(folder / "one" / cell["address"])})
            else:
                lab.train_recipe(Recipe.read(cell["recipe"]))
    took = {"seconds": time.perf_counter() - began, "processor_seconds": time.process_time() - spent}
    return {"cells": len(cells), **took, "trainings": sum(trainings)}


def _timed_trainings() -> list[float]:
    """Where the seconds of every training of this process will be noted, a machine's own moods being the same in it."""
    from peft_lab.training import session, untrained

    seconds: list[float] = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                seconds.append(time.perf_counter() - began)

        return call

    session.train, untrained.score_untrained = timed(session.train), timed(untrained.score_untrained)
    return seconds


def _plan(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: asked.pop(name) for name in ("examples", "seeds")}


# --- killing ----------------------------------------------------------------------------------------------------------

SCRIPT = "import json, sys; from peft_lab.lab import Lab; Lab(sys.argv[1]).study('pilot', **json.loads(sys.argv[2]))"


def killed(times: int, seed: int) -> dict[str, Any]:
    """Kill a study at random moments; compare its table, its cells and the bits of its weights with one left alone."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        alone, other = Path(scratch) / "alone", Path(scratch) / "killed"
        began = time.perf_counter()
        through(alone)
        whole = time.perf_counter() - began
        moments: list[float] = []
        while len(moments) < times:
            moment = draw.uniform(0.15, 0.6) * whole
            if through(other, moment):
                break
            moments.append(round(moment, 1))
        through(other)
        one, two = facts(alone), facts(other)
        return {
            "seconds_alone": round(whole, 1),
            "killed_after": moments,
            "cells": len(one["cells"]),
            "same_table": one["rows"] == two["rows"],
            "same_cells": set(one["cells"]) == set(two["cells"]),
            "same_weights": one["cells"] == two["cells"],
            "gone_on_with": sum(two["resumed"].values()),
            "steps_twice": two["twice"],
        }


def through(runs: Path, seconds: float | None = None) -> bool:
    """A study in a process of its own; whether it was done before it was killed."""
    child = subprocess.Popen([sys.executable, "-c", SCRIPT, str(runs), json.dumps(KILLED)], stdout=subprocess.DEVNULL)
    try:
        if child.wait(seconds):
            raise SystemExit("the study ended with an error")
    except subprocess.TimeoutExpired:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        return False
    return True


def facts(runs: Path) -> dict[str, Any]:
    """What must be equal, and how often cells were gone on with."""
    from peft_lab.run import CELLS, STUDIES, WEIGHTS, Run
    from peft_lab.study.book import find_study
    from peft_lab.study.outcome import rows_of

    rows = [
        [r.method, r.asked, r.seed, r.status, r.learning_rate, dict(r.test), dict(r.validation), r.steps]
        for r in rows_of(find_study(runs)).rows
    ]
    found = [Run(path) for path in (runs / STUDIES / CELLS).glob("[!.]*")]
    steps = {run.id: [p["step"] for p in run.points if p["split"] == "train"] for run in found}
    return {
        "rows": rows,
        "cells": {run.id: _bits(run.path / WEIGHTS) for run in found},
        "resumed": {run.id: len(run.record.get("resumed", ())) for run in found},
        "twice": sum(len(done) != len(set(done)) for done in steps.values()),
    }


def _bits(file: Path) -> str:
    """SHA-256 of tensors alone: the order of what else a file says changes from process to process."""
    from safetensors.numpy import load_file

    digest = hashlib.sha256()
    for name, values in sorted(load_file(file).items()):
        digest.update(f"{name}:{values.dtype}:{values.shape}".encode() + values.tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main(sys.argv[1:])
