"""Reasoning-highlighted fine-tuning: what the answer says counts for more than how it is put (arXiv:2412.14780)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from peft_lab.methods._finds_roles import FindsRoles, RoleOptions
from peft_lab.methods._group_weights import group_weights
from pluggy_specs import Batch

if TYPE_CHECKING:
    import torch


class RftOptions(RoleOptions):
    """How roles are found, and how they count."""

    weights: Literal["rft", "fixed", "sft"] = Field(
        "rft", description="rft: by the losses, anew in every step; fixed: by --reasoning-weight; sft: all tokens alike"
    )
    inverse_temperature: float = Field(
        0.3, ge=0, description="how far the group with the higher loss is preferred; 0: both alike"
    )
    reasoning_weight: float = Field(
        0.5, ge=0, le=1, description="weight of the reasoning tokens of an answer, for --weights fixed"
    )
    reduction: Literal["mean", "sum"] = Field("mean", description="how the losses of a group are put together")
    detach: bool = Field(True, description="weights are constants; no: gradients go through them, too")

    @model_validator(mode="after")
    def _sums_need_constants(self) -> RftOptions:
        if self.reduction == "sum" and not self.detach:
            # The core divides by the sum of weights, which is then no constant.
            raise ValueError("with sums of losses weights have to be constants: leave out one of the two")
        return self


class Rft(FindsRoles):
    """Weighs the two groups of tokens of each answer by their losses, the higher the more; what trains is chosen by
    the method it is joined to.

    The loss of a step is the mean over its answers of ``w_b L_b + w_r L_r``, also with ``--accumulate``.
    """

    name = "rft"
    summary = "reasoning tokens of answers count for more than boilerplate, by how badly each is known"
    paper = "arXiv:2412.14780"
    companion = "lora"

    Options = RftOptions

    def weigh_tokens(self, losses: torch.Tensor, batch: Batch) -> torch.Tensor | None:
        """Weights that sum to 1 in each answer; none for plain fine-tuning."""
        return self.weights_of(losses, self.roles_in(batch)) if self.weighs else None

    @property
    def weighs(self) -> bool:
        """Not where all tokens count alike."""
        return bool(self.options.weights != "sft")

    def weights_of(self, losses: torch.Tensor, roles: torch.Tensor) -> torch.Tensor:
        """By the losses of both groups, or fixed."""
        options = self.options
        return group_weights(
            losses,
            roles,
            inverse_temperature=options.inverse_temperature,
            reasoning=options.reasoning_weight if options.weights == "fixed" else None,
            reduction=options.reduction,
            detach=options.detach,
        )
