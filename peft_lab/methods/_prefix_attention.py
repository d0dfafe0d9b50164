"""How prefixes enter attention: through the interface that transformers has for attention functions.

Under the name registered here, every attention module of a model hands its query, key, value and mask to
:func:`_attend`. Where the module has a prefix, its keys and values are put before those of the text, and the mask is
widened by as many places that everyone may look at; the attention function that the model had does the rest. The text
keeps its positions. A module without a prefix, or with one that is off, computes what it always did: two models side
by side, one with and one without, do not know of each other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pluggy_specs import MethodRefused

if TYPE_CHECKING:
    import torch

    Pair = tuple[torch.Tensor, torch.Tensor]

NAMES = {"sdpa": "peft_lab_prefix", "eager": "peft_lab_prefix_eager"}
"""Our name for each attention function that a prefix can stand before."""
GIVE = "_peft_lab_prefix"
"""The attribute of an attention module that gives its prefix: a function of the module and the batch size."""
_calls: ContextVar[list[Place] | None] = ContextVar("calls", default=None)


class Place(NamedTuple):
    """An attention module that a prefix can enter."""

    module: torch.nn.Module
    heads: int
    """Of keys and values; several heads of queries may share one."""
    width: int
    """Dimensions of a head."""


def places(model: torch.nn.Module) -> list[Place]:
    """Attention modules in the order in which a text meets them, each once; the model now asks them for prefixes.

    Raises:
        MethodRefused: the model's attention cannot be reached.
    """
    import torch

    pretrained = _pretrained(model)
    family = pretrained.config.model_type
    usual = pretrained.config._attn_implementation
    if usual in NAMES.values():
        raise MethodRefused("another method has put prefixes into this model", "Take one of them")
    if usual not in NAMES:
        raise MethodRefused(f"prefixes cannot enter {usual} attention", "Load the model with sdpa attention")
    _register()
    pretrained.set_attn_implementation(NAMES[usual])
    text = torch.zeros(1, 4, dtype=torch.long, device=next(model.parameters()).device)
    found: list[Place] = []
    token = _calls.set(found)
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(input_ids=text)
    finally:
        _calls.reset(token)
        model.train(training)
    if not found:
        pretrained.set_attn_implementation(usual)
        raise MethodRefused(f"attention of {family} models has no place for a prefix", "Try lora or adapter")
    return list({id(place.module): place for place in found}.values())


def leave(model: torch.nn.Module) -> None:
    """Take all prefixes out: the model computes as before them."""
    pretrained = _pretrained(model)
    ours = {name: usual for usual, name in NAMES.items()}
    pretrained.set_attn_implementation(ours[pretrained.config._attn_implementation])
    for module in model.modules():
        module.__dict__.pop(GIVE, None)


@contextmanager
def without(model: torch.nn.Module) -> Iterator[None]:
    """The model as if it had no prefixes, for a while."""
    held = [(m, m.__dict__.pop(GIVE)) for m in model.modules() if GIVE in m.__dict__]
    try:
        yield
    finally:
        for module, give in held:
            module.__dict__[GIVE] = give


def _pretrained(model: torch.nn.Module) -> Any:
    """The model of transformers, below what other methods put around it."""
    from transformers import PreTrainedModel

    return next(module for module in model.modules() if isinstance(module, PreTrainedModel))


# --- what transformers calls -----------------------------------------------------------------------------------------


@cache
def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask, sdpa_mask

    for usual, mask in (("sdpa", sdpa_mask), ("eager", eager_mask)):
        AttentionInterface.register(NAMES[usual], partial(_attend, usual))
        AttentionMaskInterface.register(NAMES[usual], partial(_whole_mask, mask))


def _whole_mask(mask: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The mask written out where it is causal: left out, sdpa would take the prefix for the beginning of the text."""
    return mask(*args, **{**kwargs, "allow_is_causal_skip": False})


def _attend(
    usual: str,
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> Any:
    import torch

    if (calls := _calls.get()) is not None:
        calls.append(Place(module, key.shape[1], key.shape[3]))
    give = getattr(module, GIVE, None)
    if give is not None:
        keys, values = (part.to(key.dtype) for part in give(key.shape[0]))
        causal = kwargs.get("is_causal")
        if attention_mask is None and (getattr(module, "is_causal", False) if causal is None else causal):
            attention_mask = _causal(query, key)
        if attention_mask is not None:
            attention_mask = _wider(attention_mask, keys.shape[2])
        key, value = torch.cat((keys, key), dim=2), torch.cat((values, value), dim=2)
        kwargs["is_causal"] = False
    return _function(usual, module)(module, query, key, value, attention_mask, **kwargs)


def _causal(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Who may look at whom, [1, 1, query, key]: the queries are the last of the keys."""
    import torch

    length, there = query.shape[2], key.shape[2]
    whole = torch.ones(length, there, dtype=torch.bool, device=query.device)
    return whole.tril(there - length)[None, None]


def _wider(mask: torch.Tensor, by: int) -> torch.Tensor:
    """A mask, true or 0 where one may look, with so many open places before it."""
    import torch

    is_open = torch.ones if mask.dtype == torch.bool else torch.zeros
    return torch.cat((is_open(*mask.shape[:-1], by, dtype=mask.dtype, device=mask.device), mask), dim=-1)


def _function(usual: str, module: torch.nn.Module) -> Any:
    """The attention function that the model had. Each family has its own eager one, beside its modules."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if usual == "eager":
        return sys.modules[type(module).__module__].eager_attention_forward
    return ALL_ATTENTION_FUNCTIONS[usual]
