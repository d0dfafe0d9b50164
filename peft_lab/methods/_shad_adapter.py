"""A low-rank change beside layers of a model, by hooks: on, off, gone, and the model is bit for bit as before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from peft_lab.methods._peft import linear_layers
from pluggy_specs import MethodRefused

if TYPE_CHECKING:
    import torch

SCALE = 2.0
"""The change counts this many times."""


def layers_of(model: torch.nn.Module) -> Any:
    """The list of a model's layers; None where there is none to be found."""
    from torch.nn import ModuleList

    wanted = getattr(getattr(model, "config", None), "num_hidden_layers", 0)
    lists = [module for module in model.modules() if isinstance(module, ModuleList)]
    return next((one for one in lists if len(one) == wanted and len({type(part) for part in one}) == 1), None)


def _names(model: torch.nn.Module, targets: str) -> set[str]:
    """The linear layers of a kind; all but the output where a model's layers are named otherwise."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    try:
        return set(linear_layers(model, [targets], ()))
    except MethodRefused:
        output = getattr(model, "get_output_embeddings", lambda: None)()
        named = model.named_modules()
        return {name for name, module in named if isinstance(module, Linear | Conv1D) and module is not output}


class LowRank:
    """Adds ``SCALE * B A x`` to what chosen linear layers of the upper layers give, inside :meth:`added`.

    Args:
        upper: share of the layers that get a change.
        targets: the kind of linear layers that do; all of them where a model has none of that kind.
        generator: draws A; B is zero.
    """

    def __init__(
        self, model: torch.nn.Module, rank: int, upper: float, targets: str, generator: torch.Generator
    ) -> None:
        import torch
        from transformers.pytorch_utils import Conv1D

        self._on = False
        self._where: torch.Tensor | None = None
        layers = layers_of(model)
        many = len(layers) if layers is not None else 0
        lowest = many - max(1, round(upper * many))
        chosen = list(layers)[lowest:] if layers is not None else [model]
        self.below: list[torch.nn.Module] = list(layers)[:lowest] if layers is not None else []
        """The layers below the change, lowest first."""
        self.about = f"the upper {len(chosen)} of {many} layers" if len(chosen) < many else "all layers"
        wanted = _names(model, targets)
        device = next(model.parameters()).device
        self.hooks: list[Any] = []
        self.tensors: dict[str, torch.nn.Parameter] = {}
        named = {id(module): name for name, module in model.named_modules()}
        for module in (m for place in chosen for m in place.modules()):
            if named[id(module)] not in wanted:
                continue
            weight: Any = module.weight
            inside, outside = weight.shape if isinstance(module, Conv1D) else reversed(weight.shape)
            start = (2 * torch.rand(rank, inside, generator=generator) - 1) / math.sqrt(inside)
            down = torch.nn.Parameter(start.to(device))
            up = torch.nn.Parameter(torch.zeros(outside, rank, device=device))
            self.tensors |= {f"{named[id(module)]}.A": down, f"{named[id(module)]}.B": up}
            self.hooks.append(module.register_forward_hook(self._adding(down, up)))

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """What trains."""
        return list(self.tensors.values())

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take the values of another change."""
        import torch

        with torch.no_grad():
            for name, value in self.tensors.items():
                value.copy_(tensors[name].to(value.device))

    def state(self) -> dict[str, torch.Tensor]:
        """The values, on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self.tensors.items()}

    def remove(self) -> None:
        """Take the hooks away."""
        for hook in self.hooks:
            hook.remove()
        self.hooks = []

    @contextmanager
    def added(self, where: torch.Tensor | None = None) -> Iterator[None]:
        """The change counts inside, at places where ``where`` [batch, token] is 1; everywhere when it is not given."""
        self._on, self._where = True, None if where is None else where[..., None]
        try:
            yield
        finally:
            self._on, self._where = False, None

    def _adding(self, down: torch.nn.Parameter, up: torch.nn.Parameter) -> Any:
        from torch.nn.functional import linear

        def add(module: torch.nn.Module, given: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor | None:
            if not self._on:
                return None
            x = given[0]
            change = linear(linear(x, down.to(x.dtype)), (SCALE * up).to(x.dtype))
            if self._where is not None:
                change = change * self._where.reshape(*change.shape[:-1], 1)
            return output + change.to(output.dtype)

        return add
