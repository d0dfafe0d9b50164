"""Freezing, and training single entries of a parameter while all others stay bit-identical.

Masking gradients is not enough: AdamW's decay and momentum move every entry of a parameter they know. So the optimizer
never sees a masked parameter. It sees one flat vector of the chosen entries; gradients are gathered into it as they
are made, and its values are written back after each step. Optimizer state is held for chosen entries only, and a
dense gradient lives no longer than its own layer's backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peft_lab.errors import MethodRefused, nearest

if TYPE_CHECKING:
    import torch


def freeze(model: torch.nn.Module) -> None:
    """Nothing trains until a method or the head says so."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)


@dataclass
class _Part:
    name: str
    parameter: torch.nn.Parameter
    indices: torch.Tensor  # flat, int32
    group: int = 0
    start: int = 0
    stop: int = 0


Steering = tuple[bool, float]
"""How the optimizer moves a parameter: whether it decays, and the factor of its learning rate."""


def by_shape(name: str, parameter: torch.nn.Parameter) -> Steering:
    """What is usual for transformers: matrices decay; biases and norms do not."""
    return parameter.ndim > 1, 1.0


class MaskedEntries:
    """The chosen entries of all masked parameters.

    Raises:
        MethodRefused: an unknown parameter, one that already trains whole, or an index outside it.
    """

    def __init__(self, model: torch.nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
        import torch

        known = dict(model.named_parameters())
        self.parts: list[_Part] = []
        for name, chosen in masks.items():
            if name not in known:
                raise MethodRefused(f"a mask names the parameter {name!r}, which the model lacks", nearest(name, known))
            parameter = known[name]
            if parameter.requires_grad:
                raise MethodRefused(f"{name} trains whole and is masked too", "Combine methods that do not overlap")
            indices = torch.as_tensor(chosen, device=parameter.device).flatten().unique()
            if not len(indices):
                continue
            if indices[0] < 0 or indices[-1] >= parameter.numel():
                raise MethodRefused(f"the mask of {name} points outside its {parameter.numel()} entries")
            self.parts.append(_Part(name, parameter, indices.int()))
        self.device = next(iter(known.values())).device
        self.arrange(by_shape)
        for part in self.parts:
            part.parameter.requires_grad_(True)
            part.parameter.register_post_accumulate_grad_hook(self._gatherer(part))

    def arrange(self, steering: Callable[[str, torch.nn.Parameter], Steering]) -> None:
        """Lay the entries out anew: those that the optimizer moves alike lie in one of :attr:`values`."""
        import torch

        ways = {part.name: steering(part.name, part.parameter) for part in self.parts}
        self.steering = sorted(set(ways.values()), reverse=True)
        sizes = [0] * len(self.steering)
        for part in self.parts:
            part.group = self.steering.index(ways[part.name])
            part.start, part.stop = sizes[part.group], sizes[part.group] + len(part.indices)
            sizes[part.group] = part.stop
        # What the optimizer moves is fp32, whatever the run computes in.
        self.values = [torch.nn.Parameter(torch.empty(n, dtype=torch.float32, device=self.device)) for n in sizes]
        self.read()

    def __len__(self) -> int:
        return sum(part.stop - part.start for part in self.parts)

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
        """Yield name, flat indices (int32) and present values of each masked parameter."""
        for part in self.parts:
            yield part.name, part.indices, part.parameter.detach().take(part.indices.long())

    @property
    def names(self) -> set[str]:
        """Parameters that train in part."""
        return {part.name for part in self.parts}

    def read(self) -> None:
        """Take the entries' values from the model, after it was loaded or restored."""
        for part in self.parts:
            fresh = part.parameter.detach().take(part.indices.long())
            self.values[part.group].data[part.start : part.stop] = fresh

    def write(self) -> None:
        """Put the optimizer's values into the model, after a step."""
        for part in self.parts:
            fresh = self.values[part.group].detach()[part.start : part.stop]
            part.parameter.data.put_(part.indices.long(), fresh.to(part.parameter.dtype))

    def gradients(self) -> dict[str, torch.Tensor | None]:
        """The gathered gradient of each masked parameter's entries."""
        flat = [values.grad for values in self.values]
        return {p.name: None if (g := flat[p.group]) is None else g[p.start : p.stop] for p in self.parts}

    def _gatherer(self, part: _Part):  # type: ignore[no-untyped-def]
        import torch

        def gather(parameter: torch.nn.Parameter) -> None:
            values = self.values[part.group]
            if values.grad is None:
                values.grad = torch.zeros_like(values)
            assert parameter.grad is not None
            values.grad[part.start : part.stop] += parameter.grad.take(part.indices.long())
            parameter.grad = None

        return gather
