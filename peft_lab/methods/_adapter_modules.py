"""Adapters in a model: made, put in by forward hooks, switched off, taken out, put back.

No forward of a model is copied. A hook belongs to the model it sits in and is copied with it, so that each copy of a
model has adapters of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from peft_lab.methods._adapter_places import Site
from pluggy_specs import MethodRefused

if TYPE_CHECKING:
    import torch

Activation = Literal["gelu", "relu", "silu", "tanh"]
Init = Literal["identity", "normal", "houlsby"]
ACTIVATIONS = {"gelu": "GELU", "relu": "ReLU", "silu": "SiLU", "tanh": "Tanh"}
USUAL, HOULSBY = 0.02, 1e-3  # standard deviations of first weights


def bottleneck(width: int, narrow: int, activation: Activation, init: Init, dropout: float = 0.0) -> torch.nn.Module:
    """``W2 f(W1 x + b1) + b2``: from the width of the model to the narrow part and back.

    Args:
        init: ``identity``: W2 is zero, so that it adds nothing at first; ``normal``: both from N(0, 0.02²);
            ``houlsby``: both from N(0, 0.001²), cut at two standard deviations. Biases are zero.
    """
    import torch

    down, up = torch.nn.Linear(width, narrow), torch.nn.Linear(narrow, width)
    for layer in (down, up):
        if init == "houlsby":
            torch.nn.init.trunc_normal_(layer.weight, std=HOULSBY, a=-2 * HOULSBY, b=2 * HOULSBY)
        else:
            torch.nn.init.normal_(layer.weight, std=USUAL)
        torch.nn.init.zeros_(layer.bias)
    if init == "identity":
        torch.nn.init.zeros_(up.weight)
    parts = {"down": down, "activation": getattr(torch.nn, ACTIVATIONS[activation])(), "up": up}
    made = torch.nn.Sequential()
    for name, part in (parts | ({"dropout": torch.nn.Dropout(dropout)} if dropout else {})).items():
        made.add_module(name, part)
    return made


@dataclass(eq=False)
class Adapters:
    """The adapters of one model, and the norms that train beside them; in the model, or taken out of it."""

    modules: dict[Site, Any]
    norms: dict[str, torch.Tensor] = field(default_factory=dict)
    """While they are in the model: what its norms were without them. While they are out: what the norms are with them.
    """
    on: bool = True
    watch: Callable[[Site, Any, Any], None] | None = None
    """Called with what an adapter read and what it added."""


@dataclass(eq=False)
class Hook:
    """Adds what an adapter says to what a module gives."""

    adapters: Adapters
    site: Site

    def __call__(self, module: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        if not self.adapters.on:
            return None
        state, *rest = output if isinstance(output, tuple) else (output,)
        added = self.adapters.modules[self.site](state)
        if self.adapters.watch:
            self.adapters.watch(self.site, state, added)
        # Called by its forward, the norm does not call its hooks again.
        changed = module.forward(inputs[0] + added) if self.site.normed else state + added
        return (changed, *rest) if isinstance(output, tuple) else changed


def insert(model: torch.nn.Module, adapters: Adapters) -> None:
    """Put adapters into a model.

    Raises:
        MethodRefused: there are some in it already.
    """
    if found(model) is not None:
        raise MethodRefused("this model has adapters already", "Take them out first, with remove")
    for site, module in adapters.modules.items():
        layer = model.get_submodule(site.layer)
        layer.add_module(site.name.rpartition(".")[2], module.to(next(layer.parameters()).device))
        # First: what else looks at this output shall see what the adapter made of it.
        model.get_submodule(site.module).register_forward_hook(Hook(adapters, site), prepend=True)
    _exchange(model, adapters.norms)


def remove(model: torch.nn.Module) -> Adapters:
    """Take the adapters out of a model: without them it is, bit for bit, what it was before they came.

    The task head is no part of them. :func:`insert` puts them back.

    Raises:
        MethodRefused: there are none.
    """
    adapters = _must_have(model)
    _exchange(model, adapters.norms, train=False)
    for site in adapters.modules:
        hooks = model.get_submodule(site.module)._forward_hooks
        for key in [key for key, hook in hooks.items() if isinstance(hook, Hook)]:
            del hooks[key]
        layer = model.get_submodule(site.layer)
        delattr(layer, site.name.rpartition(".")[2])
    return adapters


@contextmanager
def switched_off(model: torch.nn.Module) -> Iterator[None]:
    """Let a model answer as it would without its adapters and the norms trained beside them, inside.

    Raises:
        MethodRefused: there are none.
    """
    adapters = _must_have(model)
    before = adapters.on
    if before:
        _exchange(model, adapters.norms)
    adapters.on = False
    try:
        yield
    finally:
        adapters.on = before
        if before:
            _exchange(model, adapters.norms)


def found(model: torch.nn.Module) -> Adapters | None:
    """The adapters in a model, if it has some."""
    hooks = (hook for module in model.modules() for hook in module._forward_hooks.values())
    return next((hook.adapters for hook in hooks if isinstance(hook, Hook)), None)


def norms_in(model: torch.nn.Module, layers: Iterable[str] | None, head: Iterable[str]) -> dict[str, Any]:
    """Parameters of norms by full name, those of the task head left out.

    Args:
        layers: look in these only; everywhere for None.
    """
    inside = None if layers is None else tuple(f"{name}." for name in layers)
    head = set(head)
    return {
        f"{name}.{last}": parameter
        for name, module in model.named_modules()
        if "norm" in type(module).__name__.lower() and (inside is None or name.startswith(inside))
        for last, parameter in module.named_parameters(recurse=False)
        if f"{name}.{last}" not in head
    }


def _must_have(model: torch.nn.Module) -> Adapters:
    adapters = found(model)
    if adapters is None:
        raise MethodRefused("this model has no adapters", "Train some first: %peft train adapter")
    return adapters


def _exchange(model: torch.nn.Module, norms: dict[str, torch.Tensor], train: bool = True) -> None:
    """Put kept values of norms into the model, and keep those it had."""
    import torch

    parameters: Mapping[str, torch.nn.Parameter] = dict(model.named_parameters()) if norms else {}
    with torch.no_grad():
        for name in norms:
            parameter, kept = parameters[name], norms[name]
            norms[name] = parameter.detach().clone()
            parameter.copy_(kept)
            parameter.requires_grad_(train)
