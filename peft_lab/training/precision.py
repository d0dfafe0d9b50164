"""What is held in which precision: frozen matrices in bf16 where a run computes in it, everything that trains in fp32.

Autocast alone casts every frozen weight again in every step. Held in bf16 it is cast once and takes half the memory.
Vectors (biases, norms) stay fp32, and so does whatever trains, in whole or in part, the optimizer, and the losses.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any

from peft_lab.errors import MethodRefused
from peft_lab.present.style import count
from peft_lab.training.randomness import kept_apart

if TYPE_CHECKING:
    import torch

    from peft_lab.training.build import Built
    from peft_lab.training.context import Context


def compute_in_bf16(built: Built, context: Context, before: Iterable[torch.nn.Module]) -> str:
    """Hold the frozen matrices of the base model in bf16 and let the model compute in it, whoever calls it.

    Layers that a method wraps but does not call, because it computes with their weights itself, keep fp32: a small
    change added to a bf16 weight would be rounded away, and some tuners cannot mix the two at all.

    Args:
        before: the modules of the base model before methods were attached.

    Returns:
        What is held in bf16, in words.

    Raises:
        MethodRefused: the methods cannot compute in bf16 at all.
    """
    held = holdable(built)
    wrapped = _wrapped(built.model, held, before)
    for parameter in held.values():
        parameter.data = parameter.data.bfloat16()
    _always_in_bf16(built.model, context.device.type)
    if wrapped:
        _give_back_what_needs_fp32(built, context, wrapped)
    return _said(built, held)


def holdable(built: Built) -> dict[str, torch.nn.Parameter]:
    """Frozen matrices and embeddings of the base model, by name."""
    import torch

    return {
        name: parameter
        for name, parameter in built.model.named_parameters()
        if id(parameter) in built.base
        and not parameter.requires_grad
        and parameter.ndim > 1
        and parameter.dtype == torch.float32
        and not built.is_head(name)
        and ".original_module." not in name
    }


@dataclass
class _Wrapped:
    """A weight inside a layer that a method put a module of its own around."""

    owner: torch.nn.Module
    parameter: torch.nn.Parameter
    original: torch.Tensor


def _wrapped(
    model: torch.nn.Module, held: Mapping[str, torch.nn.Parameter], before: Iterable[torch.nn.Module]
) -> list[_Wrapped]:
    known = {id(module) for module in before}
    found = []
    for name, parameter in held.items():
        path = name.rpartition(".")[0]
        owner, parent = model.get_submodule(path), model.get_submodule(path.rpartition(".")[0])
        if id(owner) not in known or (id(parent) not in known and owner is not parent):
            found.append(_Wrapped(owner, parameter, parameter.data))
    return found


def _give_back_what_needs_fp32(built: Built, context: Context, wrapped: Sequence[_Wrapped]) -> None:
    """One trial step with made-up texts tells which wrapped layers are called, and whether all fits together."""
    called: set[int] = set()
    try:
        with _noted([w.owner for w in wrapped], called):
            _try(built, context)
        needy = [w for w in wrapped if id(w.owner) not in called]
    except Exception:  # two precisions in one product; whatever else it is comes again
        needy = list(wrapped)
    for w in needy:
        w.parameter.data = w.original
    if not needy:
        return
    try:
        _try(built, context)
    except Exception as error:
        names = "+".join(method.name for method in built.methods)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MethodRefused(f"{names} cannot compute in bf16: {reason}", "Say --precision fp32") from error


@contextmanager
def _noted(owners: Iterable[torch.nn.Module], called: set[int]) -> Iterator[None]:
    """Note which modules are called. No hooks: PEFT warns of hooks on layers that it computes by itself."""

    def noting(module: torch.nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> Any:
            called.add(id(module))
            return forward(*args, **kwargs)

        return note

    before = [(module, vars(module).get("forward")) for module in owners]
    for module, _ in before:
        module.forward = noting(module, module.forward)
    try:
        yield
    finally:
        for module, own in before:
            del module.forward
            if own is not None:
                module.forward = own


def _try(built: Built, context: Context) -> None:
    """A step forward and backward, and one without gradients; nothing of it stays."""
    import torch

    pad = getattr(context.tokenizer, "pad_token_id", None)
    ids = torch.full((2, 8), 1 if pad == 0 else 0, device=context.device)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    model, trained = built.model, built.model.training
    with kept_apart():
        try:
            model.train()
            context.task.outputs(model, batch).float().sum().backward()
            model.eval()
            with torch.inference_mode():
                context.task.outputs(model, batch)
        finally:
            model.train(trained)
            model.zero_grad(set_to_none=True)
            for values in built.masked.values if built.masked else ():
                values.grad = None


def _always_in_bf16(model: torch.nn.Module, kind: str) -> None:
    """Let a model enter autocast by itself: a method that runs it after training must not have to know of precision."""
    import torch

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(kind, dtype=torch.bfloat16):
            return self.forward_as_written(*args, **kwargs)

    # A bound method is copied with its model; a closure over the model would not be.
    vars(model).update(forward_as_written=model.forward, forward=MethodType(forward, model))


def _said(built: Built, held: Mapping[str, torch.nn.Parameter]) -> str:
    import torch

    kept = [p for p in held.values() if p.dtype == torch.float32]
    entries = sum(p.numel() for p in held.values()) - sum(p.numel() for p in kept)
    text = f"{count(entries)} frozen weights held in bf16" if entries else "all weights held in fp32"
    if not kept:
        return text
    names = "+".join(method.name for method in built.methods)
    return f"{text}; {count(len(kept))} frozen matrices that {names} computes with itself in fp32"
