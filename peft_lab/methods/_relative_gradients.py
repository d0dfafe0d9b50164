"""Relative gradients: how large the gradient of a task is in some weights, over how large these are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluggy_specs import MethodContext

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Relative:
    """Of some weights."""

    gradient: float
    """Euclidean norm of the gradient, mean over batches."""
    size: float
    """Euclidean norm of the weights."""

    @property
    def share(self) -> float:
        """The one over the other."""
        return self.gradient / self.size if self.size else 0.0


def relative_gradients(
    model: torch.nn.Module, parts: Mapping[str, list[torch.nn.Parameter]], context: MethodContext, batches: int
) -> dict[str, Relative]:
    """Measure the gradients of frozen parameters, part by part, without dropout; they are frozen again afterwards.

    A gradient is given up as soon as it is measured, so that there are never those of a whole model.
    """
    import torch

    sums = dict.fromkeys(parts, 0.0)
    squares = {part: torch.zeros((), device=context.device) for part in parts}
    trained, count = model.training, 0
    handles = []
    model.eval()
    try:
        for part, parameters in parts.items():
            for parameter in parameters:
                handle = parameter.requires_grad_(True).register_post_accumulate_grad_hook(_adder(squares[part]))
                handles.append(handle)
        for batch in context.batches(batches):
            context.loss(model, batch).backward()
            model.zero_grad(set_to_none=True)  # of what trains besides
            for part, square in squares.items():
                sums[part] += float(square.sqrt())
                square.zero_()
            count += 1
    finally:
        for handle in handles:
            handle.remove()
        for parameter in (p for parameters in parts.values() for p in parameters):
            parameter.requires_grad_(False)
        model.train(trained)
    sizes = {part: float(sum(p.detach().float().square().sum() for p in ps)) ** 0.5 for part, ps in parts.items()}
    return {part: Relative(sums[part] / max(1, count), sizes[part]) for part in parts}


def _adder(square: torch.Tensor) -> Callable[[torch.Tensor], None]:
    def add(parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        square.add_(parameter.grad.float().square().sum())
        parameter.grad = None

    return add
