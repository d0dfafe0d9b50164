"""The artifact ``token-roles``: tokens of some rows with role, LD and weight, laid out as ``token-losses`` are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from peft_lab.methods._shad_rows import Row
from pluggy_specs import Array, Artifact
from pluggy_specs.pieces import kinds_of, pieces_of

HOW = {
    "shad": "Roles by shuffling (SHAD); LD is the loss after tuning on shuffled answers less the one before",
    "regex": "Roles by patterns",
    "json": "Roles by the frame of JSON",
}


@dataclass(frozen=True)
class Shown:
    """A row whose tokens are shown. Roles and differences are those of its answer's tokens."""

    row: Row
    roles: np.ndarray
    ld: np.ndarray | None
    held_out: bool


def token_roles(tokenizer: Any, shown: Sequence[Shown], weights: Mapping[int, np.ndarray], how: str) -> Artifact:
    """All tokens of all shown rows, one after another.

    Args:
        weights: of answer tokens, by place in ``shown``; 1 is what a token would count if all counted alike.
        how: ``shad``, ``regex`` or ``json``.
    """
    columns: dict[str, list[np.ndarray]] = {n: [] for n in ("sample", "kind", "token", "role", "ld", "weight")}
    pieces: list[str] = []
    for at, one in enumerate(shown):
        ids, border = one.row.ids, one.row.border
        pieces += pieces_of(tokenizer, ids.tolist())
        columns["sample"].append(np.full(len(ids), at, dtype=np.int32))
        columns["kind"].append(np.array(kinds_of(tokenizer, ids.tolist(), border), dtype=np.int8))
        columns["token"].append(ids.astype(np.int32))
        columns["role"].append(np.concatenate([np.full(border, -1), one.roles]).astype(np.int8))
        for name, values in (("ld", one.ld), ("weight", weights.get(at))):
            whole = np.full(len(ids), np.nan, dtype=np.float32)
            if values is not None:
                whole[border:] = values
            columns[name].append(whole)
    labels = {"token": pieces}
    arrays = {name: Array(np.concatenate(parts), ("token",), labels) for name, parts in columns.items()}
    # The labels say what there is to say; an array has to hold numbers.
    known = {"sample": [one.row.digest for one in shown]}
    arrays["digest"] = Array(np.arange(len(shown), dtype=np.int32), ("sample",), known)
    arrays["held_out"] = Array(np.array([one.held_out for one in shown], dtype=np.int8), ("sample",))
    return Artifact("token-roles", arrays, HOW[how])
