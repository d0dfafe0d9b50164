"""Reasoning-highlighted fine-tuning: the group of tokens with the higher loss counts for more (arXiv:2412.14780).

For each sample, with L_b and L_r the mean losses of its boilerplate and its reasoning tokens and t the temperature,
``w_r = exp(L_r / t) / (exp(L_b / t) + exp(L_r / t))``, ``w_b = 1 - w_r`` and ``L = w_b L_b + w_r L_r``. As weights of
tokens: ``w_b / |b|`` and ``w_r / |r|``. They sum to 1 in a sample, so that what the core makes of them, the weighted
sum over the sum of weights, is the mean of L over samples, however many batches are gathered for a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def group_weights(
    losses: torch.Tensor,
    roles: torch.Tensor,
    *,
    inverse_temperature: float = 0.3,
    reasoning: float | None = None,
    reduction: str = "mean",
    detach: bool = True,
) -> torch.Tensor:
    """Weights of tokens, [batch, token]: 0 where there is no role.

    A group without tokens leaves its weight to the other.

    Args:
        losses: [batch, token].
        roles: [batch, token]: 1 reasoning, 0 boilerplate, -1 neither.
        inverse_temperature: 1 / t; at 0 both groups count alike.
        reasoning: a fixed weight of the reasoning tokens, whatever the losses.
        reduction: ``mean``, or ``sum`` for groups that count by the sums of their losses.
        detach: False lets gradients through the weights.
    """
    import torch

    if detach:
        losses = losses.detach()
    masks = [(roles == role).to(losses.dtype) for role in (0, 1)]
    counts = [mask.sum(1) for mask in masks]
    sizes = [count.clamp(min=1) if reduction == "mean" else torch.ones_like(count) for count in counts]
    boilerplate, reason = ((losses * mask).sum(1) / size for mask, size in zip(masks, sizes, strict=True))
    if reasoning is None:
        share = torch.sigmoid((reason - boilerplate) * inverse_temperature)
    else:
        share = torch.full_like(reason, reasoning)
    share = torch.where(counts[0] == 0, torch.ones_like(share), share)
    share = torch.where(counts[1] == 0, torch.zeros_like(share), share)
    parts = [(part / size)[:, None] * mask for part, size, mask in zip((1 - share, share), sizes, masks, strict=True)]
    return parts[0] + parts[1]
