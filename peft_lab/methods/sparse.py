"""Sparse fine-tuning driven by the tokens that tell labels apart (after arXiv:2508.08635).

Of the paper this method has what its abstract says: constructs of tokens found statistically in the training texts, the
parameters sensitive to them, and nothing else trained or added. Which statistics, which parameters and how many are
choices of this project; docs/methods.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from peft_lab.methods._calibration import frozen_weights
from peft_lab.methods._construct_artifact import constructs_artifact
from peft_lab.methods._constructs import Constructs, find_constructs
from peft_lab.methods._importance import Measure, importance
from peft_lab.methods._layers import from_layer
from peft_lab.methods._selection import Granularity, select, select_evenly, units_along
from pluggy_specs import Artifact, Method, MethodContext, MethodRefused, Options

if TYPE_CHECKING:
    import torch


class SparseOptions(Options):
    """How much trains, and what tells which weights matter."""

    density: float = Field(0.005, gt=0, le=1, description="share of the weights outside the head that train")
    granularity: Granularity = Field("entry", description="what is chosen as one")
    by: Literal["tokens", Measure] = Field(
        "tokens", description="what tells which weights matter; all but tokens are there to compare with"
    )
    lowest: int | None = Field(
        None,
        description="lowest layer whose weights may be chosen, -1 being the topmost; nothing is computed backwards "
        "below it",
    )
    even: bool = Field(
        False, description="choose the same share of every parameter, instead of the best of the whole model"
    )
    texts: int = Field(1024, ge=1, description="training texts whose gradients are looked at")
    constructs: int = Field(32, ge=1, description="words, phrases and pairs of words kept for each label")
    false_discovery: float = Field(0.05, gt=0, lt=1, description="share of these that may be chance")
    reach: int = Field(5, ge=2, description="largest distance of the two words of a pair, in tokens")


class Sparse(Method):
    """Trains the weights that are most sensitive to the words and pairs of words that tell the labels apart.

    Sensitivity is the mean over training texts of each one's squared gradient, gathered at those words only.
    """

    name = "sparse"
    summary = "the few weights most sensitive to the words that tell labels apart"
    paper = "arXiv:2508.08635"
    training = {"learning_rate": 3e-3}

    Options = SparseOptions

    def __init__(self, options: SparseOptions | None = None) -> None:
        super().__init__(options)
        self.constructs: Constructs | None = None
        self.chosen: Mapping[str, torch.Tensor] = {}

    def prepare(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Find the constructs, measure sensitivity to them, choose."""
        options = self.options
        weights = frozen_weights(model)
        budget = int(options.density * sum(weight.numel() for weight in weights.values()))
        if options.lowest is not None:
            weights = from_layer(model, weights, options.lowest)
        positions = None
        if options.by == "tokens":
            self.constructs = find_constructs(
                model, context, most=options.constructs, false_discovery=options.false_discovery, reach=options.reach
            )
            positions = self.constructs.positions
        scores = importance(
            "fisher" if options.by == "tokens" else options.by,
            model,
            context,
            weights,
            texts=options.texts,
            granularity=options.granularity,
            positions=positions,
        )
        if positions and not any(bool(score.any()) for score in scores.values()):
            raise MethodRefused(
                f"none of the {options.texts:,} texts looked at has a construct", "Say --texts with a higher number"
            )
        choose = select_evenly if options.even else select
        chosen = choose(scores, budget, options.granularity, units_along(model))
        if options.granularity == "tensor":  # whole parameters need no mask: they train as they are
            for name in chosen:
                weights[name].requires_grad_(True)
        else:
            self.chosen = chosen

    def masks(self, model: torch.nn.Module) -> Mapping[str, torch.Tensor]:
        """The chosen entries."""
        return self.chosen

    def artifacts(self, model: torch.nn.Module, context: MethodContext) -> Iterator[Artifact]:
        """The constructs. Which weights were chosen the core keeps by itself, as ``sparse-mask``."""
        if self.constructs is not None:
            yield constructs_artifact(self.constructs)
