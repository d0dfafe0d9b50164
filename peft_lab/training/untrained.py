"""The score of a head that nothing has trained, on the base model as it came, kept as a run like others."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import RunProblem
from peft_lab.recipe import Recipe
from peft_lab.run import WEIGHTS, Run
from peft_lab.training.cost import give_back
from peft_lab.training.evaluation import CONSTANT
from peft_lab.training.installed import must_be_installed
from peft_lab.training.journal import Journal, claim, writing
from peft_lab.training.preparing import prepare
from peft_lab.training.progress import Progress
from peft_lab.training.told import answers_artifact

if TYPE_CHECKING:
    from peft_lab.host import Host

NOTE = "Nothing was trained: this is the head as the seed draws it, on the base model as it came"


def score_untrained(recipe: Recipe, host: Host, folder: Path, progress: Progress, name: str = "") -> Run:
    """Score a recipe's model before its first step, on test and validation.

    Args:
        recipe: its method must leave the model as it is before it trains, as ``head`` does.
        name: of the run's folder, instead of the next free ``run-N``.

    Raises:
        PeftLabError: what training would raise before its first step.
    """
    from peft_lab.training.randomness import kept_apart

    must_be_installed()
    run = Run(claim(folder, recipe, name=name))
    try:
        with writing(run.id):
            journal = Journal(run.path, run.record, host)
    except RunProblem:
        shutil.rmtree(run.path, ignore_errors=True)  # nothing was done yet
        raise
    progress.keep_in(journal.path)
    try:
        with host.blaming(), kept_apart():
            stopped = _score(recipe, host, journal, progress)
        journal.end("stopped" if stopped else "finished")
    except BaseException as error:
        with suppress(OSError):
            journal.end("failed", error)
        raise
    finally:
        give_back()
    return journal.run


def _score(recipe: Recipe, host: Host, journal: Journal, progress: Progress) -> bool:
    from peft_lab.training import cost, loop, weights

    began = time.perf_counter()
    ready = prepare(recipe, host, journal, progress, rehearsal=True)
    loaded = time.perf_counter()
    job = ready.job
    file = journal.path / WEIGHTS
    weights.save_weights(job.built, file)
    counts = cost.count(job.built)
    journal.note(NOTE)
    journal.update(cost=counts, head=job.built.head, steps={"planned": 0, "done": 0})
    progress.update(phase="testing")
    job.built.model.eval()
    finals: dict[str, dict[str, float]] = {}
    for split in ("validation", "test"):
        if (data := ready.encoded.get(split)) is not None:
            kept: list[Any] = []
            scores = loop.score(job, data, kept.append)
            if scores is None:
                return True
            if (told := answers_artifact(split, kept[0], data, job.task, job.targets)) is not None:
                journal.artifact(told)
            finals[split] = {metric: value for metric, value in scores.items() if metric != CONSTANT}
    spent: dict[str, Any] = {"seconds": 0.0, "eval_seconds": time.perf_counter() - loaded}
    spent |= {"load_seconds": loaded - began, "texts_per_second": 0.0, "peak_memory": job.memory.read()}
    journal.update(metrics=finals, cost={**counts, "trainable": 0, **spent, "bytes_on_disk": file.stat().st_size})
    return False
