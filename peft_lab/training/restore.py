"""A trained model from its run folder: the base model, the methods, the kept tensors, strictly."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peft_lab.errors import RunProblem
from peft_lab.recipe import make_methods
from peft_lab.run import WEIGHTS, Run
from peft_lab.training.installed import must_be_installed
from peft_lab.training.preparing import make_task
from peft_lab.training.sameness import must_be_offered, must_be_same_model, must_be_same_tokenizer

if TYPE_CHECKING:
    import numpy as np
    import torch

    from peft_lab.host import Host
    from peft_lab.training.build import Built
    from peft_lab.training.generating import Written
    from pluggy_specs import Artifact, Batch, Method, Table, Task


@dataclass(frozen=True)
class Place:
    """Where to compute and how precisely; stands for accelerate's, whose precision is that of the latest training."""

    device: torch.device
    precision: str

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in the precision inside."""
        import torch

        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")


@dataclass
class Restored:
    """A trained model that can answer."""

    built: Built
    task: Task
    targets: dict[str, Any]
    tokenizer: Any
    place: Place
    max_length: int
    """Tokens of a text as in training."""
    batch_size: int = 128
    """Rows in one evaluation batch, as the run had."""
    room: int | None = None
    """Tokens that the model has positions for; None where it counts none."""

    def outputs(self, rows: Table) -> np.ndarray:
        """Raw outputs for rows with ``text`` (and ``text_pair``), in order.

        Where the model writes they are the losses of the tokens of ``label``, or of the text where rows have none.
        """
        from peft_lab.training.evaluation import answers

        texts = {"tokenizer": self.tokenizer, "longest": self.max_length}
        return answers(self.built.model, _table(rows), **texts, **self._means())

    def score(self, rows: Table, batch_size: int | None = None) -> dict[str, float]:
        """Metrics and loss for rows with labels."""
        return self.judged(rows, "rows", batch_size)[0]

    def judged(
        self, rows: Table, split: str, batch_size: int | None = None
    ) -> tuple[dict[str, float], Artifact | None]:
        """Metrics and loss for rows with labels, and what was answered, as an artifact like that of a run's split."""
        from peft_lab.training.conversing import encode_for
        from peft_lab.training.evaluation import CONSTANT, evaluate
        from peft_lab.training.told import answers_artifact

        labels = self.task.encode_labels(rows, self.targets)
        data = encode_for(self.task, _table(rows), labels, self.tokenizer, self.max_length)
        kept: list[Any] = []
        how: dict[str, Any] = {"size": batch_size or self.batch_size, "keep": kept.append}
        scores = evaluate(self.built.model, data, targets=self.targets, **how, **self._means())
        assert scores is not None
        told = {name: score for name, score in scores.items() if name != CONSTANT}
        return told, answers_artifact(split, kept[0], data, self.task, self.targets)

    def sweep(self, rows: Table) -> Iterator[Batch]:
        """Batches of rows with answers, the longest first, where the model writes; ``batch["row"]`` numbers them."""
        from peft_lab.training.conversing import encode_conversations

        data = encode_conversations(_table(rows), self.tokenizer, self.max_length)
        for _, batch in self._means()["batcher"].in_order(data, self.batch_size):
            yield batch

    def write(self, rows: Table, *, most: int = 128, temperature: float = 0.0, seed: int = 0) -> list[str]:
        """What the model answers to rows with ``text`` (and ``text_pair``), in its own words.

        Args:
            most: new tokens at most.
            temperature: 0 takes the likeliest token each time.
        """
        return self.written(rows, most=most, temperature=temperature, seed=seed).answers

    def written(self, rows: Table, *, most: int = 128, temperature: float = 0.0, seed: int = 0) -> Written:
        """What :meth:`write` says, and how far prompts and answers fitted: into all that the model has positions for,
        which is more than it was trained on."""
        from peft_lab.training.generating import write

        how: dict[str, Any] = {"temperature": temperature, "seed": seed}
        with self.place.autocast():
            return write(self.built.model, rows, self.tokenizer, self.room, most, **how)

    def _means(self) -> dict[str, Any]:
        from peft_lab.training.batches import Batcher

        batcher = Batcher(self.tokenizer, self.place.device)
        return {"task": self.task, "batcher": batcher, "accelerator": self.place}


