"""From a recipe to a model that is ready to train: seed, load, freeze, attach, head, calibrate, mask."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peft_lab.errors import MethodRefused, NothingLearned, PeftLabError
from peft_lab.training.anatomy import bare_name, head_names
from peft_lab.training.masks import MaskedEntries, freeze
from peft_lab.training.weights import base_tensors
from pluggy_specs import Method

if TYPE_CHECKING:
    import torch

    from peft_lab.sources.models import FoundModel
    from peft_lab.training.context import Context


@dataclass
class Built:
    """A model with methods attached, and what the core knows about it."""

    model: torch.nn.Module
    methods: Sequence[Method]
    head: list[str]
    """Names of the head's parameters in the bare model."""
    base: dict[int, torch.Tensor]
    """Tensors of the base model by identity."""
    masked: MaskedEntries | None = None

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """Parameters that train, whole or in part."""
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def is_head(self, name: str) -> bool:
        """Whether a parameter, by its present name, belongs to the head that is in use."""
        return bare_name(name) in self.head and ".original_module." not in name


def seed_everything(seed: int) -> None:
    """Python, numpy and torch. Called right before heads and adapters are drawn, so that a seed means the same draw."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def build(
    found: FoundModel,
    methods: Sequence[Method],
    targets: Mapping[str, Any],
    context: Context,
    seed: int,
    train_head: str = "whole",
    masks: Mapping[str, torch.Tensor] | None = None,
    rows: int | None = None,
) -> Built:
    """Load the base model and attach the methods, in the order written.

    Args:
        train_head: ``whole``, or ``top`` for what sits on the base model only.
        masks: those of a saved run; methods are then not calibrated again.
        rows: size of the vocabulary, where a method changed the tokenizer.

    Raises:
        MethodRefused: a method cannot work on this model.
        NothingLearned: nothing would train.
    """
    from peft_lab.sources.models import load_model

    task = context.task
    seed_everything(seed)
    model, fresh = load_model(found, task.auto_class, task.model_settings(targets))
    if rows is not None:
        model.resize_token_embeddings(rows)
    base = base_tensors(model)
    freeze(model)
    model.to(context.device)
    # Moving a model keeps its Parameter objects but replaces buffers.
    base |= base_tensors(model)
    whole_head = head_names(model)
    inside = f"{getattr(model, 'base_model_prefix', '')}."
    top = [n for n in whole_head if n in fresh or not n.startswith(inside)]
    wanted = top if train_head == "top" else whole_head
    context.head = frozenset(wanted)
    seed_everything(seed)
    for method in methods:
        model = _attach(method, model, context)
    built = Built(model, methods, wanted, base)
    for name, parameter in model.named_parameters():
        if built.is_head(name):
            parameter.requires_grad_(True)
    if masks is None:
        masks = _ask_masks(built, context)
    if masks:
        built.masked = MaskedEntries(model, masks)
    if not built.trainable():
        names = "+".join(m.name for m in methods)
        raise NothingLearned(f"{names} leaves nothing of {found.name} to train", "Choose another method or model")
    return built


def adapt_tokenizer(methods: Sequence[Method], context: Context) -> int | None:
    """Let the methods change the tokenizer of the context; return the new size of the vocabulary if it changed."""
    before = len(context.tokenizer)
    for method in methods:
        context.tokenizer = method.adapt_tokenizer(context.tokenizer, context)
    after = len(context.tokenizer)
    return after if after != before else None


def _attach(method: Method, model: torch.nn.Module, context: Context) -> torch.nn.Module:
    try:
        return method.attach(model, context) or model
    except PeftLabError:
        raise
    except (ValueError, TypeError, NotImplementedError, KeyError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MethodRefused(f"{method.name} cannot be attached to this model: {reason}") from error


def _ask_masks(built: Built, context: Context) -> dict[str, torch.Tensor]:
    import torch

    masks: dict[str, torch.Tensor] = {}
    for method in built.methods:
        method.prepare(built.model, context)
        built.model.zero_grad(set_to_none=True)
        for name, chosen in method.masks(built.model).items():
            flat = torch.as_tensor(chosen).flatten()
            masks[name] = torch.cat([masks[name], flat]) if name in masks else flat
    return masks
