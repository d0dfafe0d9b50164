"""Where a parameter sits: its name without wrappers, its layer, the module it belongs to, and what the head is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Words that wrappers put into parameter names (PEFT's tuners, its copies of the head, torch's data parallelism).
WRAPPERS = ("base_layer", "modules_to_save", "original_module", "default", "module")
EMBEDDINGS, OTHER, HEAD = "embeddings", "other", "head"


@dataclass(frozen=True)
class Place:
    """A layer (``embeddings``, ``0``, ``1``, ..., ``other``, ``head``) and a kind of module within it."""

    layer: str
    kind: str


def bare_name(name: str) -> str:
    """A parameter's name as the base model knows it, whatever wraps the model now."""
    name = re.sub(r"^(module\.)?(base_model\.model\.|base_model\.)?", "", name)
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def head_names(model: torch.nn.Module) -> list[str]:
    """Parameters of the task head: all outside the base transformer, and its pooler.

    Holds for the families of transformers' sequence classification: ``classifier``, ``score``, ``pre_classifier``,
    ModernBERT's ``head``, DeBERTa's ``pooler`` beside the base, BERT's ``pooler`` inside it.
    """
    prefix = getattr(model, "base_model_prefix", "")
    base = f"{prefix}." if prefix and hasattr(model, prefix) else ""
    names = [name for name, _ in model.named_parameters()]
    return [n for n in names if (base and not n.startswith(base)) or n.startswith(f"{base}pooler.")]


def head_of(model: torch.nn.Module) -> dict[str, int]:
    """Parts of the task head with their entries: ``{"pooler.dense": 16512, "classifier": 258}``."""
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    parts: dict[str, int] = {}
    for name in head_names(model):
        part = name.removeprefix(prefix).rpartition(".")[0]
        parts[part] = parts.get(part, 0) + model.get_parameter(name).numel()
    return parts


def places(model: torch.nn.Module, head: Iterable[str]) -> dict[str, Place]:
    """The place of every parameter, by its present name."""
    head = set(head)
    wrapped = [name for name, module in model.named_modules() if hasattr(module, "base_layer") and name]
    found = {}
    for name, _ in model.named_parameters():
        # Everything inside an adapted module counts to that module: its own weight and what the adapter added.
        owner = next((w for w in wrapped if name.startswith(w + ".")), name.rpartition(".")[0] or name)
        found[name] = _place(bare_name(owner + ".x")[:-2], in_head=bare_name(name) in head)
    return found


def _place(module: str, in_head: bool) -> Place:
    parts = module.split(".")
    if in_head:
        return Place(HEAD, _readable(parts[1:] if "pooler" in parts[1:] else parts))
    if "albert_layers" in parts:  # layers within a group of layers that share their weights; nearly always one
        within = parts.index("albert_layers")
        parts = [*parts[:within], *(parts[within + 2 :] if parts[within + 1] == "0" else parts[within:])]
    number = next((i for i, part in enumerate(parts) if part.isdigit()), None)
    if number is not None:
        return Place(parts[number], _readable(parts[number + 1 :] or parts))
    return Place(EMBEDDINGS if re.search(r"emb|wte|wpe", module) else OTHER, _readable(parts[-1:]))


def _readable(parts: Sequence[str]) -> str:
    """``attention.self.query`` is the attention's query: ``self`` and ``dense`` tell nothing apart."""
    said = [part for part in parts if part not in ("self", "dense")] or list(parts)
    return " ".join(said).replace("_", " ")


def layer_order(layers: Iterable[str]) -> list[str]:
    """Embeddings first, layers by number, then what is neither, the head last."""
    rank = {EMBEDDINGS: -1, OTHER: 10**6, HEAD: 10**6 + 1}
    return sorted(set(layers), key=lambda layer: rank[layer] if layer in rank else int(layer))
