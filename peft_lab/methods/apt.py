"""APT: prefixes that open as far as a text asks for (Zhang et al. 2023, arXiv:2305.15212).

In layer i, with m virtual tokens: ``alpha_i = sigmoid(h_{i-1} W_i)``, one number for each virtual token, from the
hidden state that enters the layer; ``lambda_i``, one number for the layer; and ``lambda_i * alpha_i * P_i`` takes the
place of the prefix P_i. That makes 3 L d m + L numbers, 1.5 times those of ``prefix`` and L.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from peft_lab.methods._gate_trail import Trail
from peft_lab.methods._prefix import LayerPrefix, PrefixMethod, PrefixOptions
from peft_lab.methods._prefix_attention import GIVE, Place
from pluggy_specs import Array, Artifact, Batch, MethodContext, MethodRefused

if TYPE_CHECKING:
    import torch

LOOKED_AT = 16
"""Training batches over which gates are averaged."""
From = Literal["auto", "first", "last", "mean", "free"]


class AptOptions(PrefixOptions):
    """A prefix, and what opens it."""

    token_gate: bool = Field(True, description="a gate for each virtual token")
    layer_scale: bool = Field(True, description="a factor for each layer")
    gate_from: From = Field(
        "auto",
        description="whose hidden state opens the gates: the mean (encoders), the last token (decoders), the first; "
        "or none, but free numbers",
    )
    gate_rate: float = Field(0.2, gt=0, le=1, description="learning rate of the gates over that of the prefix")


@dataclass
class Seen:
    """What the gates of a model look at, left there on the way through it."""

    mask: torch.Tensor | None = None
    """Which tokens of the texts are no padding, [text, token]."""
    hidden: dict[int, torch.Tensor] = field(default_factory=dict)
    """What entered each layer, [text, token, dimension], until its gates have used it."""
    kept: dict[int, list[torch.Tensor]] | None = None
    """Gates of every layer, [text, virtual token], while someone collects them."""
    trail: Trail = field(default_factory=Trail)
    """Gates on the way through training."""


@dataclass
class GatedPrefix(LayerPrefix):
    """A prefix with a gate for each of its tokens and a factor for all."""

    number: int = 0
    """Of the layer."""
    seen: Seen = field(default_factory=Seen)
    gate_from: str = "first"

    def __call__(self, texts: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values, [text, head, token, width], each token as far open as its gate."""
        keys, values = super().__call__(texts)
        openness = self.openness()
        if openness is None:
            return keys, values
        return keys * openness, values * openness

    def openness(self) -> torch.Tensor | None:
        """``lambda * alpha``, [text or 1, 1, token, 1]; None where neither is wanted."""
        gates = self.gates()
        scale = getattr(self.own, "scale", None)
        if gates is None:
            return scale
        gates = gates[:, None, :, None]
        return gates if scale is None else gates * scale

    def gates(self) -> torch.Tensor | None:
        """``alpha``, [text or 1, token]."""
        hidden = self.seen.hidden.pop(self.number, None)
        if not hasattr(self.own, "gate"):
            return None
        if self.gate_from == "free":
            gates = self.own.gate[None].sigmoid()
        else:
            assert hidden is not None
            gates = (self._state(hidden.to(self.own.gate.dtype)) @ self.own.gate).sigmoid()
        if self.own.training:
            self.seen.trail.add(self.number, gates.detach().mean(0))
        if self.seen.kept is not None:
            self.seen.kept.setdefault(self.number, []).append(gates.detach())
        return gates

    def _state(self, hidden: torch.Tensor) -> torch.Tensor:
        """The state that the gates depend on, [text, dimension]."""
        import torch

        mask = self.seen.mask
        if mask is None:
            mask = torch.ones(hidden.shape[:2], dtype=torch.long, device=hidden.device)
        mask = mask[:, -hidden.shape[1] :].long()
        if self.gate_from == "mean":
            return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        at = mask.argmax(1) if self.gate_from == "first" else mask.shape[1] - 1 - mask.flip(1).argmax(1)
        return hidden[torch.arange(len(hidden), device=hidden.device), at]


