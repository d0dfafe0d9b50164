"""Selective fine-tuning: published ways to choose which weights are worth training, behind one interface."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from peft_lab.methods._calibration import frozen_weights
from peft_lab.methods._child_tuning import batch_squares, in_a_layer, thin_gradients
from peft_lab.methods._diff_pruning import learned_differences
from peft_lab.methods._importance import importance
from peft_lab.methods._selection import select
from pluggy_specs import Method, MethodContext, MethodRefused, Options

if TYPE_CHECKING:
    import torch

    from peft_lab.methods._calibration import Scores, Weights

FEW, CHILD = 0.005, 0.3
FISH_TEXTS = 1024


class SelectiveOptions(Options):
    """Which way of choosing, and how much trains."""

    by: Literal["fish", "child-task", "child-free", "diff-pruning", "magnitude", "random"] = Field(
        "fish", description="what chooses"
    )
    density: float | None = Field(
        None,
        gt=0,
        le=1,
        description=f"share of the weights outside the head that train; unset: {FEW}, with child-tuning {CHILD}",
    )
    count_head: bool = Field(False, description="count the head as part of that share, as FISH does")
    texts: int | None = Field(
        None,
        ge=1,
        description=f"training texts looked at to choose; unset: {FISH_TEXTS} with fish, else all of them once",
    )


class Selective(Method):
    """Trains weights that a published selector chooses from the training split, once before training.

    ``fish``: largest squared gradients of single texts. ``child-task``: largest squared gradients of batches, within
    the layers; embeddings train whole. ``child-free``: everything trains, but in every step only a random share of the
    gradient's entries counts. ``diff-pruning``: largest differences behind learned gates. ``magnitude`` and ``random``
    are there to compare with.
    """

    name = "selective"
    summary = "the few weights that a selector finds important: FISH, Child-Tuning, diff pruning"
    paper = "arXiv:2111.09839, arXiv:2109.05687, arXiv:2012.07463"
    training = {"learning_rate": 1e-3}

    Options = SelectiveOptions

    def __init__(self, options: SelectiveOptions | None = None) -> None:
        super().__init__(options)
        self.chosen: Mapping[str, torch.Tensor] = {}

    @property
    def density(self) -> float:
        """The share that trains."""
        said: float | None = self.options.density
        return said if said is not None else CHILD if self.options.by.startswith("child") else FEW

    def attach(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Mark what trains whole beside a mask: with Child-Tuning the embeddings, or everything."""
        if not self.options.by.startswith("child"):
            return
        weights = {n: w for n, w in frozen_weights(model).items() if n not in context.head}
        free = self.options.by == "child-free"
        whole = {name: weight for name, weight in weights.items() if free or not in_a_layer(name)}
        for weight in whole.values():
            weight.requires_grad_(True)
        if free:
            thin_gradients(whole, self.density)

    def prepare(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Choose, where the choice is made once."""
        if self.options.by == "child-free":
            return
        weights = frozen_weights(model)
        self.chosen = select(self._scores(model, context, weights), self._budget(model, weights))

    def masks(self, model: torch.nn.Module) -> Mapping[str, torch.Tensor]:
        """The chosen entries."""
        return self.chosen

    def _scores(self, model: torch.nn.Module, context: MethodContext, weights: Weights) -> Scores:
        by, texts = self.options.by, self.options.texts
        if by == "child-task":
            return batch_squares(model, context, weights, texts or sys.maxsize)
        if by == "diff-pruning":
            return learned_differences(model, context, weights, texts or _all_texts(context))
        return importance("fisher" if by == "fish" else by, model, context, weights, texts=texts or FISH_TEXTS)

    def _budget(self, model: torch.nn.Module, weights: Weights) -> int:
        """Entries that may be chosen."""
        open_to_choice = sum(weight.numel() for weight in weights.values())
        if not self.options.count_head:
            return int(self.density * open_to_choice)
        beside = sum(p.numel() for p in model.parameters() if p.requires_grad)
        budget = int(self.density * (open_to_choice + beside)) - beside
        if budget <= 0:
            least = beside / (open_to_choice + beside)
            raise MethodRefused(
                f"the head's {beside:,} entries are more than {self.density:.2%} of the model, so that none are left",
                f"Say --density {least * 1.5:.2g}, --train-head top, or leave out --count-head",
            )
        return budget


def _all_texts(context: MethodContext) -> int:
    return sum(len(batch["input_ids"]) for batch in context.batches(sys.maxsize))