def _table(rows: Table) -> Any:
    """The texts of rows as a data set, and their labels where these are texts too: a model that writes needs them."""
    import datasets

    columns = [name for name in ("text", "text_pair", "label") if name in rows[0]]
    if "label" in columns and not all(isinstance(row["label"], str) for row in rows):
        columns.remove("label")
    return datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in columns})


def restore(run: Run, host: Host, **changes: Any) -> Restored:
    """Build the run's model again and load what it kept, strictly.

    It computes as precisely as the run did, on the device the recipe names, where this machine can.

    Args:
        changes: training settings to use instead, such as ``precision="fp32"``.

    Raises:
        RunProblem: the base model, the tokenizer or a plugin is missing here or is another one, or a tensor is missing,
            unexpected or of another shape.
    """
    from peft_lab.training.weights import load_weights, saved_masks, saved_whole

    must_be_installed()
    _must_be_begun(run)
    must_be_offered(run, host)
    file = run.path / WEIGHTS
    with host.blaming():
        methods = make_methods(host, run.recipe)
        restored = _assemble(run, host, methods, saved_masks(file), changes, saved_whole(file))
        load_weights(restored.built, file)
    return restored


def untrained(run: Run, host: Host, **changes: Any) -> Restored:
    """The run's base model without its methods, under the untrained head that the recipe's seed draws.

    Raises:
        RunProblem: it is not the base model that the run was trained on.
    """
    _must_be_begun(run)
    return _assemble(run, host, [], {}, changes)


def tokenizers_of(run: Run, host: Host) -> tuple[Any, Any]:
    """The tokenizer of a run's base model, and the one that the run trained with; the model is not loaded.

    Raises:
        RunProblem: the base model or the tokenizer is missing here or is another one.
    """
    import torch

    from peft_lab.sources.models import find_model, load_tokenizer
    from peft_lab.training.build import adapt_tokenizer
    from peft_lab.training.context import Context
    from peft_lab.training.memory import give_back

    _must_be_begun(run)
    must_be_offered(run, host)
    found = find_model(run.recipe.model, host)
    plain = load_tokenizer(found)
    with host.blaming():
        methods = make_methods(host, run.recipe)
        give_back(methods, run.record)
        task = make_task(host, run.record["task"])
        context = Context(torch.device("cpu"), torch.Generator(), plain, task, run.recipe.training.batch_size)
        adapt_tokenizer(methods, context)
    must_be_same_tokenizer(run, context.tokenizer)
    return plain, context.tokenizer


def _must_be_begun(run: Run) -> None:
    if "targets" not in run.record:
        raise RunProblem(f"{run.id} stopped before its data was read", "Train again")


def _assemble(
    run: Run,
    host: Host,
    methods: list[Method],
    masks: Mapping[str, torch.Tensor],
    changes: Mapping[str, Any],
    whole: Collection[str] = (),
) -> Restored:
    import torch

    from peft_lab.sources.models import find_model, load_tokenizer
    from peft_lab.training.build import adapt_tokenizer, build
    from peft_lab.training.context import Context
    from peft_lab.training.hardware import choose_device, choose_precision, settings_here
    from peft_lab.training.lengths import longest_text, room_for_text
    from peft_lab.training.memory import give_back
    from peft_lab.training.randomness import kept_apart

    recipe, record = run.recipe, run.record
    found = find_model(recipe.model, host)
    must_be_same_model(run, found)
    task = make_task(host, record["task"])
    settings = settings_here(recipe.training, record.get("hardware", {})).model_copy(update=dict(changes))
    device = choose_device(settings.device)
    place = Place(torch.device(device), choose_precision(settings.precision, device))
    with kept_apart():
        generator = torch.Generator().manual_seed(recipe.seed)
        context = Context(place.device, generator, load_tokenizer(found), task, settings.batch_size)
        give_back(methods, record)
        rows = adapt_tokenizer(methods, context)
        if methods:
            must_be_same_tokenizer(run, context.tokenizer)
        targets, part = record["targets"], settings.train_head
        built = build(
            found,
            methods,
            targets,
            context,
            recipe.seed,
            part,
            masks=masks,
            whole=whole,
            rows=rows,
            precision=place.precision,
            training=False,
        )
    longest, room = longest_text(found, settings.max_length, methods), room_for_text(found, methods)
    return Restored(built, task, targets, context.tokenizer, place, longest, settings.eval_batch_size, room)
