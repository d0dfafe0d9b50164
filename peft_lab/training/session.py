"""One training run from recipe to folder: the order of everything."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.asking import asking, gave
from peft_lab.errors import PeftLabError, RunProblem
from peft_lab.present.style import seconds
from peft_lab.recipe import Recipe
from peft_lab.run import LAST, WEIGHTS, Run
from peft_lab.training.answers import artifact_fault
from peft_lab.training.checkpoint import CHECKPOINT
from peft_lab.training.cost import give_back
from peft_lab.training.evaluation import CONSTANT
from peft_lab.training.following import follow
from peft_lab.training.installed import must_be_installed
from peft_lab.training.journal import FULL, Journal, claim, not_written, reopened, writing
from peft_lab.training.preparing import Prepared, prepare
from peft_lab.training.progress import Progress
from peft_lab.training.together import Together, place
from peft_lab.training.told import answers_artifact
from pluggy_specs import Artifact, Method

if TYPE_CHECKING:
    import numpy as np

    from peft_lab.host import Host
    from peft_lab.training.out_of_memory import Guard

START = "start.safetensors"


@dataclass
class Trained:
    """What is compared with the saved run when the model is gone: a few texts and the answers to them."""

    stopped: bool
    texts: list[dict[str, Any]]
    answers: np.ndarray


def train(
    recipe: Recipe,
    host: Host,
    folder: Path,
    progress: Progress | None = None,
    *,
    forecast: Mapping[str, Any] | None = None,
    anyway: bool = False,
    name: str = "",
) -> Run:
    """Train a recipe into a new run folder.

    Every way of ending leaves a folder: ``finished``, ``stopped`` (asked for through ``progress``) or ``failed``,
    with the best state so far in ``weights.safetensors`` and the last one beside it.

    Args:
        forecast: of a plan of the same recipe, to be compared with what comes.
        anyway: train although the forecast says that memory will not do.
        name: of the folder, instead of the next free ``run-N``.

    Raises:
        OutOfMemory: with what would fit.
        PeftLabError: what a person can put right.
    """
    must_be_installed()
    if place():
        follow(recipe, host, anyway=anyway)
    run = Run(claim(folder, recipe, forecast, name))
    try:
        with writing(run.id):
            journal = Journal(run.path, run.record, host)
    except RunProblem:
        shutil.rmtree(run.path, ignore_errors=True)  # nothing was done yet
        raise
    return _run(journal, host, progress or Progress(), anyway=anyway)


def go_on(run: Run, host: Host, *, anyway: bool = False) -> Run:
    """Train a run that another process has opened, in this process."""
    with writing(run.id):
        journal = Journal(run.path, run.record, host)
    return _run(journal, host, Progress(), anyway=anyway)


def resume(run: Run, host: Host, progress: Progress | None = None, *, anyway: bool = False) -> Run:
    """Go on with a run that was stopped, failed or crashed, from its last checkpoint; without one, from the start.

    The numbers are those of a run that never ended, bit for bit on one machine in fp32.

    Args:
        anyway: go on although data, model, code or a package is not what it was.

    Raises:
        RunProblem: nothing is left to do, it is being trained, or something changed.
    """
    must_be_installed()
    if place():
        follow(run.recipe, host, before=run.record, anyway=anyway)
    must_be_open(run)
    before = dict(run.record)
    with writing(run.id):
        journal = Journal(run.path, reopened(run), host)
    return _run(journal, host, progress or Progress(), anyway=anyway, before=before)


def must_be_open(run: Run) -> None:
    """Refuse to go on with a run that has nothing left to do.

    Raises:
        RunProblem: it is finished, or being trained.
    """
    if place():  # of several processes the main one asks, and is the one that trains it
        return
    if run.active:
        raise RunProblem(f"{run.id} is being trained now", f"Wait for it: %peft wait {run.id}")
    if run.status == "finished":
        done = run.record.get("steps", {}).get("done", 0)
        hint = f"Go on from it with new steps: %peft train {run.recipe.method} --from {run.id}"
        why = f"its time budget is spent, {run.early} are done" if run.early else f"all {done:,} steps are done"
        raise RunProblem(f"{run.id} has nothing left to do: {why}", hint)


def _run(
    journal: Journal, host: Host, progress: Progress, anyway: bool = False, before: dict[str, Any] | None = None
) -> Run:
    """Train, check what was saved, close the books. ``before`` is put back when a run is refused to go on."""
    from peft_lab.training.out_of_memory import Guard
    from peft_lab.training.randomness import kept_apart
    from peft_lab.training.reload import reload_mark

    give_back()
    recipe = journal.run.recipe
    progress.keep_in(journal.path)
    progress.update(
        run_id=journal.path.name,
        path=str(journal.path),
        method=recipe.method,
        model=recipe.model,
        data=recipe.data.source,
        epochs=recipe.training.epochs,
    )
    try:
        with host.blaming(), Guard(progress) as guard, kept_apart():
            trained = _train(recipe, host, journal, progress, guard, anyway)
            give_back()
            mark = reload_mark(journal.run, host, trained.texts, trained.answers)
        journal.update(proof=[*journal.record["proof"], mark])
        journal.end("stopped" if trained.stopped else "finished")
        if not trained.stopped:  # only now: until the record says so, a crash would need it
            with suppress(OSError):
                (journal.path / CHECKPOINT).unlink(missing_ok=True)
        progress.update(phase=journal.record["status"])
    except BaseException as error:
        with suppress(OSError):  # the journal remembers that it could not say so
            if before is not None and not journal.begun:
                journal.take_back(before)
            else:
                journal.end("failed", error)
        if isinstance(error, OSError) and (told := _about_the_folder(journal, error)):
            raise told from error
        raise
    finally:
        with suppress(OSError):
            (journal.path / START).unlink(missing_ok=True)
        give_back()
    return journal.run


def _about_the_folder(journal: Journal, error: OSError) -> RunProblem | None:
    """The line about a run's folder that cannot be written to; None where the error is about something else."""
    run = journal.path.name
    if not journal.path.is_dir():
        hint = "What was written is where the folder is now: %peft resume FOLDER"
        return RunProblem(f"{run} ended: its folder was removed or renamed", hint)
    ours = error.filename is not None and Path(str(error.filename)).is_relative_to(journal.path)
    if not ours and error.errno not in FULL:
        return None
    return not_written(run, error, f". Then go on: %peft resume {run}")


