"""Some layers train whole: those that are named, or those in which the task's gradients are largest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from peft_lab.methods._layers import layers_of, picked
from peft_lab.methods._relative_gradients import Relative, relative_gradients
from pluggy_specs import Array, Artifact, Method, MethodContext, MethodRefused, Options

if TYPE_CHECKING:
    import torch


class LayersOptions(Options):
    """Which layers train, or how they are found."""

    layers: tuple[int, ...] | None = Field(
        None, min_length=1, description="numbers of the layers that train, 0 at the bottom; found when not given"
    )
    count: int | None = Field(None, ge=1, description="how many are found; a third of the layers when not given")
    batches: int = Field(8, ge=1, description="training batches on which they are found")

    @field_validator("count")
    @classmethod
    def _one_of_two(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("layers") is not None:
            raise PydanticCustomError("both", "should be left out where layers is given")
        return value


class Layers(Method):
    """Trains the layers with the largest relative gradient norm, ``mean |g| / |w|`` over some training batches.

    Below the lowest of them nothing is computed backwards. Embeddings and what stands between layers and head stay
    frozen.
    """

    name = "layers"
    summary = "some layers train whole: those named, or those with the largest relative gradients"
    training = {"learning_rate": 1e-3}

    Options = LayersOptions
    found: Mapping[int, Relative] = {}
    """By number of the layer, where it was looked at."""
    chosen: Sequence[int] = ()

    def attach(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Mark the layers that were named; others are found once the head is there."""
        layers = layers_of(model)
        if self.options.layers is not None:
            self._train(layers, picked(layers, self.options.layers))

    def prepare(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Find the layers with the largest relative gradients. What trains already is another method's and is left out.

        Raises:
            MethodRefused: there are fewer layers than asked for, or all of them train already.
        """
        if self.options.layers is not None:
            return
        layers = layers_of(model)
        frozen = {name: [p for p in layer.parameters() if not p.requires_grad] for name, layer in layers.items()}
        parts = {name: parameters for name, parameters in frozen.items() if parameters}
        count = self.options.count or max(1, round(len(layers) / 3))
        if not parts:
            raise MethodRefused("layers finds no frozen layer: all of them train already", "Leave out the other method")
        if count > len(parts):
            raise MethodRefused(f"this model has {len(parts)} layers to choose from, not {count}", "Lower --count")
        measured = relative_gradients(model, parts, context, self.options.batches)
        numbers = {name: number for number, name in enumerate(layers)}
        self.found = {numbers[name]: relative for name, relative in measured.items()}
        largest = sorted(self.found, key=lambda number: -self.found[number].share)[:count]
        self._train(layers, picked(layers, largest))

    def artifacts(self, model: torch.nn.Module, context: MethodContext) -> Iterator[Artifact]:
        """``layer-gradients``: what the choice was made by, where it was made here."""
        if not self.found:
            return
        import numpy as np

        columns = {
            "relative": [found.share for found in self.found.values()],
            "gradient": [found.gradient for found in self.found.values()],
            "size": [found.size for found in self.found.values()],
            "chosen": [number in self.chosen for number in self.found],
        }
        names = [str(number) for number in self.found]
        arrays = {kind: Array(np.array(column), ("layer",), {"layer": names}) for kind, column in columns.items()}
        yield Artifact("layer-gradients", arrays, f"before training, over {self.options.batches} training batches")

    def _train(self, layers: dict[str, torch.nn.Module], chosen: dict[int, str]) -> None:
        self.chosen = list(chosen)
        for name in chosen.values():
            layers[name].requires_grad_(True)
