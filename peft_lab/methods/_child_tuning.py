"""Child-Tuning (Xu et al. 2021): a child network chosen by the task, or drawn anew in every step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from peft_lab.methods._calibration import Scores, Weights, first_texts, mode, thawed
from pluggy_specs import MethodContext

if TYPE_CHECKING:
    import torch

CLIP = 1.0
"""Largest norm of the gradient of one tensor in one batch, as in the authors' code."""


def in_a_layer(name: str) -> bool:
    """Whether a weight belongs to a numbered layer; embeddings and what stands between them do not."""
    return bool(re.search(r"\.\d+\.", name))


def batch_squares(model: torch.nn.Module, context: MethodContext, weights: Weights, texts: int) -> Scores:
    """Mean over batches of the squared gradient of the batch's mean loss, with dropout, clipped tensor by tensor.

    That is what the authors' code measures. It is not the Fisher information: squares of means of a batch's texts.
    """
    import torch

    sums = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}
    batches = 0
    with mode(model, training=True), thawed(weights):
        for batch in first_texts(context, texts):
            loss = context.loss(model, batch)
            gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
            for name, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    scale = min(1.0, CLIP / (float(gradient.norm()) + 1e-6))
                    sums[name].addcmul_(gradient, gradient, value=scale**2)
            batches += 1
    return {name: total.div_(max(1, batches)) for name, total in sums.items()}


def thin_gradients(weights: Mapping[str, torch.nn.Parameter], share: float) -> None:
    """Let each entry's gradient through with a probability, divided by it: a new draw in every step.

    The mean over draws is the gradient itself. Batches that are gathered into one step see the same draw. It comes
    from torch's own random numbers, which a checkpoint keeps, so that a run that goes on draws what it would have.
    """
    for weight in weights.values():
        weight.register_hook(_Thinned(weight, share))


class _Thinned:
    """A hook on one weight's gradient."""

    def __init__(self, weight: torch.nn.Parameter, share: float) -> None:
        self.weight, self.share, self.seed = weight, share, 0

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        import torch

        if self.weight.grad is None:  # the first batch of a step
            self.seed = int(torch.randint(2**62, ()))
        return thinned(gradient, self.share, self.seed)


def thinned(gradient: torch.Tensor, share: float, seed: int) -> torch.Tensor:
    """The gradient with entries kept at random and the kept ones divided by the share that is kept."""
    import torch

    source = torch.Generator(gradient.device).manual_seed(seed)
    keep = torch.empty_like(gradient).bernoulli_(share, generator=source)
    return gradient * keep / share