class Apt(PrefixMethod):
    """Trains a prefix and, for each layer, how far it opens; both can be seen afterwards.

    Gates start half open and factors at 1 (a choice of ours, as is the state they depend on: the one that enters the
    layer's attention, the mean over the text in encoders and that of the last token in decoders).
    """

    name = "apt"
    summary = "a prefix with gates that open as the text asks"
    paper = "arXiv:2305.15212"

    Options = AptOptions

    def attach(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Give each layer a gated prefix, and let it see what enters the layer."""
        self.seen, self.layers = Seen(), list[GatedPrefix]()
        self.gate_from = self.options.gate_from
        if context.task.generates:
            # A gate that looks at the text would tell the first tokens of an answer about the last ones.
            if self.gate_from not in ("auto", "free"):
                raise MethodRefused(
                    f"gates from the {self.gate_from} state of a text would see answers before they are written",
                    "Leave out --gate-from",
                )
            self.gate_from = "free"
        if self.gate_from == "auto":
            self.gate_from = "mean" if _both_ways(model) else "last"
        super().attach(model, context)
        model.register_forward_pre_hook(_Mask(self.seen), with_kwargs=True)
        self.start: Artifact | None = None

    def _give(self, place: Place, length: int, network: Any, columns: tuple[int, int]) -> LayerPrefix:
        import torch

        prefix = super()._give(place, length, network, columns)
        assert isinstance(prefix, GatedPrefix)
        prefix.number, prefix.seen, prefix.gate_from = len(self.layers), self.seen, self.gate_from
        weight = next(place.module.parameters())
        if self.options.token_gate:
            width = () if self.gate_from == "free" else (_width_in(place),)
            prefix.own.gate = torch.nn.Parameter(torch.zeros(*width, length, device=weight.device))
        if self.options.layer_scale:
            prefix.own.scale = torch.nn.Parameter(torch.ones((), device=weight.device))
        place.module.register_forward_pre_hook(_Hidden(self.seen, prefix.number), with_kwargs=True)
        self.layers.append(prefix)
        return prefix

    def layer(self, own: torch.nn.Module, place: tuple[int, int], length: int, *network: Any) -> LayerPrefix:
        """A prefix with gates."""
        return GatedPrefix(own, place, length, self.options.dropout, *network)

    def rates(self, model: torch.nn.Module) -> Mapping[str, float]:
        """Gates move more slowly: each sums over all dimensions of a state, and would be open or shut at once."""
        gates = {id(prefix.own.gate) for prefix in self.layers if self.options.token_gate}
        share = 1.0 if self.gate_from == "free" else self.options.gate_rate
        return {name: share for name, parameter in model.named_parameters() if id(parameter) in gates}

    def prepare(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Note how far the gates are open before the first step."""
        self.start = self._openness(model, context)

    def artifacts(self, model: torch.nn.Module, context: MethodContext) -> Iterator[Artifact]:
        """How far the gates are open now, over training texts, and at the start."""
        now = self._openness(model, context)
        start = self.start
        arrays = dict(now.arrays)
        if start is not None:
            arrays |= {f"{name}-at-start": array for name, array in start.arrays.items()}
        if trail := self.seen.trail.array(*now.arrays["gate"].values.shape):
            arrays["gate-on-the-way"] = trail
        yield Artifact("prefix-gates", arrays, now.note)

    def _openness(self, model: torch.nn.Module, context: MethodContext) -> Artifact:
        """Mean and spread over texts of each gate, [layer, token], and the factor of each layer."""
        import numpy as np
        import torch

        with collecting(self.seen, model) as kept:
            for batch in context.batches(LOOKED_AT):
                context.task.outputs(model, batch)
        longest = max(prefix.length for prefix in self.layers)
        mean, spread = (np.full((len(self.layers), longest), np.nan) for _ in range(2))
        for number, prefix in enumerate(self.layers):
            gates = torch.cat(kept[number]).float().cpu().numpy() if number in kept else np.ones((1, prefix.length))
            mean[number, : prefix.length], spread[number, : prefix.length] = gates.mean(0), gates.std(0)
        scales = [prefix.own.scale.item() if self.options.layer_scale else 1.0 for prefix in self.layers]
        layers = [str(number) for number in range(len(self.layers))]
        labels = {"layer": layers, "token": [str(number) for number in range(longest)]}
        return Artifact(
            "prefix-gates",
            {
                "gate": Array(mean, ("layer", "token"), labels),
                "spread": Array(spread, ("layer", "token"), labels),
                "scale": Array(np.array(scales), ("layer",), {"layer": layers}),
                "openness": Array(np.abs(scales) * np.nanmean(mean, axis=1), ("layer",), {"layer": layers}),
            },
            f"over {sum(len(g) for g in kept.get(0, []))} training texts" if self.gate_from != "free" else "",
        )


@contextmanager
def collecting(seen: Seen, model: torch.nn.Module) -> Iterator[dict[int, list[torch.Tensor]]]:
    """Collect the gates of every text that goes through the model inside, in evaluation mode and without gradients."""
    import torch

    training = model.training
    seen.kept = {}
    try:
        with torch.no_grad():
            model.eval()
            yield seen.kept
    finally:
        seen.kept = None
        model.train(training)


@dataclass
class _Mask:
    """Before the model: which tokens are padding."""

    seen: Seen

    def __call__(self, model: Any, args: Any, kwargs: dict[str, Batch]) -> None:
        mask: Any = kwargs.get("attention_mask")
        self.seen.mask = mask if mask is not None and mask.ndim == 2 else None


@dataclass
class _Hidden:
    """Before a layer's attention: what enters it."""

    seen: Seen
    number: int

    def __call__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if GIVE in module.__dict__:
            self.seen.hidden[self.number] = args[0] if args else kwargs["hidden_states"]


def _both_ways(model: torch.nn.Module) -> bool:
    """Whether tokens see those behind them, as in encoders."""
    return not any(getattr(module, "is_causal", False) for module in model.modules())


def _width_in(place: Place) -> int:
    """Dimensions of what enters an attention module."""
    import torch

    for module in place.module.modules():
        if isinstance(module, torch.nn.Linear):
            return int(module.in_features)
    return int(next(p for p in place.module.parameters() if p.ndim == 2).shape[0])  # GPT-2's Conv1D: [in, out]
