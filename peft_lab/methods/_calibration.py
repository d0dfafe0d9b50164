"""What selectors look at the training split with: which weights may be chosen, some texts, losses of single texts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pluggy_specs import Batch, MethodContext

if TYPE_CHECKING:
    import torch

Weights = Mapping[str, "torch.nn.Parameter"]
Scores = dict[str, "torch.Tensor"]
"""How important each entry is, by parameter name and shaped like it, in fp32 and not negative."""


def frozen_weights(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """What a mask may choose from: all that neither the head nor another method trains."""
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad and parameter.is_floating_point() and ".original_module." not in name
    }


def first_texts(context: MethodContext, texts: int) -> Iterator[Batch]:
    """Batches of that many training texts, or of all there are."""
    for batch in context.batches(sys.maxsize):
        here = len(batch["input_ids"])
        yield batch if here <= texts else {name: values[:texts] for name, values in batch.items()}
        texts -= here
        if texts <= 0:
            return


def rounds(context: MethodContext, texts: int) -> Iterator[Batch]:
    """Batches of that many texts; where there are fewer, the split is gone through again."""
    while texts > 0:
        for batch in first_texts(context, texts):
            texts -= len(batch["input_ids"])
            yield batch


def losses_by_text(model: torch.nn.Module, context: MethodContext, batch: Batch) -> torch.Tensor:
    """The loss of each text as if it were alone, [text]."""
    losses, supervised = context.task.losses(context.task.outputs(model, batch), batch)
    return (losses * supervised).sum(1) / supervised.sum(1).clamp(min=1)


@contextmanager
def mode(model: torch.nn.Module, *, training: bool) -> Iterator[None]:
    """The model with or without dropout inside. Training later draws the random numbers that it would have anyway."""
    import torch

    before = model.training
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    model.train(training)
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        model.train(before)


@contextmanager
def thawed(weights: Weights) -> Iterator[None]:
    """Weights that gradients are formed for inside."""
    for weight in weights.values():
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight in weights.values():
            weight.requires_grad_(False)
