"""Ways to say how important each weight is, behind one interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from peft_lab.methods._calibration import Scores, Weights, first_texts, losses_by_text, mode, thawed
from peft_lab.methods._selection import Granularity, units_along
from peft_lab.methods._sensitivity import Positions, squared_gradients
from pluggy_specs import MethodContext

if TYPE_CHECKING:
    import torch

Measure = Literal["fisher", "gradient", "gradient-weight", "magnitude", "random"]


def importance(
    by: Measure,
    model: torch.nn.Module,
    context: MethodContext,
    weights: Weights,
    *,
    texts: int,
    granularity: Granularity = "entry",
    positions: Positions | None = None,
) -> Scores:
    """Scores of all weights, without negative ones.

    Args:
        by: ``fisher``, the mean over texts of each one's squared gradient, with ``positions`` at some tokens only;
            ``gradient``, the size of the mean gradient |G|; ``gradient-weight``, |G · W|, what the loss would change
            by if the entry were zero; ``magnitude``, |W|; ``random``, for comparison.
        texts: training texts that gradients are taken of.
        granularity: what is chosen as one, so that chance treats rows and tensors of all sizes alike.
    """
    if by == "fisher":
        return squared_gradients(model, context, weights, texts, positions)
    if by == "magnitude":
        return {name: weight.detach().float().abs() for name, weight in weights.items()}
    if by == "random":
        return _by_chance(model, context, weights, granularity)
    scores = _mean_gradients(model, context, weights, texts)
    for name, weight in weights.items():
        if by == "gradient-weight":
            scores[name].mul_(weight.detach())
        scores[name].abs_()
    return scores


def _mean_gradients(model: torch.nn.Module, context: MethodContext, weights: Weights, texts: int) -> Scores:
    """Mean over texts of the gradient of each one's own loss, without dropout."""
    import torch

    sums = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}
    seen = 0
    with mode(model, training=False), thawed(weights):
        for batch in first_texts(context, texts):
            loss = losses_by_text(model, context, batch).sum()
            gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
            for name, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    sums[name] += gradient
            seen += len(batch["input_ids"])
    return {name: total.div_(max(1, seen)) for name, total in sums.items()}


def _by_chance(model: torch.nn.Module, context: MethodContext, weights: Weights, granularity: Granularity) -> Scores:
    import torch

    along = units_along(model)
    scores = {}
    for name, weight in weights.items():
        shape = list(weight.shape)
        if granularity != "entry":
            unit = along.get(name, 0)
            shape = [size if granularity == "row" and axis == unit else 1 for axis, size in enumerate(shape)]
        drawn = 1 - torch.rand(shape, generator=context.generator)  # above 0: what scores 0 is never chosen
        scores[name] = drawn.to(weight.device).expand(weight.shape)
    return scores
