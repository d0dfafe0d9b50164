"""Where a person is, and what to type next."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.files import from_here
from peft_lab.present.table import Table
from peft_lab.run import Run, readable_runs

if TYPE_CHECKING:
    from peft_lab.bench import Bench


def status(lab: Bench) -> Table:
    """Device, precision, model, data, runs, and what to type next."""
    known = readable_runs(lab.folder)
    problems = len(lab.host.problems)
    latest = f"{len(known)} in {from_here(lab.folder)}" + (
        f", the latest {known[-1].id} ({known[-1].status})" if known else ""
    )
    rows: list[list[Any]] = [
        ["device", _device()],
        ["model", lab.model],
        ["data", lab.spec.source + (f", limit {lab.spec.limit}" if lab.spec.limit else "")],
        ["runs", latest],
        ["methods", f"{len(lab.host.offers('methods'))}: %peft methods"],
    ]
    if problems:
        rows.append(["problems", f"{problems}: %peft problems"])
    return Table("peft_lab", ("", "now"), rows, note=f"Next: {_next_step(known)}")


def _device() -> str:
    """Where training would run and how precisely; asked of torch only when it is loaded, for loading takes seconds."""
    from peft_lab.training.hardware import choose_device, choose_precision, processor_name

    here = f"{processor_name()}, {os.cpu_count()} cores"
    if importlib.util.find_spec("torch") is None:
        return f"{here}; torch is not installed: pip install torch"
    if "torch" not in sys.modules:
        return f"{here}; a GPU is looked for when training begins"
    device = choose_device("auto")
    return f"{here}; training uses {device} in {choose_precision('auto', device)}"


def _next_step(known: Sequence[Run]) -> str:
    finished = [r for r in known if r.status == "finished"]
    if not finished:
        return "%peft train bitfit"
    if len(finished) == 1:
        return f"%peft show change-map {finished[-1].id}, or train another method: %peft train lora --rank 8"
    return f'%peft compare, or %peft predict {finished[-1].id} "..."'
