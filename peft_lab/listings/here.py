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
from peft_lab.texts import cards
from peft_lab.texts import tables as texts

if TYPE_CHECKING:
    from peft_lab.bench import Bench


def status(lab: Bench) -> Table:
    """Device, precision, model, data, runs, and what to type next."""
    known = readable_runs(lab.folder)
    problems = len(lab.host.problems)
    runs = {"count": len(known), "folder": from_here(lab.folder)}
    latest = texts.RUNS_IN.format(**runs)
    if known:
        state = cards.STATES.get(known[-1].status, known[-1].status)
        latest = texts.RUNS_IN_LATEST.format(**runs, run=known[-1].id, status=state)
    source = texts.DATA_LIMITED if lab.spec.limit else "{source}"
    rows: list[list[Any]] = [
        [texts.DEVICE, _device()],
        [texts.MODEL, lab.model],
        [texts.DATA, source.format(source=lab.spec.source, limit=lab.spec.limit)],
        [texts.RUNS, latest],
        [texts.METHODS, texts.METHODS_COUNT.format(count=len(lab.host.offers("methods")))],
    ]
    if problems:
        rows.append([texts.PROBLEMS, texts.PROBLEMS_COUNT.format(count=problems)])
    return Table(texts.STATUS, texts.STATUS_COLUMNS, rows, note=texts.NEXT.format(what=_next_step(known)))


def _device() -> str:
    """Where training would run and how precisely; asked of torch only when it is loaded, for loading takes seconds."""
    from peft_lab.training.hardware import choose_device, choose_precision, processor_name

    here = texts.PROCESSOR.format(name=processor_name(), cores=os.cpu_count())
    if importlib.util.find_spec("torch") is None:
        return texts.NO_TORCH.format(processor=here)
    if "torch" not in sys.modules:
        return texts.GPU_LATER.format(processor=here)
    device = choose_device("auto")
    precision = choose_precision("auto", device)
    return texts.TRAINING_USES.format(processor=here, device=device, precision=precision)


def _next_step(known: Sequence[Run]) -> str:
    finished = [r for r in known if r.status == "finished"]
    if not finished:
        return texts.FIRST_TRAINING
    if len(finished) == 1:
        return texts.AFTER_ONE.format(run=finished[-1].id)
    return texts.AFTER_SEVERAL.format(run=finished[-1].id)
