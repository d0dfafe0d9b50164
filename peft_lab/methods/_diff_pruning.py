"""Diff pruning (Guo et al. 2021): learn how much each weight should differ, and whether it should differ at all.

Weights in effect are ``θ₀ + z · w``: the difference w starts at zero, and each entry's gate z, between 0 and 1, is a
stretched sigmoid that can be exactly 0 (hard concrete). A penalty on the expected number of open gates closes those
that the loss does not need. Each tensor has a gate of its own on top, which multiplies those of its entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peft_lab.methods._calibration import Scores, Weights, mode, rounds
from pluggy_specs import MethodContext

if TYPE_CHECKING:
    import torch

LOW, HIGH = -1.5, 1.5
"""Limits to which the sigmoid is stretched before it is cut to 0 and 1."""
EDGE = 1e-4
OPEN = 5.0
"""Where gates start: nearly all of them are 1."""
PENALTY = 1.25e-7
"""Of one open gate, as in the authors' code."""
RATE, GATE_RATE, CLIP = 3e-4, 0.1, 1.0


def gate(alpha: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
    """The gates z, with uniform noise while they are learned and without where they are read."""
    import torch

    spread = torch.sigmoid(alpha) if noise is None else torch.sigmoid(torch.log(noise) - torch.log1p(-noise) + alpha)
    return (spread * (HIGH - LOW) + LOW).clamp(0, 1)


def expected_open(alpha: torch.Tensor) -> torch.Tensor:
    """How many gates are expected not to be 0."""
    import math

    import torch

    return torch.sigmoid(alpha - math.log(-LOW / HIGH)).sum()


class _Gated:
    """Stands for a model whose weights differ; a task calls it as it would call the model."""

    def __init__(self, model: torch.nn.Module, weights: Weights) -> None:
        import torch

        self.model, self.weights = model, weights
        self.difference = {name: torch.zeros_like(weight, requires_grad=True) for name, weight in weights.items()}
        self.alpha = {name: torch.full_like(weight, OPEN, requires_grad=True) for name, weight in weights.items()}
        self.of_tensor = {
            name: torch.full((), OPEN, device=weight.device, requires_grad=True) for name, weight in weights.items()
        }

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        import torch

        used = {}
        for name, weight in self.weights.items():
            z = gate(self.alpha[name], _noise(self.alpha[name])) * gate(
                self.of_tensor[name], _noise(self.of_tensor[name])
            )
            used[name] = weight.detach() + z * self.difference[name]
        return torch.func.functional_call(self.model, used, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def open(self) -> torch.Tensor:
        """Gates expected to be open, those of tensors among them."""
        import torch

        return torch.stack([expected_open(alpha) for alpha in (*self.alpha.values(), *self.of_tensor.values())]).sum()

    def scores(self) -> Scores:
        """Size of the gated difference of each entry."""
        return {
            name: (gate(self.alpha[name]) * gate(self.of_tensor[name]) * difference).detach().float().abs()
            for name, difference in self.difference.items()
        }


def learned_differences(model: torch.nn.Module, context: MethodContext, weights: Weights, texts: int) -> Scores:
    """Learn gates and differences on that many training texts, gone through again where there are fewer.

    What trains beside them (the head) learns too and is put back afterwards: of all this only the scores stay.
    """
    import torch

    beside = [parameter for parameter in model.parameters() if parameter.requires_grad]
    before = [parameter.detach().clone() for parameter in beside]
    gated = _Gated(model, weights)
    learned = [*beside, *gated.difference.values()]
    gates = [*gated.alpha.values(), *gated.of_tensor.values()]
    groups = [{"params": learned, "lr": RATE}, {"params": gates, "lr": GATE_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    stand_in: Any = gated
    with mode(model, training=True):
        for batch in rounds(context, texts):
            loss = context.loss(stand_in, batch) + PENALTY * gated.open()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learned, CLIP)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        for parameter, start in zip(beside, before, strict=True):
            parameter.copy_(start)
    return gated.scores()


def _noise(like: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.empty_like(like).uniform_(EDGE, 1 - EDGE)
