"""How much adapters say: the size of what each adds over the size of what it reads, measured on training texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.methods._adapter_modules import Adapters
from peft_lab.methods._adapter_places import ATTENTION, FEED_FORWARD, Site
from pluggy_specs import Array, Artifact, MethodContext

if TYPE_CHECKING:
    import torch

BATCHES = 8
Calls = dict[tuple[Site, int], list[Any]]
"""By adapter and pass: for each batch the share of each of its texts. Shared layers are passed through several times.
"""


def activity(model: torch.nn.Module, adapters: Adapters, context: MethodContext) -> Artifact:
    """``adapter-activity``: ``mean`` and ``spread`` (standard deviation) over texts, [layer, place].

    A text's value is the mean over its tokens of ``|added| / |read|``, Euclidean norms of vectors as wide as the model.
    """
    import torch

    calls: Calls = {}
    trained, watched = model.training, adapters.watch
    model.eval()
    try:
        with torch.no_grad():
            for batch in context.batches(BATCHES):
                _watch(adapters, batch["attention_mask"], calls)
                context.task.outputs(model, batch)
    finally:
        adapters.watch = watched
        model.train(trained)
    texts = sum(len(shares) for shares in next(iter(calls.values()), ()))
    return Artifact("adapter-activity", _arrays(calls), f"over {texts:,} training texts")


def _watch(adapters: Adapters, mask: torch.Tensor, calls: Calls) -> None:
    """Add the shares of one batch to ``calls``."""
    passes = dict.fromkeys(adapters.modules, 0)

    def note(site: Site, read: torch.Tensor, added: torch.Tensor) -> None:
        share = added.float().norm(dim=-1) / read.float().norm(dim=-1).clamp_min(1e-12)
        share = share[:, -mask.shape[1] :]  # virtual tokens of another method come first
        of_text = (share * mask).sum(1) / mask.sum(1)
        calls.setdefault((site, passes[site]), []).append(of_text.cpu())
        passes[site] += 1

    adapters.watch = note


def _arrays(calls: Calls) -> Mapping[str, Array]:
    import numpy as np

    last = max((number for _, number in calls), default=0)
    parts = [part for part in (ATTENTION, FEED_FORWARD) if any(site.part == part for site, _ in calls)]
    rows = sorted({(site.number, number) for site, number in calls})
    mean, spread = (np.full((len(rows), len(parts)), np.nan) for _ in range(2))
    for (site, number), shares in calls.items():
        at = rows.index((site.number, number)), parts.index(site.part)
        values = np.concatenate([share.numpy() for share in shares])
        mean[at], spread[at] = values.mean(), values.std()
    names = [f"{layer} pass {number + 1}" if last else str(layer) for layer, number in rows]
    return {name: _by_layer(values, names, parts) for name, values in (("mean", mean), ("spread", spread))}


def _by_layer(values: Any, layers: Sequence[str], parts: Sequence[str]) -> Array:
    return Array(values, ("layer", "place"), {"layer": layers, "place": parts})
