"""Staying near the pretrained weights, for small data: beside any method that trains some of them.

Five ways, each with its own option: a pull toward the start apart from the loss (prior weight decay), a squared
distance in the loss (L2-SP, arXiv:1802.01483), weights mixed with their start while training (Mixout,
arXiv:1909.11299), answers that do not change under small noise (R3F, arXiv:2008.03156), and lower rates for lower
layers (arXiv:2006.05987).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from peft_lab.methods._mixout import mix
from peft_lab.methods._noise import Stability
from pluggy_specs import Batch, Method, MethodContext, MethodRefused, Options

if TYPE_CHECKING:
    import torch


class AnchorOptions(Options):
    """How strongly, in each of the ways; 0 turns one off, and 1 the rates."""

    pull: float = Field(
        100.0, ge=0, description="share of the way back to the start in each step, times the learning rate"
    )
    l2: float = Field(
        0.0, ge=0, description="half of this times the squared distance from the start is added to the loss"
    )
    l2_head: float = Field(0.0, ge=0, description="the same for what is new, from zero: the task head")
    mixout: float = Field(
        0.0, ge=0, lt=1, description="share of the inputs of each layer that meet the starting weights"
    )
    noise: float = Field(0.0, ge=0, description="weight of the change of answers under noise in the embeddings")
    noise_size: float = Field(1e-5, gt=0, description="largest (uniform) or usual (normal) noise")
    noise_kind: Literal["uniform", "normal"] = Field("uniform", description="how the noise is drawn")
    layer_decay: float = Field(1.0, gt=0, le=1, description="factor of the learning rate from a layer to the one below")


class Anchor(Method):
    """Holds what trains near where it started. It chooses nothing itself: write it behind a method that does.

    The distance and the pull know only entries that train; all others stand where they started. Mixout takes the place
    of the base model's dropout, as its authors have it.
    """

    name = "anchor"
    summary = "stay near the pretrained weights"
    paper = "arXiv:1802.01483, arXiv:1909.11299, arXiv:2006.05987, arXiv:2008.03156"

    Options = AnchorOptions
    companion = "full"

    def settle(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Remember where everything starts, as far as an option asks for it."""
        options = self.options
        self.head = frozenset(_present(model, context.head))
        self.body = [n for n, p in model.named_parameters() if p.requires_grad and n not in self.head]
        if not self.body:
            raise MethodRefused(
                "anchor holds what trains, and only the head does", "Write it behind another: full+anchor"
            )
        self.start: dict[str, torch.Tensor] = {}
        if options.l2:
            self.start = {name: model.get_parameter(name).detach().clone() for name in self.body}
        if options.mixout:
            mix(model, self.body, options.mixout)
        self.stability = None
        if options.noise:
            self.stability = Stability(model, context, options.noise_size, options.noise_kind)

    def rates(self, model: torch.nn.Module) -> Mapping[str, float]:
        """The head at the full rate, the highest layer at ``layer_decay`` times it, and so on down."""
        decay = self.options.layer_decay
        return {} if decay == 1 else {name: decay**steps for name, steps in depths(model, self.body).items()}

    def pull(self, model: torch.nn.Module) -> Mapping[str, float]:
        """All but the head alike."""
        return dict.fromkeys(self.body, self.options.pull) if self.options.pull else {}

    def weigh_tokens(self, losses: torch.Tensor, batch: Batch) -> None:
        """Nothing is weighed; the batch is what noise is tried on."""
        if self.stability:
            self.stability.batch = batch

    def penalty(self, model: torch.nn.Module) -> torch.Tensor | None:
        """``l2 / 2 * |w - w_0|^2 + l2_head / 2 * |v|^2 + noise * KL``, as far as an option asks for it."""
        options = self.options
        terms = []
        if options.l2:
            far = sum((model.get_parameter(n) - start).square().sum() for n, start in self.start.items())
            terms.append(options.l2 / 2 * far)
        if options.l2_head:
            terms.append(options.l2_head / 2 * sum(model.get_parameter(n).square().sum() for n in self.head))
        if self.stability and self.stability.batch is not None:
            terms.append(options.noise * self.stability.divergence(model))
        return sum(terms) if terms else None


def depths(model: torch.nn.Module, names: list[str]) -> dict[str, int]:
    """Steps down from the head to each parameter: 1 for the highest layer, one more than layers for the embeddings.

    What stands in no numbered layer and is no embedding (a last norm) counts as the highest layer does.
    """
    numbers = {name: next((int(part) for part in name.split(".") if part.isdigit()), None) for name in names}
    every = [next((int(p) for p in n.split(".") if p.isdigit()), -1) for n, _ in model.named_parameters()]
    layers = max(every) + 1
    return {
        name: layers - number
        if number is not None
        else layers + 1
        if "embed" in name or "wte" in name or "wpe" in name
        else 1
        for name, number in numbers.items()
    }


def _present(model: torch.nn.Module, head: frozenset[str]) -> list[str]:
    """Names that the head's parameters have now: another method may have wrapped the model."""
    return [
        n for n, p in model.named_parameters() if p.requires_grad and any(n == h or n.endswith("." + h) for h in head)
    ]
