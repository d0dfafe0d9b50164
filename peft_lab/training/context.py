"""What a method may see: the training split, the loss, a generator of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluggy_specs import Batch, Table, Task

if TYPE_CHECKING:
    import torch

    from peft_lab.training.batches import Batcher, Encoded
    from peft_lab.training.progress import Progress


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
    held_out: Table | None = None
    """Set when training is over; until then no row but those of training can be reached."""
    note: Callable[[str], None] = _forget
    train: Encoded | None = None
    batcher: Batcher | None = None
    longest: int = 0
    """Tokens that a row may have."""
    rehearsal: bool = False
    watched: Progress | None = None
    """Where it is shown how far something is; None where nobody looks."""
    make_base: Callable[[], torch.nn.Module] | None = None

    def progress(self, doing: str, done: int, of: int) -> bool:
        """Show how far something is; False once a stop was asked for."""
        if self.watched is None:
            return True
        self.watched.update(phase=f"{doing} {done:,} of {of:,}")
        return not self.watched.stopping()

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

    def sweep(self, rows: Table | None = None) -> Iterator[Batch]:
        """Every training row once, or other rows with answers, the longest first; of tasks that generate."""
        if not self.task.generates:
            raise RuntimeError(f"rows are swept where models write; {self.task.name} has labels")
        if self.batcher is None or (rows is None and self.train is None):
            raise RuntimeError("rows can be swept once the tokenizer is settled: ask in attach or later")
        data = self.train if rows is None else self._encoded(rows)
        assert data is not None
        for _, batch in self.batcher.in_order(data, self.batch_size):
            yield batch

    def base(self) -> torch.nn.Module:
        """Another copy of the base model as it was loaded, without methods, in the run's precision."""
        if self.make_base is None:
            raise RuntimeError("the base model is not known yet: ask in attach or later")
        return self.make_base()

    def _encoded(self, rows: Table) -> Encoded:
        import datasets

        from peft_lab.training.conversing import encode_conversations

        table = rows if hasattr(rows, "column_names") else datasets.Dataset.from_list([dict(row) for row in rows])
        return encode_conversations(table, self.tokenizer, self.longest)
