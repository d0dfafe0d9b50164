"""Where adapters sit in a layer: told by what the layer is made of, not by the name of its family.

All families end attention and feed-forward part by adding them to what came in; they differ in which module gives the
part just before that, and in whether a LayerNorm follows. A layer that is made of anything else is refused: a block
that adds both at once, or norms what it adds, has no such place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from peft_lab.methods._layers import family
from pluggy_specs import MethodRefused

if TYPE_CHECKING:
    import torch

Placement = Literal["houlsby", "pfeiffer"]
ATTENTION, FEED_FORWARD = "attention", "feed-forward"
NAMES = {ATTENTION: "attention_adapter", FEED_FORWARD: "feed_forward_adapter"}
"""Under which an adapter is kept in its layer."""


@dataclass(frozen=True)
class Anatomy:
    """What a layer is made of, and the modules in it that give its two parts before they are added to what came in."""

    parts: str
    attention: str
    feed_forward: str
    norm: str = ""
    """The LayerNorm of the sum, where there is one behind it."""

    def fits(self, layer: torch.nn.Module) -> bool:
        """Whether a layer is made so; adapters in it do not count."""
        there = {name for name, _ in layer.named_children()} - set(NAMES.values())
        return there == set(self.parts.split()) and all(has(layer, p) for p in (self.attention, self.feed_forward))


ANATOMIES = (
    # BERT, RoBERTa, ELECTRA, DeBERTa and their kin; those that norm before (RoBERTa-PreLayerNorm) lack output.LayerNorm
    Anatomy("attention intermediate output", "attention.output.dropout", "output.dropout", "output.LayerNorm"),
    Anatomy("attention sa_layer_norm ffn output_layer_norm", "attention", "ffn", "output_layer_norm"),  # DistilBERT
    Anatomy(
        "full_layer_layer_norm attention ffn ffn_output activation dropout",
        "attention.output_dropout",
        "ffn_output",
        "full_layer_layer_norm",
    ),  # ALBERT
    Anatomy("attn_norm attn mlp_norm mlp", "attn", "mlp"),  # ModernBERT
    Anatomy("input_layernorm self_attn post_attention_layernorm mlp", "self_attn", "mlp"),  # Llama, Qwen, Mistral
    Anatomy("ln_1 attn ln_2 mlp", "attn", "mlp"),  # GPT-2
)


@dataclass(frozen=True)
class Site:
    """One place for an adapter."""

    layer: str
    """Full name of the layer that keeps it."""
    number: int
    part: str
    module: str
    """Full name of the module whose output it adds to."""
    normed: bool = False
    """Whether that module is the LayerNorm of the sum: the adapter reads its output and adds to its input."""

    @property
    def name(self) -> str:
        """Full name of the adapter."""
        return f"{self.layer}.{NAMES[self.part]}"


def sites(model: torch.nn.Module, layers: Mapping[int, str], placement: Placement) -> list[Site]:
    """The places for adapters in some layers, from the bottom up.

    Args:
        layers: full names by number.
        placement: ``houlsby``: behind attention and feed-forward part; ``pfeiffer``: behind the latter only.

    Raises:
        MethodRefused: a layer is made of something else.
    """
    return [site for number, name in layers.items() for site in _of_layer(model, number, name, placement)]


def _of_layer(model: torch.nn.Module, number: int, name: str, placement: Placement) -> Iterator[Site]:
    layer = model.get_submodule(name)
    anatomy = next((anatomy for anatomy in ANATOMIES if anatomy.fits(layer)), None)
    if anatomy is None:
        parts = ", ".join(child for child, _ in layer.named_children())
        raise MethodRefused(
            f"adapter cannot tell where attention and feed-forward part end in a layer of {family(model)} ({parts})",
            "Try lora or bitfit",
        )
    if placement == "houlsby":
        yield Site(name, number, ATTENTION, f"{name}.{anatomy.attention}")
        yield Site(name, number, FEED_FORWARD, f"{name}.{anatomy.feed_forward}")
    elif anatomy.norm and has(layer, anatomy.norm):
        yield Site(name, number, FEED_FORWARD, f"{name}.{anatomy.norm}", normed=True)
    else:  # nothing comes behind the sum: the layer itself gives it
        yield Site(name, number, FEED_FORWARD, name)


def has(module: torch.nn.Module, path: str) -> bool:
    """Whether a module has another one of that name inside."""
    try:
        module.get_submodule(path)
    except AttributeError:
        return False
    return True
