"""One training run from recipe to folder: the order of everything."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import DataProblem
from peft_lab.recipe import Recipe, make_methods
from peft_lab.run import WEIGHTS, Run
from peft_lab.training.cost import give_back
from peft_lab.training.journal import Journal
from peft_lab.training.progress import Progress
from pluggy_specs import Artifact, Task

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.training.build import Built

START, LAST = "start.tmp", "last.safetensors"


@dataclass
class Prepared:
    """A recipe with everything loaded, ready for the loop."""

    job: Any
    context: Any
    encoded: dict[str, Any]


def train(recipe: Recipe, host: Host, folder: Path, progress: Progress | None = None) -> Run:
    """Train a recipe into a new run folder.

    Every way of ending leaves a folder: ``finished``, ``stopped`` (asked for through ``progress``) or ``failed``,
    with the best state so far in ``weights.safetensors``.

    Raises:
        PeftLabError: what a person can put right.
    """
    give_back()
    progress = progress or Progress()
    journal = Journal(folder, recipe, host)
    progress.update(
        run_id=journal.path.name,
        path=str(journal.path),
        method=recipe.method,
        model=recipe.model,
        data=recipe.data.source,
        epochs=recipe.training.epochs,
    )
    try:
        _train(recipe, host, journal, progress)
    except BaseException as error:
        journal.end("failed", error)
        raise
    finally:
        (journal.path / START).unlink(missing_ok=True)
        give_back()
    return journal.run


def _train(recipe: Recipe, host: Host, journal: Journal, progress: Progress) -> None:
    import torch

    from peft_lab.training import changes, cost, loop, weights

    began = time.perf_counter()
    # The person's own random numbers go on as if nothing had been drawn from them.
    with torch.random.fork_rng():
        ready = prepare(recipe, host, journal, progress)
        job, built = ready.job, ready.job.built
        loaded = time.perf_counter()
        weights.save_weights(built, journal.path / START)  # on disk the starting point takes no memory
        journal.artifact(changes.trainable_by_layer(built))
        counts = cost.count(built)
        journal.update(cost=counts, head=built.head, steps={"planned": None, "done": 0})
        progress.update(phase="training", **counts)
        outcome = loop.fit(job)

        file = journal.path / WEIGHTS
        if outcome.best_step is None:
            weights.save_weights(built, file)
        elif outcome.best_step != outcome.steps:
            if outcome.stopped:
                weights.save_weights(built, journal.path / LAST)
            weights.load_weights(built, file)
        finals = {"validation": outcome.best_scores} if outcome.best_scores else {}
        test = ready.encoded.get("test")
        began_test = time.perf_counter()
        if test is not None and not outcome.stopped:
            progress.update(phase="testing")
            scores = loop.score(job, test)
            if scores is not None:
                finals["test"] = scores
        outcome.eval_seconds += time.perf_counter() - began_test
        progress.update(phase="saving")
        peak = job.memory.read()
        job.built.model.zero_grad(set_to_none=True)
        effective = _artifacts(ready, journal)
        journal.artifact(changes.parameter_change(built, journal.path / START, effective))
        journal.update(
            metrics=finals,
            proof=outcome.proof.marks(),
            steps={"planned": outcome.planned, "done": outcome.steps},
            best=journal.record.get("best"),
            cost={
                **counts,
                "seconds": outcome.train_seconds,
                "eval_seconds": outcome.eval_seconds,
                "load_seconds": loaded - began,
                "texts_per_second": outcome.texts / outcome.train_seconds if outcome.train_seconds else 0.0,
                "peak_memory": peak,
                "bytes_on_disk": file.stat().st_size,
            },
        )
        journal.end("stopped" if outcome.stopped else "finished")
        progress.update(phase="stopped" if outcome.stopped else "finished")


def prepare(recipe: Recipe, host: Host, journal: Journal, progress: Progress) -> Prepared:
    """Load data, tokenizer and model, attach the methods, tokenise: all that comes before the first step."""
    import torch

    from peft_lab.sources.datasets import load_data
    from peft_lab.sources.models import find_model, load_tokenizer
    from peft_lab.training.batches import Batcher, encode
    from peft_lab.training.build import adapt_tokenizer, build
    from peft_lab.training.context import Context
    from peft_lab.training.cost import PeakMemory
    from peft_lab.training.hardware import describe_hardware, open_accelerator
    from peft_lab.training.loop import Job

    settings = recipe.training
    accelerator = open_accelerator(settings)
    precision = "bf16" if accelerator.mixed_precision == "bf16" else "fp32"
    journal.update(hardware=describe_hardware(accelerator.device.type, precision))
    memory = PeakMemory(accelerator.device)
    progress.update(phase="reading data")
    data = load_data(recipe.data, host)
    found = find_model(recipe.model, host)
    prints = {**journal.record["fingerprints"], "data": data.fingerprint, "model": found.fingerprint}
    for text in data.notes:
        journal.note(text)
    task: Task = host.find("tasks", data.task)()
    targets = task.targets(data.splits["train"])
    journal.update(data=data.describe(), fingerprints=prints, targets=targets, headline=task.headline, task=data.task)
    methods = make_methods(host, recipe)
    generator = torch.Generator().manual_seed(recipe.seed)
    context = Context(accelerator.device, generator, load_tokenizer(found), task, settings.batch_size)
    vocabulary = adapt_tokenizer(methods, context)
    longest = longest_possible(found, settings.max_length, journal)
    encoded = {}
    for split, rows in data.splits.items():
        encoded[split] = encode(rows, task.encode_labels(rows, targets), context.tokenizer, longest)
        if encoded[split].cut:
            journal.note(
                f"{encoded[split].cut} of {len(rows)} {split} texts are longer than {longest} tokens and were cut"
            )
    batcher = Batcher(context.tokenizer, accelerator.device)
    context.train, context.batcher = encoded["train"], batcher
    progress.update(phase="loading model")
    built = build(found, methods, targets, context, recipe.seed, settings.train_head, rows=vocabulary)
    for text in found.notes:
        journal.note(text)
    if accelerator.num_processes > 1:
        raise DataProblem("one run over several processes is not built yet", "Train in one process")
    # Calibration draws from the generator; the order of batches must not depend on how much it drew.
    generator.manual_seed(recipe.seed)
    job = Job(
        built=built,
        task=task,
        targets=targets,
        training=settings,
        train=encoded["train"],
        validation=encoded.get("validation"),
        batcher=batcher,
        accelerator=accelerator,
        generator=generator,
        progress=progress,
        memory=memory,
        log=_logger(journal, progress),
        keep_best=_keeper(built, journal),
    )
    return Prepared(job, context, encoded)


def longest_possible(found: Any, wanted: int, journal: Journal | None = None) -> int:
    """The length limit, no more than the model has positions for."""
    from peft_lab.sources.models import position_limit

    limit = position_limit(found)
    if limit is None or wanted <= limit:
        return wanted
    if journal is not None:
        journal.note(f"max_length {wanted} is more than {found.name} has positions for; {limit} was used")
    return limit


def _logger(journal: Journal, progress: Progress) -> Any:
    def log(**point: Any) -> None:
        journal.point(**point)
        progress.points.append(point)
        if point["split"] == "validation":
            progress.update(metrics={k: v for k, v in point.items() if k not in ("step", "epoch", "split", "seconds")})

    return log


def _keeper(built: Built, journal: Journal) -> Any:
    from peft_lab.training.weights import save_weights

    def keep(step: int, epoch: float) -> None:
        save_weights(built, journal.path / WEIGHTS)
        journal.update(best={"step": step, "epoch": epoch}, steps={**journal.record["steps"], "done": step})

    return keep


def _artifacts(ready: Prepared, journal: Journal) -> dict[str, tuple[float, float, int]]:
    """Write the methods' artifacts; an ``effective-change`` is handed on to the core's own artifact instead."""
    effective: dict[str, tuple[float, float, int]] = {}
    for method in ready.job.built.methods:
        try:
            for artifact in method.artifacts(ready.job.built.model, ready.context):
                if artifact.kind == "effective-change":
                    effective |= _by_module(artifact)
                else:
                    journal.artifact(artifact)
        except Exception as error:  # a picture that cannot be made must not cost a trained run
            journal.note(f"{method.name} could not say what it did: {type(error).__name__}: {error}")
    return effective


def _by_module(artifact: Artifact) -> dict[str, tuple[float, float, int]]:
    moved, size, entries = (artifact.arrays[name] for name in ("moved", "size", "entries"))
    sums = zip(moved.values, size.values, entries.values, strict=True)
    return {m: (float(a), float(b), int(c)) for m, (a, b, c) in zip(moved.labels["module"], sums, strict=True)}