def _train(recipe: Recipe, host: Host, journal: Journal, progress: Progress, guard: Guard, anyway: bool) -> Trained:
    """Train and write everything."""
    from peft_lab.training import changes, cost, loop, mask_record, weights
    from peft_lab.training.forecast import forecast_for

    began = time.perf_counter()
    ready = prepare(recipe, host, journal, progress, anyway=anyway)
    job, built = ready.job, ready.job.built
    loaded = time.perf_counter()
    weights.save_weights(built, journal.path / START)  # on disk the starting point takes no memory
    _keep(changes.trainable_by_layer(built), journal)
    if any(type(method).masks is not Method.masks for method in built.methods):
        _keep(mask_record.sparse_mask(built), journal)
    counts = cost.count(built)
    start = forecast_for(job, ready.encoded.get("test"), journal.record.get("forecast"))
    journal.update(
        cost=counts,
        head=built.head,
        steps={"planned": start.forecast.steps, "done": 0},
        forecast=start.forecast.plain(),
    )
    guard.check(job, start, journal.note, anyway)
    job.first = start.first
    progress.update(phase="training", **counts)
    journal.begun = True
    together = Together.of(job.accelerator)
    if together.several:
        together.sent(journal.path / CHECKPOINT)
    give_back()  # what loading left behind would stand beside what training needs
    outcome = loop.fit(job)

    at, file = outcome.at, journal.path / WEIGHTS
    journal.update(steps={"planned": outcome.planned, "done": at.steps})
    (journal.path / LAST).unlink(missing_ok=True)
    if at.best_step is None:
        weights.save_weights(built, file)
    elif at.best_step != at.steps:
        weights.save_weights(built, journal.path / LAST)
        weights.load_weights(built, file)
    finals = {"validation": dict(at.best_scores)} if at.best_scores else {}
    test = ready.encoded.get("test")
    began_test = time.perf_counter()
    told = [outcome.told]
    if test is not None and not outcome.stopped:
        progress.update(phase="testing")
        kept: list[Any] = []
        scores = loop.score(job, test, kept.append)
        if scores is not None:
            finals["test"] = scores
            told.append(answers_artifact("test", kept[0], test, job.task, job.targets))
    for split, scores in finals.items():
        if scores.pop(CONSTANT, 0):
            journal.note(f"All answers on {split} are the same: the model tells nothing apart")
    if job.task.generates and not outcome.stopped:
        _ask_what_it_writes(ready, journal, finals)
    if not outcome.stopped and outcome.told is None and at.best_step is not None:
        told[0] = _asked_again(job)
    progress.update(phase="saving")
    for artifact in filter(None, told):
        _keep(artifact, journal)
    answers = ready.answers()
    if not outcome.stopped and at.steps < outcome.planned:
        evaluated = at.eval_seconds + time.perf_counter() - began_test
        journal.note(_about_the_budget(at.train_seconds, evaluated, at.steps, outcome.planned))
    peak = job.memory.read()
    job.built.model.zero_grad(set_to_none=True)
    effective = _artifacts(ready, journal, host)
    _score_by_role(journal, finals)
    _keep(changes.parameter_change(built, journal.path / START, effective), journal)
    journal.update(
        metrics=finals,
        proof=outcome.proof.marks(),
        cost={
            **counts,
            "seconds": at.train_seconds,
            "eval_seconds": at.eval_seconds + time.perf_counter() - began_test,
            "load_seconds": loaded - began,
            "texts_per_second": at.texts / at.train_seconds if at.train_seconds else 0.0,
            "peak_memory": peak,
            "bytes_on_disk": file.stat().st_size,
        },
    )
    return Trained(outcome.stopped, ready.texts, answers)


