"""Where the data is, and how results are kept."""

from __future__ import annotations

import json
import platform
import statistics
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peft_lab.lab import Lab
    from peft_lab.recipe import Recipe
    from peft_lab.run import Run

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
RESULTS = Path(__file__).parent / "results"
BANKING77 = (SHARED / "data" / "banking77_train.csv", SHARED / "data" / "banking77_test.csv")
BASELINE = SHARED / "baselines" / "hf_trainer_peft.py"


def need(*files: Path) -> None:
    """Leave, saying what is missing."""
    for file in files:
        if not file.exists():
            sys.exit(f"skipped: {file.name} is not on this machine (it is not part of the project)")


def machine() -> dict[str, str]:
    """Where and when, as kept beside every figure."""
    import os

    from peft_lab.training.hardware import processor_name
    from peft_lab.training.journal import versions

    return {
        "date": date.today().isoformat(),
        "processor": processor_name(),
        "cores": str(os.cpu_count()),
        "system": platform.system(),
        **versions(),
    }


def keep(name: str, data: object, file: Path | None = None) -> Path:
    """Write a benchmark's record, in ``results/`` or where it was asked for."""
    file = file or RESULTS / f"{name}.json"
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text(json.dumps({"machine": machine(), "results": data}, indent=1) + "\n")
    print(f"wrote {file.relative_to(ROOT) if file.is_relative_to(ROOT) else file}")
    return file


def asked(method: str) -> tuple[str, dict[str, Any]]:
    """A method and its options out of what is typed: ``"sparse density=0.01"``."""
    name, *options = method.split()
    return name, dict(option.split("=", 1) for option in options)


def trained_once(lab: Lab, recipe: Recipe) -> Run:
    """The finished run of a recipe, trained unless it is there."""
    from peft_lab.run import list_runs

    done = {run.recipe.fingerprint: run for run in list_runs(lab.folder) if run.status == "finished"}
    return done.get(recipe.fingerprint) or lab.train_recipe(recipe)


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4f} ± {deviation:.4f}"


def middle(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "–"
