"""What a method may see: the training split, the loss, a generator of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluggy_specs import Batch, Table, Task

if TYPE_CHECKING:
    import torch

    from peft_lab.training.batches import Batcher, Encoded


def _forget(text: str) -> None:
    """Where nobody reads notes."""


@dataclass
class Context:
    """The core's side of :class:`pluggy_specs.MethodContext`. Validation and test rows cannot be reached from it."""

    device: torch.device
    generator: torch.Generator
    tokenizer: Any
    task: Task
    batch_size: int
    head: frozenset[str] = frozenset()
    rows: Table | None = None
    note: Callable[[str], None] = _forget
    train: Encoded | None = None
    batcher: Batcher | None = None

    def batches(self, count: int) -> Iterator[Batch]:
        """Up to ``count`` training batches, in an order drawn from :attr:`generator`."""
        if self.train is None or self.batcher is None:
            raise RuntimeError("batches exist once the tokenizer is settled: ask for them in attach or later")
        for number, batch in enumerate(self.batcher.epoch(self.train, self.batch_size, self.generator)):
            if number == count:
                return
            yield batch

    def loss(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Mean loss over what is supervised in a batch."""
        losses, supervised = self.task.losses(self.task.outputs(model, batch), batch)
        return (losses * supervised).sum() / supervised.sum()
