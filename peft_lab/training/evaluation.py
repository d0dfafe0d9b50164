"""Loss and scores of a split, and raw outputs for texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pluggy_specs import Batch, Task

if TYPE_CHECKING:
    import torch

    from peft_lab.training.batches import Batcher, Encoded

CONSTANT = "constant"
"""The score by which a task says that all answers are the same."""
ANSWERED = 64
"""Texts in one batch where only answers are wanted."""


class Autocasting(Protocol):
    """An accelerator, or another place that knows its precision."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in the precision inside."""


def evaluate(
    model: torch.nn.Module,
    data: Encoded,
    *,
    task: Task,
    targets: Mapping[str, Any],
    batcher: Batcher,
    accelerator: Autocasting,
    size: int,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, float] | None:
    """Metrics of the task and the mean ``loss``; None when ``stop`` said so half-way."""
    total = weight = 0.0

    def tally(raw: torch.Tensor, batch: Batch) -> None:
        nonlocal total, weight
        losses, supervised = task.losses(raw, batch)
        total += float((losses * supervised).sum())
        weight += float(supervised.sum())

    outputs = _outputs(model, data, task, batcher, accelerator, size, stop, tally)
    if outputs is None:
        return None
    scores = task.metrics(outputs if task.by_word else np.stack(outputs), data.labels, targets)
    return {**scores, "loss": total / max(weight, 1.0)}


def answers(
    model: torch.nn.Module,
    rows: Any,
    *,
    task: Task,
    tokenizer: Any,
    longest: int,
    batcher: Batcher,
    accelerator: Autocasting,
) -> np.ndarray:
    """Raw outputs for a table of texts, in order, [text, ...]; always in batches of one size.

    Of a task by word they are [text, word, ...], NaN where a text has no such word, or its word no token.
    """
    from peft_lab.training.batches import encode
    from peft_lab.training.words import filled

    data = encode(rows, [], tokenizer, longest, task.by_word)
    outputs = _outputs(model, data, task, batcher, accelerator, ANSWERED)
    assert outputs is not None
    return filled(outputs) if task.by_word else np.stack(outputs)


def _outputs(
    model: torch.nn.Module,
    data: Encoded,
    task: Task,
    batcher: Batcher,
    accelerator: Autocasting,
    size: int,
    stop: Callable[[], bool] = lambda: False,
    look: Callable[[torch.Tensor, Batch], None] = lambda raw, batch: None,
) -> list[np.ndarray] | None:
    """Raw outputs in the order of the rows; ``look`` sees those of each batch. None when ``stop`` said so."""
    import torch

    from peft_lab.training.words import outputs_by_word

    outputs: list[Any] = [None] * len(data)
    model.eval()
    with torch.inference_mode(), accelerator.autocast():
        for chosen, batch in batcher.in_order(data, size):
            if stop():
                return None
            raw = task.outputs(model, batch)
            look(raw, batch)
            for i, row in zip(chosen, raw.float().cpu().numpy(), strict=True):
                if data.words is not None:
                    row = outputs_by_word(row, data.words[i], len(row) - int(data.lengths[i]) if batcher.left else 0)
                outputs[i] = row
    return outputs
