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
ANSWERED, WRITTEN = 64, 8
"""Texts in one batch where only answers are wanted; where models write, texts are longer."""


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
    keep: Callable[[Any], None] = lambda outputs: None,
) -> dict[str, float] | None:
    """Metrics of the task and the mean ``loss``; None when ``stop`` said so half-way.

    ``keep`` is given the raw outputs that were scored: an array, or where words or tokens are scored one for each text.
    """
    total = weight = 0.0

    def tally(raw: torch.Tensor, batch: Batch) -> None:
        nonlocal total, weight
        losses, supervised = task.losses(raw, batch)
        total += float((losses * supervised).sum())
        weight += float(supervised.sum())

    outputs = outputs_of(model, data, task, batcher, accelerator, size, stop, tally)
    if outputs is None:
        return None
    ragged = task.by_word or task.generates
    whole = outputs if ragged else np.stack(outputs)
    scores = task.metrics(whole, data.labels, targets)
    keep(whole)
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

    Of a task by word they are [text, word, ...], NaN where a text has no such word, or its word no token. Where models
    write they are the losses of the answer's tokens, or of the text's where rows have no ``label``: [text, token, 1].
    """
    from peft_lab.training.conversing import encode_for
    from peft_lab.training.words import filled

    data = encode_for(task, rows, [], tokenizer, longest)
    outputs = outputs_of(model, data, task, batcher, accelerator, WRITTEN if task.generates else ANSWERED)
    assert outputs is not None
    if task.generates:  # which token comes first can hang on the last bit of a number
        return filled([row[:, :1] for row in outputs])
    return filled(outputs) if task.by_word else np.stack(outputs)


def outputs_of(
    model: torch.nn.Module,
    data: Encoded,
    task: Task,
    batcher: Batcher,
    accelerator: Autocasting,
    size: int,
    stop: Callable[[], bool] = lambda: False,
    look: Callable[[torch.Tensor, Batch], None] = lambda raw, batch: None,
) -> list[np.ndarray] | None:
    """Raw outputs in the order of the rows, where models write of the answers' tokens only; ``look`` sees those of each
    batch. None when ``stop`` said so."""
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
                before = len(row) - int(data.lengths[i]) if batcher.left else 0
                if data.borders is not None:
                    row = row[before + int(data.borders[i]) : before + int(data.lengths[i])]
                elif data.words is not None:
                    row = outputs_by_word(row, data.words[i], before)
                outputs[i] = row
    return outputs
