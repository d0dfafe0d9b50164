"""Bottleneck adapters (Houlsby et al. 2019, Pfeiffer et al. 2020; compared with BitFit in arXiv:2401.04051)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from peft_lab.methods._adapter_activity import activity
from peft_lab.methods._adapter_modules import (
    Activation,
    Adapters,
    Init,
    bottleneck,
    found,
    insert,
    norms_in,
    remove,
    switched_off,
)
from peft_lab.methods._adapter_places import Placement, sites
from peft_lab.methods._layers import layers_of, picked
from pluggy_specs import Artifact, Method, MethodContext, Options

if TYPE_CHECKING:
    import torch

__all__ = ["Adapter", "AdapterOptions", "Adapters", "insert", "remove", "switched_off"]

WIDTH, SHARE = 64, 16  # of Houlsby's own code; of the configuration that Pfeiffer's adapters are known by


class AdapterOptions(Options):
    """Where adapters sit, how wide they are, how they start."""

    placement: Placement = Field(
        "houlsby", description="houlsby: two a layer, behind attention and feed-forward part; pfeiffer: the latter only"
    )
    bottleneck: int | None = Field(
        None,
        ge=1,
        description=f"width of the narrow part; {WIDTH} for houlsby when neither it nor a reduction is given",
    )
    reduction: float | None = Field(
        None, gt=0, description=f"width of the model over that of the narrow part; {SHARE} for pfeiffer when not given"
    )
    activation: Activation | None = Field(
        None, description="of the narrow part; gelu for houlsby and relu for pfeiffer when not given"
    )
    init: Init = Field(
        "identity", description="identity: adds nothing at first; normal: N(0, 0.02²); houlsby: N(0, 0.001²), cut"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="share of what an adapter adds that is left out in training")
    layer_norm: bool = Field(False, description="norms of the base model train too, as in Houlsby's own code")
    layers: tuple[int, ...] | None = Field(
        None, min_length=1, description="numbers of the layers that get adapters, 0 at the bottom; all when not given"
    )

    @field_validator("reduction")
    @classmethod
    def _one_of_two(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("bottleneck") is not None:
            raise PydanticCustomError("both", "should be left out where bottleneck is given")
        return value

    def narrow(self, width: int) -> int:
        """Width of the narrow part in a model of some width."""
        if self.bottleneck is not None:
            return self.bottleneck
        if self.reduction is None and self.placement == "houlsby":
            return WIDTH
        return max(1, int(width / (self.reduction or SHARE)))

    @property
    def function(self) -> Activation:
        """The activation in use."""
        return self.activation or ("gelu" if self.placement == "houlsby" else "relu")


class Adapter(Method):
    """Adds ``W2 f(W1 h + b1) + b2`` to the output h of a part of a layer, before residual and LayerNorm.

    Pfeiffer's reads what the layer gives, ``u = LN(h + residual)``, and adds to h; in models that norm before each part
    there is no such LN, and it reads the sum.
    """

    name = "adapter"
    summary = "small bottleneck modules between the parts of each layer"
    paper = "arXiv:1902.00751, arXiv:2005.00247, arXiv:2401.04051"
    training = {"learning_rate": 3e-3}

    Options = AdapterOptions

    def attach(self, model: Any, context: MethodContext) -> None:
        """Put an adapter at every place; only they train, and the norms where that was asked for."""
        options = self.options
        layers = layers_of(model)
        chosen = picked(layers, options.layers)
        places = sites(model, chosen, options.placement)
        width = int(model.config.hidden_size)
        shape = width, options.narrow(width)
        made = {place: bottleneck(*shape, options.function, options.init, options.dropout) for place in places}
        norms = {}
        if options.layer_norm:
            within = None if options.layers is None else chosen.values()
            norms = {n: p.detach().clone() for n, p in norms_in(model, within, context.head).items()}
        insert(model, Adapters(made, norms))

    def artifacts(self, model: torch.nn.Module, context: MethodContext) -> Iterator[Artifact]:
        """How much each adapter adds to what it reads."""
        adapters = found(model)
        if adapters is not None:
            yield activity(model, adapters, context)
