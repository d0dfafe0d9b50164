"""Full fine-tuning: the measure for every other method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluggy_specs import Method, MethodContext

if TYPE_CHECKING:
    import torch


class Full(Method):
    """Trains every parameter."""

    name = "full"
    summary = "every weight trains: the measure for all others"
    training = {"learning_rate": 3e-4}

    def attach(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Let everything move."""
        model.requires_grad_(True)
