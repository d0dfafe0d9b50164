"""Which entries train, as an artifact: flat indices as the core enforces them, whoever chose them. Never densified."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peft_lab.training.anatomy import HEAD, layer_order, places
from pluggy_specs import Array, Artifact

if TYPE_CHECKING:
    from peft_lab.training.build import Built


def sparse_mask(built: Built) -> Artifact:
    """The chosen entries outside the head.

    Arrays: ``indices`` [entry], flat within each tensor, one tensor after another; for each tensor with any, ``chosen``
    (how many), ``whole`` (all of them, so that no index is listed), ``shape`` (rows and columns), ``layer`` and
    ``kind``; and ``total`` [layer, kind], entries that there are, whose labels the latter two count in.
    """
    where = {name: place for name, place in places(built.model, built.head).items() if place.layer != HEAD}
    own = {n: p for n, p in built.model.named_parameters() if n in where and ".original_module." not in n}
    masked = {part.name: part.indices for part in built.masked.parts} if built.masked else {}
    parts = {name: indices for name, indices in masked.items() if name in own and len(indices) < own[name].numel()}
    layers = layer_order(where[name].layer for name in own)
    kinds = list(dict.fromkeys(where[n].kind for n in own if where[n].layer.isdigit()))
    kinds += [kind for kind in dict.fromkeys(where[n].kind for n in own) if kind not in kinds]
    total = np.zeros((len(layers), len(kinds)), dtype=np.int64)
    cells = {name: (layers.index(where[name].layer), kinds.index(where[name].kind)) for name in own}
    for name, parameter in own.items():
        total[cells[name]] += parameter.numel()
    names = [name for name, parameter in own.items() if parameter.requires_grad]
    listed = [parts[name].cpu().numpy() for name in names if name in parts]
    shapes = [
        (1, p.numel()) if p.ndim < 2 else (p.shape[0], p[0].numel()) for p in map(own.get, names) if p is not None
    ]
    columns = {
        "chosen": np.array([len(parts[n]) if n in parts else own[n].numel() for n in names], dtype=np.int64),
        "whole": np.array([n not in parts for n in names], dtype=np.bool_),
        "layer": np.array([cells[n][0] for n in names], dtype=np.int32),
        "kind": np.array([cells[n][1] for n in names], dtype=np.int32),
    }
    arrays = {name: Array(values, ("tensor",), {"tensor": names}) for name, values in columns.items()}
    arrays["shape"] = Array(np.array(shapes, dtype=np.int64).reshape(-1, 2), ("tensor", "side"), {"tensor": names})
    arrays["indices"] = Array(np.concatenate([*listed, np.zeros(0, dtype=np.int32)]), ("entry",))
    arrays["total"] = Array(total, ("layer", "kind"), {"layer": layers, "kind": kinds})
    return Artifact("sparse-mask", arrays)
