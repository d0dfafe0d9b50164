"""What methods built on Hugging Face PEFT share: modules by name, a tuner put into a model, the change it made."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from pluggy_specs import Array, Artifact, MethodRefused

if TYPE_CHECKING:
    import torch

# Families of models name the same layer differently; fused projections hold query and value in one matrix.
QUERY_VALUE = r"(q|v|query|value)(_?proj|_?lin|_?linear)?|W?qkv(_proj)?|query_key_value|c_attn|in_proj"
KINDS = {
    "query-value": re.compile(rf"(.*\.)?({QUERY_VALUE})"),
    "attention": re.compile(r".*(attn|attention)\w*\..*", re.IGNORECASE),
    "all-linear": re.compile(".*"),
}


def adaptable(model: torch.nn.Module, head: Iterable[str]) -> dict[str, torch.nn.Module]:
    """Modules by name, without the head and without what adapters brought along."""
    adapted = tuple(f"{name}." for name in _adapted(model))
    head = tuple(head)
    return {
        name: module.get_base_layer() if f"{name}." in adapted else module
        for name, module in model.named_modules()
        if name and not name.startswith(adapted) and not any(h.startswith(f"{name}.") for h in head)
    }


def linear_layers(model: torch.nn.Module, wanted: Iterable[str], head: Iterable[str]) -> list[str]:
    """Full names of linear layers within the numbered layers of a model.

    Args:
        wanted: kinds (``query-value``, ``attention``, ``all-linear``) or ends of names (``output.dense``).
        head: names of parameters that the core trains by itself.

    Raises:
        MethodRefused: one of the wanted matches nothing.
    """
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    found = adaptable(model, head).items()
    return matching([n for n, m in found if isinstance(m, Linear | Conv1D) and re.search(r"\.\d+\.", n)], wanted)


def matching(names: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Names that are of a wanted kind or end in a wanted way.

    Raises:
        MethodRefused: one of the wanted matches nothing, even where others do: it may be misspelt.
    """
    chosen: dict[str, None] = {}
    for word in wanted:
        fits = [n for n in names if (KINDS[word].fullmatch(n) if word in KINDS else f".{n}".endswith(f".{word}"))]
        if not fits:
            there = ", ".join(dict.fromkeys(re.sub(r".*\.\d+\.", "", name) for name in names))
            raise MethodRefused(f"no layer of this model is named {word!r}", f"There is: {there or 'none'}")
        chosen |= dict.fromkeys(fits)
    return list(chosen)


def inject(model: torch.nn.Module, config: Any) -> Any:
    """Put a tuner's layers into a model, in place, and return the tuner.

    No ``PeftModel`` around it: names stay as they are but for ``base_layer``, and the head stays the core's business.
    """
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

    if both := _adapted(model).intersection(config.target_modules or ()):
        raise MethodRefused(f"{min(both)} is adapted by another method already", "Give the two different targets")
    training = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        with quiet_peft():
            tuner = PEFT_TYPE_TO_TUNER_MAPPING[config.peft_type](model, config, adapter_name="default")
        adapted = any(parameter.requires_grad for parameter in model.parameters())
    except (NotImplementedError, TypeError, ValueError) as error:
        if "Conv1D" not in str(error):
            raise
        adapted = False
    if not adapted:  # PEFT said so, or passed over all of them without a word
        what = "linear layers only, and this model has Conv1D in their place" if _has_conv1d(model) else "nothing of it"
        raise MethodRefused(f"peft:{config.peft_type.lower()} adapts {what}", "Use lora")
    for parameter in training:  # PEFT froze what an earlier method had let move
        parameter.requires_grad_(True)
    del model.peft_config  # the next tuner would add its layers to this one's
    return tuner


def effective_change(model: torch.nn.Module) -> Iterator[Artifact]:
    """How far each adapted weight is from the base weight in effect: what merging would write there.

    Layers whose weight does not change, or that cannot be merged, are left out: there the core shows what trained.
    """
    names, sums = [], []
    for name in sorted(_adapted(model)):
        layer: Any = model.get_submodule(name)
        weight = getattr(layer.get_base_layer(), "weight", None)
        if weight is None:
            continue
        before, merged = weight.detach().double(), deepcopy(layer)
        base = merged.get_base_layer().weight
        base.data = base.data.float()  # added to a weight held in bf16, a small change would be rounded away
        try:
            with quiet_peft():
                merged.merge()
        except (NotImplementedError, ValueError):  # PEFT's two ways to say that this layer cannot be merged
            continue
        moved = float((merged.get_base_layer().weight.detach().double() - before).square().sum())
        if moved:
            names.append(name)
            sums.append((moved, float(before.square().sum()), weight.numel()))
    if names:
        columns = zip(("moved", "size", "entries"), zip(*sums, strict=True), strict=True)
        yield Artifact("effective-change", {kind: _by_module(values, names) for kind, values in columns})


@contextmanager
def quiet_peft() -> Iterator[None]:
    """No warnings inside: they speak of settings that a person did not choose."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _by_module(values: Iterable[float], names: list[str]) -> Array:
    import numpy as np

    return Array(np.array(list(values)), ("module",), {"module": names})


def _has_conv1d(model: torch.nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(module, Conv1D) for module in model.modules())


def _adapted(model: torch.nn.Module) -> set[str]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}
