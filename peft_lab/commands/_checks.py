"""The work behind ``%peft check``: cells of a notebook, or runs, against what is there now."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path

from peft_lab.bench import Bench
from peft_lab.checking.inputs import Compared, Inputs
from peft_lab.checking.outputs import Cell, notebook_of, read_notebook, shown_of, together
from peft_lab.checking.tables import Checked, Judged, checked
from peft_lab.checking.verdicts import Again, judge
from peft_lab.commands._rehearsal import rehearse
from peft_lab.errors import RunProblem
from peft_lab.run import RUN_JSON, Run
from peft_lab.texts import checks as texts


def check_runs(bench: Bench, chosen: Sequence[Run]) -> Checked:
    """Runs by themselves: what they depend on, not what a notebook shows of them."""
    inputs = Inputs(bench.host, bench.session.known)
    found = []
    for run in chosen:
        shown = shown_of(run)
        found.append(Judged(None, run.id, run.recipe.method, judge(shown, run, inputs.compare(run), Again(), False)))
    return checked(found, inputs.read, "")


def check_notebook(bench: Bench, named: Path | None, only: Collection[str] = ()) -> Checked:
    """Every run that a cell shows; ``only`` these, where some are given.

    Raises:
        PeftLabError: the notebook cannot be read.
    """
    own = notebook_of(bench.namespace)
    file = named or own
    saved = read_notebook(file) if file else []
    saved_at = file.stat().st_mtime if file else 0.0
    mine = named is None or own is None or (named.exists() and named.samefile(own))
    cells = together(saved, bench.session, saved_at) if mine else saved
    inputs = Inputs(bench.host, bench.session.known)
    found = []
    for cell, again in zip(cells, rehearse(bench, cells), strict=True):
        for shown in cell.shown:
            if only and shown.run not in only:
                continue
            run = _run(bench, shown.run)
            compared = inputs.compare(run) if run else Compared()
            elsewhere = mine and bool(bench.session.cells) and not cell.here
            verdict = judge(shown, run, compared, again.again(run) if run else Again(), elsewhere)
            found.append(Judged(cell, shown.run, run.recipe.method if run else "-", verdict))
    return checked(found, inputs.read, _about(file, saved_at, cells))


def _run(bench: Bench, name: str) -> Run | None:
    path = bench.folder / name
    try:
        return Run(path) if (path / RUN_JSON).is_file() else None
    except RunProblem:  # gone meanwhile
        return None


def _about(file: Path | None, saved_at: float, cells: Sequence[Cell]) -> str:
    if file is None:
        return texts.SEEN_SESSION
    newer = any(cell.here and cell.when > saved_at for cell in cells)
    said = texts.SEEN_FILE_AND if newer else texts.SEEN_FILE
    return said.format(file=file.name, time=time.strftime("%H:%M", time.localtime(saved_at)))
