"""The layers of a base model, for methods that work layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pluggy_specs import MethodRefused

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def layers_of(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The layers of a base model by full name, from the bottom up. Passes that share their weights are one layer.

    Raises:
        MethodRefused: it has no stack of layers, or two.
    """
    from torch.nn import ModuleList

    config: Any = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        raise MethodRefused(f"{family(model)} has two stacks of layers, an encoder's and a decoder's", "Try lora")
    lists = {name: module for name, module in model.named_modules() if isinstance(module, ModuleList)}
    if not lists:
        raise MethodRefused(f"{family(model)} has no list of layers", "Try lora or bitfit")
    stack = max(lists, key=lambda name: sum(p.numel() for p in lists[name].parameters()))  # of equals the outermost
    found: dict[str, torch.nn.Module] = {}
    for number, member in lists[stack].named_children():
        inside = list(member.named_children())
        if len(inside) == 1 and isinstance(inside[0][1], ModuleList):  # ALBERT's groups of layers
            name, group = inside[0]
            found |= {f"{stack}.{number}.{name}.{within}": layer for within, layer in group.named_children()}
        else:
            found[f"{stack}.{number}"] = member
    return found


def picked(layers: Mapping[str, torch.nn.Module], numbers: Iterable[int] | None) -> dict[int, str]:
    """Names of the layers with some numbers, in order; all of them for None. Negative numbers count from the top.

    Raises:
        MethodRefused: there is no layer of that number.
    """
    names, top = list(layers), len(layers)
    numbers = range(top) if numbers is None else numbers
    if outside := [number for number in numbers if not -top <= number < top]:
        there = f"0 at the bottom to {top - 1} at the top" if top > 1 else "0 only"
        raise MethodRefused(f"this model has no layer {outside[0]}", f"Its layers are {there}")
    return {number: names[number] for number in sorted({number % top for number in numbers})}


def from_layer(model: torch.nn.Module, weights: Mapping[str, T], lowest: int) -> dict[str, T]:
    """The parameters of a layer and of those above it, by name; what stands outside of all layers is left out.

    Raises:
        MethodRefused: there is no layer of that number.
    """
    layers = layers_of(model)
    (first,) = picked(layers, [lowest])
    above = tuple(f"{name}." for name in list(layers)[first:])
    return {name: weight for name, weight in weights.items() if name.startswith(above)}


def family(model: torch.nn.Module) -> str:
    """What transformers calls this kind of model."""
    return str(getattr(getattr(model, "config", None), "model_type", "") or type(model).__name__)
