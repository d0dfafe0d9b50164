"""Drawing parameters back to where they started, apart from the loss and from AdamW's own decay.

``p -= rate * strength * (p - start)`` before each step of the optimizer, as decoupled weight decay draws to zero
(Loshchilov and Hutter 2019), here toward the pretrained weights (prior weight decay, Wiese et al. 2017). An entry that
does not train stands where it started, so that nothing moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from peft_lab.training.build import Built


class Pull:
    """Holds a copy of the start of whatever is drawn to it."""

    def __init__(self, built: Built, strengths: Mapping[str, float]) -> None:
        self._held: dict[int, list[tuple[torch.Tensor, torch.Tensor, float]]] = {}
        """By identity of what the optimizer moves: what is drawn (in its memory), its start, and how strongly."""
        masked = {part.name: part for part in built.masked.parts} if built.masked else {}
        for name, parameter in built.trainable().items():
            if not (strength := strengths.get(name, 0.0)):
                continue
            moves, moved = parameter, parameter.detach()
            if built.masked and name in masked:
                part = masked[name]
                moves = built.masked.values[part.group]
                moved = moves.detach()[part.start : part.stop]
            self._held.setdefault(id(moves), []).append((moved, moved.clone(), strength))

    def __bool__(self) -> bool:
        return bool(self._held)

    def act(self, optimizer: torch.optim.Optimizer) -> None:
        """One step, at the optimizer's present rates."""
        for group in optimizer.param_groups:
            for moves in group["params"]:
                for moved, start, strength in self._held.get(id(moves), ()):
                    moved.lerp_(start, min(1.0, group["lr"] * strength))
