"""How gates moved while they trained, in a few means over equally long parts of the training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluggy_specs import Array

if TYPE_CHECKING:
    import torch

MOST = 12
"""Parts that are kept; there are at least half as many."""


class Trail:
    """Means of each layer's gates, [virtual token], over so many training batches.

    When there are too many parts, each two become one, so that a training of any length leaves a few.
    """

    def __init__(self) -> None:
        self.every = 1
        self._parts: dict[int, list[torch.Tensor]] = {}
        """By layer, sums over the batches of each part."""
        self._counts: dict[int, int] = {}
        """By layer, batches in the last part."""

    def add(self, layer: int, gates: torch.Tensor) -> None:
        """One more batch in a layer; layers come in turn."""
        if self._counts.get(layer, self.every) < self.every:
            self._parts[layer][-1] += gates
            self._counts[layer] += 1
            return
        if len(self._parts.get(layer, ())) == MOST:
            self._halve()
        self._parts.setdefault(layer, []).append(gates.clone())
        self._counts[layer] = 1

    def _halve(self) -> None:
        """Whole parts, two by two: the first layer of a batch finds all layers at the end of one."""
        self.every *= 2
        for layer, parts in self._parts.items():
            self._parts[layer] = [one + other for one, other in zip(parts[::2], parts[1::2], strict=True)]
            self._counts[layer] = self.every

    def array(self, layers: int, tokens: int) -> Array | None:
        """Means over whole parts, [batch, layer, token]; None before the first is whole."""
        import numpy as np

        ended = (len(parts) - (self._counts[layer] < self.every) for layer, parts in self._parts.items())
        whole = min(ended, default=0)
        if not whole:
            return None
        values = np.full((whole, layers, tokens), np.nan)
        for layer, parts in self._parts.items():
            for at in range(whole):
                values[at, layer, : len(parts[at])] = (parts[at] / self.every).float().cpu().numpy()
        ends = [str((at + 1) * self.every) for at in range(whole)]
        places = {"layer": [str(n) for n in range(layers)], "token": [str(n) for n in range(tokens)]}
        return Array(values, ("batch", "layer", "token"), {"batch": ends, **places})
