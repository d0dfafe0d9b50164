"""Mixout (Lee et al. 2020, arXiv:1909.11299): in training, a layer computes with a mix of its weights and their start.

``w' = w_0 + m (w - w_0) / (1 - p)`` with m drawn anew in each forward pass, 1 with probability 1 - p, one draw for each
input of the layer. On average that is w. The gradient is the true one, m / (1 - p).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def mix(model: torch.nn.Module, names: Collection[str], share: float) -> None:
    """Let every linear layer whose weight is among the names compute so; the model's dropout gives way to it."""
    import torch
    from transformers.pytorch_utils import Conv1D

    for path, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(module, torch.nn.Linear | Conv1D) and f"{path}.weight" in names:
            # Conv1D holds its weight as [input, output].
            mixed = Mixed(module.weight.detach().clone(), share, inputs=0 if isinstance(module, Conv1D) else 1)
            module.register_forward_pre_hook(mixed.put)
            module.register_forward_hook(mixed.take, always_call=True)


@dataclass
class Mixed:
    """The start of one layer's weight."""

    start: torch.Tensor
    share: float
    inputs: int
    """Which axis of the weight goes with the inputs."""

    def weight(self, now: torch.Tensor) -> torch.Tensor:
        """The mix, drawn anew."""
        import torch

        size = [1, 1]
        size[self.inputs] = now.shape[self.inputs]
        stays = torch.rand(size, device=now.device) >= self.share
        return self.start + (now - self.start) * stays / (1 - self.share)

    def put(self, module: Any, _: Any) -> None:
        """Before the layer: what the module finds under the name of its weight comes before the parameter."""
        if module.training:
            module.__dict__["weight"] = self.weight(module._parameters["weight"])

    def take(self, module: Any, *_: Any) -> None:
        """Behind the layer, also where it failed."""
        module.__dict__.pop("weight", None)