def _asked_again(job: Any) -> Artifact | None:
    """What the best state answers on validation, where it was reached before the run was gone on with."""
    from peft_lab.training import loop

    kept: list[Any] = []
    scores = None if job.task.generates else loop.score(job, job.validation, kept.append)
    return None if scores is None else answers_artifact("validation", kept[0], job.validation, job.task, job.targets)


def _about_the_budget(trained: float, evaluated: float, done: int, planned: int) -> str:
    """What a person should know of a run that its time budget ended."""
    return (
        f"Stopped after {seconds(trained)} of training, its time budget: {done:,} of {planned:,} steps. Evaluation "
        f"took {seconds(evaluated)} besides. How many steps a budget is enough for depends on the machine"
    )


def _ask_what_it_writes(ready: Prepared, journal: Journal, finals: dict[str, dict[str, float]]) -> None:
    """Add what needs more than a pass over a split, and keep its artifacts."""
    from peft_lab.training.generating import asked_once_trained, held_out

    known = str(journal.record["fingerprints"].get("model") or "")
    scores, artifacts = asked_once_trained(ready, journal.path.parent, known)
    finals.setdefault("test" if "test" in finals else "validation", {}).update(scores)
    for artifact in artifacts:
        _keep(artifact, journal)
    ready.context.held_out = held_out(ready)[1]


def _artifacts(ready: Prepared, journal: Journal, host: Host) -> dict[str, tuple[float, float, int]]:
    """Write the methods' artifacts; an ``effective-change`` is handed on to the core's own artifact instead."""
    effective: dict[str, tuple[float, float, int]] = {}
    for method in ready.job.built.methods:
        try:
            with host.blaming(), asking("methods", method.name, "artifacts"):
                for artifact in method.artifacts(ready.job.built.model, ready.context):
                    if fault := artifact_fault(artifact):
                        raise gave("methods", method.name, "artifacts", fault, "an Artifact of arrays with named axes")
                    if artifact.kind == "effective-change":
                        effective |= _by_module(artifact)
                    else:
                        _keep(artifact, journal)
        except PeftLabError as error:  # a picture that cannot be made must not cost a trained run
            journal.note(f"{method.name} could not say what it did: {error}")
    return effective


def _score_by_role(journal: Journal, finals: dict[str, dict[str, float]]) -> None:
    """Add the losses of reasoning and boilerplate, where a method found which is which."""
    from peft_lab.by_role import loss_by_role

    run = journal.run
    if {"token-losses", "token-roles"} <= set(run.artifacts):
        scores = loss_by_role(run.artifact("token-losses"), run.artifact("token-roles"))
        finals.setdefault("test" if "test" in finals else "validation", {}).update(scores)


def _keep(artifact: Artifact, journal: Journal) -> None:
    """Write an artifact; where there is no room for one, the run goes on without."""
    try:
        journal.artifact(artifact)
    except OSError as error:
        journal.note(f"{artifact.kind} could not be written: {error.strerror or error}")


def _by_module(artifact: Artifact) -> dict[str, tuple[float, float, int]]:
    moved, size, entries = (artifact.arrays[name] for name in ("moved", "size", "entries"))
    sums = zip(moved.values, size.values, entries.values, strict=True)
    return {m: (float(a), float(b), int(c)) for m, (a, b, c) in zip(moved.labels["module"], sums, strict=True)}
