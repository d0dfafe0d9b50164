"""All that comes before the first step: data, tokenizer and model loaded, methods attached, texts tokenised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from peft_lab.errors import BadOption, RunProblem, nearest
from peft_lab.loading import OWN
from peft_lab.present.style import shorten, words
from peft_lab.recipe import Recipe, make_methods
from peft_lab.training.answers import AskedTask
from peft_lab.training.journal import versions
from peft_lab.training.progress import Progress
from peft_lab.training.sameness import offered_by
from pluggy_specs import Task

if TYPE_CHECKING:
    import numpy as np

    from peft_lab.host import Host
    from peft_lab.training.journal import Journal

SAMPLE = 16
"""Texts on which a saved run is compared with what was trained."""


class Changed(RunProblem):
    """A run that cannot go on as it was: data, base model, code or a package is another one now."""


class Notebook(Protocol):
    """Where preparing a run writes down what it found; a :class:`Journal`, or something that forgets."""

    record: dict[str, Any]

    def update(self, **facts: Any) -> None:
        """Add facts."""

    def note(self, text: str) -> None:
        """Something a person should know."""


@dataclass
class Prepared:
    """A recipe with everything loaded, ready for the loop."""

    job: Any
    context: Any
    encoded: dict[str, Any]
    longest: int
    rows: Any
    """A few rows, to see that what is saved answers as what was trained."""
    splits: Mapping[str, Any]
    """All rows as text, by split."""

    @property
    def texts(self) -> list[dict[str, Any]]:
        """Those rows as plain data, without labels, unless these are what the model writes."""
        keeps = self.job.task.generates
        return [{name: row[name] for name in row if keeps or name != "label"} for row in self.rows]

    def answers(self) -> np.ndarray:
        """What the model says to them, [text, ...]."""
        from peft_lab.training.evaluation import answers

        job = self.job
        means = {"task": job.task, "batcher": job.batcher, "accelerator": job.accelerator}
        return answers(job.built.model, self.rows, tokenizer=self.context.tokenizer, longest=self.longest, **means)


def prepare(
    recipe: Recipe,
    host: Host,
    journal: Notebook,
    progress: Progress,
    *,
    anyway: bool = False,
    rehearsal: bool = False,
) -> Prepared:
    """Load data, tokenizer and model, attach the methods, tokenise: all that comes before the first step.

    Args:
        anyway: go on with a run though something is not what it was.
        rehearsal: no training will follow; methods may leave out what only a training needs.

    Raises:
        PeftLabError: what a person can put right.
        RunProblem: the journal is that of a run that goes on, and something is not what it was.
    """
    import torch

    from peft_lab.sources.datasets import load_data
    from peft_lab.sources.models import find_model, load_tokenizer
    from peft_lab.sources.tokenizers import tokenizer_fingerprint
    from peft_lab.training.augmentation import augmented
    from peft_lab.training.batches import Batcher
    from peft_lab.training.books import Books
    from peft_lab.training.build import adapt_tokenizer, build, build_base
    from peft_lab.training.context import Context
    from peft_lab.training.conversing import encode_for
    from peft_lab.training.cost import PeakMemory
    from peft_lab.training.cutting import usual_cutting
    from peft_lab.training.fingerprints import code_fingerprint
    from peft_lab.training.hardware import describe_hardware, open_accelerator, precision_of, settings_here
    from peft_lab.training.lengths import longest_text
    from peft_lab.training.loop import Job
    from peft_lab.training.memory import give_back, kept
    from peft_lab.training.start import masks_of, memory_of, take_over, whole_of

    settings = recipe.training
    before = journal.record.get("hardware")  # of a run that goes on, in the precision it had
    accelerator = open_accelerator(settings_here(settings, before) if before else settings)
    precision = precision_of(accelerator)
    journal.update(hardware=describe_hardware(accelerator.device, precision, accelerator.num_processes))
    if before and (then := before.get("processes", 1)) != accelerator.num_processes:
        journal.note(f"Gone on with in {accelerator.num_processes} processes, before in {then}: sums round otherwise")
    memory = PeakMemory(accelerator.device)
    progress.update(phase="reading data")
    data = load_data(recipe.data, host)
    found = find_model(recipe.model, host)
    methods = make_methods(host, recipe)
    task = make_task(host, data.task)
    generator = torch.Generator().manual_seed(recipe.seed)
    context = Context(accelerator.device, generator, load_tokenizer(found), task, settings.batch_size)
    context.rows, context.note, context.rehearsal = data.splits["train"], journal.note, rehearsal
    context.watched = progress
    give_back(methods, memory_of(recipe.start) if recipe.start else journal.record)
    vocabulary = adapt_tokenizer(methods, context)
    prints = {
        "data": data.fingerprint,
        "model": found.fingerprint,
        "tokenizer": tokenizer_fingerprint(context.tokenizer),
        "code": code_fingerprint([type(method) for method in methods]),
    }
    _must_be_as_it_was(journal, prints, anyway)
    for text in data.notes:
        journal.note(text)
    targets = task.targets(data.splits["train"])
    headline = choose_score(task, targets, data.spec.metric)
    for text in _judged(task, targets, headline):
        journal.note(text)
    journal.update(
        data=data.describe(),
        fingerprints={**journal.record["fingerprints"], **prints},
        versions=versions(),
        targets=targets,
        headline=headline,
        task=data.task,
        generates=task.generates,
        memory=kept(methods),
        cutting=usual_cutting(context.tokenizer, data.splits["train"]),
        offered_by=offered_by(host, recipe, data.task),
    )
    longest = longest_text(found, settings.max_length, methods, journal.note)
    encoded = {}
    for split, rows in data.splits.items():
        if split == "train" and settings.augment:
            rows, said = augmented(rows, settings, recipe.seed, data.task, recipe.data.source)
            journal.note(said)
        encoded[split] = encode_for(task, rows, task.encode_labels(rows, targets), context.tokenizer, longest)
        for text in encoded[split].notes(split, longest):
            journal.note(text)
    batcher = Batcher(context.tokenizer, accelerator.device)
    context.train, context.batcher, context.longest = encoded["train"], batcher, longest
    context.make_base = lambda: build_base(found, targets, context, vocabulary, precision)
    progress.update(phase="loading model", headline=headline)
    masks, whole = (masks_of(recipe.start), whole_of(recipe.start)) if recipe.start else (None, ())
    part = settings.train_head
    built = build(
        found,
        methods,
        targets,
        context,
        recipe.seed,
        part,
        masks=masks,
        rows=vocabulary,
        precision=precision,
        whole=whole,
    )
    journal.update(hardware={**journal.record["hardware"], "held": built.precision_note})
    if recipe.start:
        journal.note(take_over(recipe, built, journal.record))
    for text in found.notes:
        journal.note(text)
    # Calibration draws from the generator; the order of batches must not depend on how much it drew.
    generator.manual_seed(recipe.seed)
    books = Books(built, cast("Journal", journal), progress, generator)  # what forgets is never asked to keep
    job = Job(
        built=built,
        task=task,
        targets=targets,
        headline=headline,
        training=settings,
        train=encoded["train"],
        validation=encoded.get("validation"),
        batcher=batcher,
        accelerator=accelerator,
        generator=generator,
        progress=progress,
        memory=memory,
        books=books,
        seed=recipe.seed,
    )
    rows = data.splits.get("validation", data.splits["train"])
    return Prepared(job, context, encoded, longest, rows.select(range(min(SAMPLE, len(rows)))), data.splits)


def make_task(host: Host, name: str) -> Task:
    """An instance of a task; one of another plugin is asked so that its failures name it."""
    with host.asking("tasks", name, "the making of it"):
        task: Task = host.find("tasks", name)()
    own = host.offers("tasks")[name].plugin == OWN
    return task if own else cast("Task", AskedTask(task))


def choose_score(task: Task, targets: Mapping[str, Any], wanted: str | None) -> str:
    """The score that chooses the best state: the one wanted, or the task's own for such data.

    Raises:
        BadOption: the task has no such score.
    """
    names = list(task.scores(targets))
    if wanted is not None and wanted not in names:
        raise BadOption(f"{task.name} has no score {wanted!r} for these data", nearest(wanted, names), "data.metric")
    return wanted or names[0]


def _judged(task: Task, targets: Mapping[str, Any], headline: str) -> Iterator[str]:
    """By what a run is judged, where that does not go without saying."""
    if headline != task.headline:
        yield f"The best state is the one with the highest {words(headline)} on validation"
    if "positive" in targets:
        yield f"F1 is that of {shorten(targets['positive'])!r}"


def _must_be_as_it_was(journal: Notebook, prints: Mapping[str, str], anyway: bool) -> None:
    from peft_lab.training.fingerprints import differences

    changed = differences(journal.record, {"fingerprints": prints, "versions": versions()})
    if not changed:
        return
    run, what = journal.record["id"], ", ".join(changed)
    if not anyway:
        raise Changed(
            f"{run} cannot go on as it was: changed since then: {what}",
            f"Train anew, or go on all the same: %peft resume {run} --anyway",
        )
    journal.note(f"Gone on with although changed since the start: {what}")
