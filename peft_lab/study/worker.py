"""A study in a process of its own: ``python -m peft_lab.study.worker STUDY-FOLDER``. It outlives the notebook."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from peft_lab.errors import PeftLabError, RunProblem
from peft_lab.study.book import LOG, Study
from peft_lab.study.engine import Engine
from peft_lab.training.journal import writing

PATIENCE = 60.0
"""Seconds until the process must have begun."""


def in_background(study: Study, on: str, workers: int | None, *, again: bool = False) -> None:
    """Begin to carry a study out in another process; return once it works on it, or has ended.

    Raises:
        RunProblem: it could not begin.
    """
    command = [sys.executable, "-m", "peft_lab.study.worker", str(study.path), "--on", on]
    command += ["--workers", str(workers)] if workers is not None else []
    command += ["--again"] if again else []
    with writing(study.name), (study.path / LOG).open("ab") as log:
        # A session of its own: Ctrl-C in a terminal, or an interrupt of the notebook, is not meant for it.
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=Path.cwd()
        )
    until = time.monotonic() + PATIENCE
    while child.poll() is None and not study.active and time.monotonic() < until:
        time.sleep(0.1)
    if child.poll():
        last = (study.path / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise RunProblem(f"{study.name} could not begin: {' '.join(last) or 'no reason is on record'}", f"See {LOG}")


def engine_of(study: Study, again: bool = False) -> Engine:
    """What carries out a study that is on disk."""
    from peft_lab.host import Host
    from peft_lab.run import find_run
    from peft_lab.study.grid import Grid
    from peft_lab.study.ground import survey

    host = Host(warn=lambda line: None)
    runs = study.path.parents[1]
    plan = study.plan
    ground = survey(plan, host, study.content.get("settled"))
    return Engine(study, Grid(plan, ground, host, lambda name: find_run(runs, name)), host, again=again)


def main(argv: list[str]) -> None:
    """Carry out the study of a folder, as the command line says."""
    from peft_lab.study.choosing import executor_of

    parser = argparse.ArgumentParser(prog="peft_lab.study.worker")
    parser.add_argument("study", type=Path)
    parser.add_argument("--on", default="here")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args(argv)
    engine = engine_of(Study(asked.study), asked.again)
    engine.run(executor_of(engine.host, asked.on, asked.workers))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PeftLabError as error:
        sys.exit(str(error))
