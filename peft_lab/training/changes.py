"""The two artifacts of every run: what trains in each layer, and how far it went from where it started."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from peft_lab.training.anatomy import Place, layer_order, places
from peft_lab.training.weights import INDICES, VALUES, read_tensors
from pluggy_specs import Array, Artifact

if TYPE_CHECKING:
    from peft_lab.training.build import Built


class Grid:
    """Sums by layer and kind of module, growing as places turn up."""

    def __init__(self) -> None:
        self.cells: dict[Place, list[float]] = {}

    def add(self, place: Place, *amounts: float) -> None:
        """Add amounts to the sums of a place."""
        sums = self.cells.setdefault(place, [0.0] * len(amounts))
        for i, amount in enumerate(amounts):
            sums[i] += amount

    def labels(self) -> dict[str, list[str]]:
        """Layers from bottom to top, kinds in the order the model has them."""
        kinds = dict.fromkeys(p.kind for p in self.cells if p.layer.isdigit())
        kinds |= dict.fromkeys(p.kind for p in self.cells)
        return {"layer": layer_order(p.layer for p in self.cells), "kind": list(kinds)}

    def array(self, value: Callable[..., float], missing: float = math.nan) -> Array:
        """Make an array [layer, kind] of ``value(*sums)``, ``missing`` where the model has nothing."""
        labels = self.labels()
        filled = np.full((len(labels["layer"]), len(labels["kind"])), missing)
        for place, sums in self.cells.items():
            filled[labels["layer"].index(place.layer), labels["kind"].index(place.kind)] = value(*sums)
        return Array(filled, ("layer", "kind"), labels)


def trainable_by_layer(built: Built) -> Artifact:
    """Entries that train and entries in all, by layer and kind of module."""
    grid = Grid()
    where = places(built.model, built.head)
    partial = {part.name: part.stop - part.start for part in built.masked.parts} if built.masked else {}
    for name, parameter in built.model.named_parameters():
        if ".original_module." not in name:
            trains = partial.get(name, parameter.numel() if parameter.requires_grad else 0)
            grid.add(where[name], trains, parameter.numel())
    arrays = {
        "trainable": grid.array(lambda trains, _: trains, missing=0),
        "total": grid.array(lambda _, total: total, missing=0),
    }
    return Artifact("trainable-by-layer", arrays)


def parameter_change(built: Built, start: Path, measured: Mapping[str, tuple[float, float, int]]) -> Artifact:
    """How far each group of parameters went: relative ‖w − w₀‖ / ‖w₀‖, root mean square of w − w₀, and both norms.

    Args:
        start: the weights as they were saved before the first step.
        measured: for modules whose effective weight a method changes without training it (LoRA's ΔW): squared norm of
            the change, squared norm of the weight, number of entries, by module name. They stand for the method's own
            tensors there.
    """
    grid = Grid()
    where = places(built.model, built.head)
    before = read_tensors(start)
    own = dict(built.model.named_parameters())
    order = {name: number for number, name in enumerate(own)}
    for name in sorted(before, key=lambda n: order.get(n.removesuffix(VALUES), -1)):
        bare, old = name.removesuffix(VALUES), before[name]
        if name.endswith(INDICES) or bare not in own or any(bare.startswith(m + ".") for m in measured):
            continue
        new = own[bare].detach()
        if name != bare:
            new = new.take(before[bare + INDICES].to(new.device).long())
        moved, size = _squares(new.cpu() - old), _squares(old)
        if own[bare].requires_grad:
            grid.add(where[bare], moved, size, old.numel())
    for module, sums in measured.items():
        place = next((p for n, p in where.items() if n.startswith(module + ".")), None)
        if place is not None:  # else all it has is another module's too, such as an output table tied to the input one
            grid.add(place, *sums)
    arrays = {
        "relative": grid.array(lambda moved, size, _: math.sqrt(moved / size) if size else math.inf if moved else 0.0),
        "rms": grid.array(lambda moved, _, number: math.sqrt(moved / number)),
        "moved": grid.array(lambda moved, *_: math.sqrt(moved)),
        "size": grid.array(lambda _, size, __: math.sqrt(size)),
    }
    note = "for adapted modules: change of the effective weight" if measured else ""
    return Artifact("parameter-change", arrays, note)


def _squares(tensor) -> float:  # type: ignore[no-untyped-def]
    return float(tensor.double().square().sum())
