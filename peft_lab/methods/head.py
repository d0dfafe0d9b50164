"""Only the task head: what the frozen base model already knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluggy_specs import Method, MethodContext, MethodRefused

if TYPE_CHECKING:
    import torch


class Head(Method):
    """Trains the task head on frozen features. The core trains the head with every method, so nothing is left to do."""

    name = "head"
    summary = "only the task head trains; the base model stays as it is"
    training = {"learning_rate": 5e-3}

    def attach(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Leave the base model frozen."""
        if context.task.generates:
            raise MethodRefused("head trains the head of a task, and a model that writes has none", "Use lora")
