"""Keys and values that stand before those of the text: what trains for them, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from peft_lab.methods._prefix_attention import GIVE, Place, places
from peft_lab.methods._prefix_lengths import lengths_for, openness, virtual_tokens
from pluggy_specs import Method, MethodContext, MethodRefused, Options, RunView

if TYPE_CHECKING:
    import torch


class PrefixOptions(Options):
    """How many virtual tokens, and how their keys and values come about."""

    length: int = Field(16, ge=1, description="virtual tokens in each layer")
    lengths: tuple[int, ...] = Field(
        (), description="virtual tokens layer by layer, from the bottom, instead of --length"
    )
    lengths_from: str = Field(
        "",
        description="a run of apt: a layer gets as many as its gates are open, in all --budget",
        json_schema_extra={"run": True, "completes": "runs"},
    )
    budget: int | None = Field(None, ge=1, description="virtual tokens of all layers together, for --lengths-from")
    projection: bool = Field(False, description="make keys and values of all layers from one table by a small network")
    hidden: int = Field(512, ge=1, description="width of that network")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of the prefix's numbers left out in each step")
    init_std: float = Field(1.0, gt=0, description="spread of the numbers at the start")

    @model_validator(mode="after")
    def _a_token_a_layer(self) -> PrefixOptions:
        if any(length < 1 for length in self.lengths):
            raise ValueError("each of --lengths has to be 1 or more")
        if self.budget and not self.lengths_from:
            raise ValueError("--budget is shared out by --lengths-from: name a run of apt")
        return self


@dataclass
class LayerPrefix:
    """Keys and values of one attention module. Called by it with the number of texts."""

    own: Any
    """What trains for this layer: ``keys`` and ``values``, [token, heads * width], where there is no network."""
    place: tuple[int, int]
    """Heads of keys and values, and their width."""
    length: int
    dropout: float
    network: Any = None
    """What makes keys and values of all layers: ``table``, ``down`` and ``up``."""
    columns: tuple[int, int] = (0, 0)
    """Which outputs of the network are this layer's."""

    def __call__(self, texts: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values, [text, head, token, width]."""
        from torch.nn.functional import dropout

        keys, values = (dropout(part, self.dropout, self.own.training) for part in self.numbers())
        return self._by_head(keys, texts), self._by_head(values, texts)

    def numbers(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values, [token, heads * width]."""
        from torch.nn.functional import linear

        if self.network is None:
            return self.own.keys, self.own.values
        first, last = self.columns
        hidden = self.network.down(self.network.table[: self.length]).tanh()
        made = linear(hidden, self.network.up.weight[first:last], self.network.up.bias[first:last])
        keys, values = made.chunk(2, dim=1)
        return keys, values

    def _by_head(self, part: torch.Tensor, texts: int) -> torch.Tensor:
        return part.view(1, self.length, *self.place).transpose(1, 2).expand(texts, -1, -1, -1)


class PrefixMethod(Method):
    """What methods with prefixes share: where prefixes go, how many tokens, who makes them."""

    training = {"learning_rate": 1e-2}
    Options = PrefixOptions

    @classmethod
    def from_run(cls, options: Mapping[str, Any], run: RunView) -> Mapping[str, Any]:
        """Lengths from the gates of a run; as many in all as it had, where no budget is said."""
        gates = run.artifact("prefix-gates")
        shares = openness(gates)
        rest = {name: value for name, value in options.items() if name not in ("lengths_from", "budget")}
        return {**rest, "lengths": lengths_for(shares, int(options.get("budget") or virtual_tokens(gates)))}

    def attach(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Find the attention modules by trying, and give each a prefix."""
        if self.options.lengths_from:
            raise MethodRefused(
                "--lengths-from names a run of a lab, and this recipe was made without one", "Say --lengths"
            )
        found = places(model)
        network = self._network(model, found) if self.options.projection else None
        end = 0
        for place, length in zip(found, self.lengths(len(found)), strict=True):
            start, end = end, end + 2 * place.heads * place.width
            self._give(place, length, network, (start, end))

    def lengths(self, layers: int) -> tuple[int, ...]:
        """Virtual tokens of each layer.

        Raises:
            MethodRefused: the model has another number of layers than lengths were given for.
        """
        asked = self.options.lengths
        if not asked:
            return (self.options.length,) * layers
        if len(asked) != layers:
            raise MethodRefused(f"{len(asked)} lengths for {layers} layers", f"Give {layers} lengths, or one --length")
        return tuple(asked)

    def _give(
        self, place: Place, length: int, network: torch.nn.Module | None, columns: tuple[int, int]
    ) -> LayerPrefix:
        import torch

        own = torch.nn.Module()
        size = length, place.heads * place.width
        weight = next(place.module.parameters())
        if network is None:
            for name in ("keys", "values"):
                start = torch.randn(size) * self.options.init_std
                own.register_parameter(name, torch.nn.Parameter(start.to(weight.device)))
        place.module.add_module("prefix", own)
        prefix = self.layer(own, (place.heads, place.width), length, network, columns)
        # Beside the registered modules: what trains has one name only, and a copy of the model has a copy of it.
        place.module.__dict__[GIVE] = prefix
        return prefix

    def layer(self, own: torch.nn.Module, place: tuple[int, int], length: int, *network: Any) -> LayerPrefix:
        """The prefix of one layer; other methods make others."""
        return LayerPrefix(own, place, length, self.options.dropout, *network)

    def _network(self, model: torch.nn.Module, found: list[Place]) -> torch.nn.Module:
        import torch

        embeddings: Any = model.get_input_embeddings()  # type: ignore[operator]
        width = embeddings.weight.shape[1]
        network = torch.nn.Module()
        table = torch.randn(max(self.lengths(len(found))), width) * self.options.init_std
        network.register_parameter("table", torch.nn.Parameter(table))
        network.add_module("down", torch.nn.Linear(width, self.options.hidden))
        network.add_module("up", torch.nn.Linear(self.options.hidden, 2 * sum(p.heads * p.width for p in found)))
        model.add_module("prefix_network", network.to(next(model.parameters()).device))
        return network
