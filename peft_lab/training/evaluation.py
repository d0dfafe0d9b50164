"""Loss and scores of a split, and raw outputs for texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pluggy_specs import Task

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from peft_lab.training.batches import Batcher, Encoded


def evaluate(
    model: torch.nn.Module,
    data: Encoded,
    *,
    task: Task,
    targets: Mapping[str, Any],
    batcher: Batcher,
    accelerator: Accelerator,
    size: int,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, float] | None:
    """Metrics of the task and the mean ``loss``; None when ``stop`` said so half-way."""
    import torch

    outputs: list[Any] = [None] * len(data)
    total = weight = 0.0
    model.eval()
    with torch.inference_mode(), accelerator.autocast():
        for chosen, batch in batcher.in_order(data, size):
            if stop():
                return None
            raw = task.outputs(model, batch)
            losses, supervised = task.losses(raw, batch)
            total += float((losses * supervised).sum())
            weight += float(supervised.sum())
            for i, row in zip(chosen, raw.float().cpu().numpy(), strict=True):
                outputs[i] = row
    scores = task.metrics(np.stack(outputs), data.labels, targets)
    return {**scores, "loss": total / max(weight, 1.0)}


def raw_outputs(
    model: torch.nn.Module, data: Encoded, *, task: Task, batcher: Batcher, accelerator: Accelerator, size: int
) -> np.ndarray:
    """Outputs in the order of the rows, [text, ...]."""
    import torch

    outputs: list[Any] = [None] * len(data)
    model.eval()
    with torch.inference_mode(), accelerator.autocast():
        for chosen, batch in batcher.in_order(data, size):
            for i, row in zip(chosen, task.outputs(model, batch).float().cpu().numpy(), strict=True):
                outputs[i] = row
    return np.stack(outputs)
