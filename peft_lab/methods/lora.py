"""LoRA: a product of two small matrices beside each chosen weight (Hu et al. 2021), by Hugging Face PEFT."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from peft_lab.methods._peft import effective_change, inject, linear_layers
from pluggy_specs import Artifact, Method, MethodContext, Options

if TYPE_CHECKING:
    import torch

Kind = Literal["query-value", "attention", "all-linear"]


class LoraOptions(Options):
    """How large a change, and to which weights."""

    rank: int = Field(8, ge=1, description="rows of A and columns of B")
    alpha: float = Field(16, gt=0, description="the change counts alpha / rank times")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of inputs that A does not see")
    targets: tuple[Kind | str, ...] = Field(
        ("query-value",),
        min_length=1,
        description="kinds of linear layers, or ends of their names",
        json_schema_extra={"completes": "modules"},
    )
    rslora: bool = Field(False, description="count alpha / √rank times, for large ranks")
    dora: bool = Field(False, description="train the length of each row of the weight apart from its direction")


class Lora(Method):
    """Adds ``alpha / rank · B A`` to the weight W of each target, where A and B train and W does not."""

    name = "lora"
    summary = "a low-rank change beside chosen weights"
    paper = "arXiv:2106.09685"
    training = {"learning_rate": 3e-3}

    Options = LoraOptions

    def attach(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Put A and B beside every target."""
        from peft import LoraConfig

        options = self.options
        config = LoraConfig(
            r=options.rank,
            lora_alpha=options.alpha,
            lora_dropout=options.dropout,
            target_modules=linear_layers(model, options.targets, context.head),
            use_rslora=options.rslora,
            use_dora=options.dora,
        )
        inject(model, config)
        self.peft_config = config

    def artifacts(self, model: torch.nn.Module, context: MethodContext) -> Iterator[Artifact]:
        """The change of the weights in effect: B A says little about where it went."""
        yield from effective_change(model)
