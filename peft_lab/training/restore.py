"""A trained model from its run folder: the base model, the methods, the kept tensors, strictly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peft_lab.errors import RunProblem
from peft_lab.recipe import make_methods
from peft_lab.run import WEIGHTS, Run

if TYPE_CHECKING:
    import numpy as np

    from peft_lab.host import Host
    from peft_lab.training.build import Built
    from pluggy_specs import Table, Task


@dataclass
class Restored:
    """A trained model that can answer."""

    built: Built
    task: Task
    targets: dict[str, Any]
    tokenizer: Any
    accelerator: Any
    max_length: int

    def outputs(self, rows: Table) -> np.ndarray:
        """Raw outputs for rows with ``text`` (and ``text_pair``), in order."""
        from peft_lab.training.evaluation import raw_outputs

        return raw_outputs(self.built.model, self._encoded(rows, []), size=64, **self._means())

    def score(self, rows: Table, batch_size: int = 128) -> dict[str, float]:
        """Metrics and loss for rows with labels."""
        from peft_lab.training.evaluation import evaluate

        data = self._encoded(rows, self.task.encode_labels(rows, self.targets))
        scores = evaluate(self.built.model, data, targets=self.targets, size=batch_size, **self._means())
        assert scores is not None
        return scores

    def _means(self) -> dict[str, Any]:
        from peft_lab.training.batches import Batcher

        batcher = Batcher(self.tokenizer, self.accelerator.device)
        return {"task": self.task, "batcher": batcher, "accelerator": self.accelerator}

    def _encoded(self, rows: Table, labels: Sequence[Any]) -> Any:
        import datasets

        from peft_lab.training.batches import encode

        columns = [name for name in ("text", "text_pair") if name in rows[0]]
        table = datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in columns})
        return encode(table, labels, self.tokenizer, self.max_length)


def restore(run: Run, host: Host) -> Restored:
    """Build the run's model again and load what it kept.

    Raises:
        RunProblem: the base model on this machine is not the one that was trained, or a tensor does not fit.
    """
    import torch

    from peft_lab.sources.models import find_model, load_tokenizer
    from peft_lab.training.build import adapt_tokenizer, build
    from peft_lab.training.context import Context
    from peft_lab.training.hardware import open_accelerator
    from peft_lab.training.session import longest_possible
    from peft_lab.training.weights import load_weights, saved_masks

    recipe, record = run.recipe, run.record
    if "targets" not in record:
        raise RunProblem(f"{run.id} stopped before its data was read", "Train again")
    file = run.path / WEIGHTS
    masks = saved_masks(file)
    found = find_model(recipe.model, host)
    expected = record["fingerprints"].get("model")
    if expected != found.fingerprint:
        raise RunProblem(
            f"{run.id} was trained on another {recipe.model}: its fingerprint is {str(expected)[:12]}, "
            f"here {found.fingerprint[:12]}",
            "Put the same weights in place",
        )
    task: Task = host.find("tasks", record["task"])()
    accelerator = open_accelerator(recipe.training)
    methods = make_methods(host, recipe)
    with torch.random.fork_rng():
        generator = torch.Generator().manual_seed(recipe.seed)
        context = Context(accelerator.device, generator, load_tokenizer(found), task, recipe.training.batch_size)
        rows = adapt_tokenizer(methods, context)
        part = recipe.training.train_head
        built = build(found, methods, record["targets"], context, recipe.seed, part, masks=masks, rows=rows)
    load_weights(built, file)
    longest = longest_possible(found, recipe.training.max_length)
    return Restored(built, task, record["targets"], context.tokenizer, accelerator, longest)
