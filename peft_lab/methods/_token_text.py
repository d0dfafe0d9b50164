"""Tokens as text: the pieces that a text is made of, what kind of token each is, and where it stands in the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

PROMPT, TAUGHT, SPECIAL, TAUGHT_SPECIAL = 0, 1, 2, 3


def pieces_of(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """What each token adds to the text. A token that is part of a character reads as a replacement character."""
    found: list[str] = []
    known: dict[tuple[int, ...], str] = {}

    def read(*tokens: int) -> str:
        if tokens not in known:
            known[tokens] = tokenizer.decode(
                list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        return known[tokens]

    for at, token in enumerate(ids):
        if at == 0:
            found.append(read(int(token)))
            continue
        # With its neighbour, for some tokenizers drop the blank before what begins a text.
        alone, before, both = read(int(token)), read(int(ids[at - 1])), read(int(ids[at - 1]), int(token))
        found.append(both[len(before) :] if both.startswith(before) and len(both) > len(before) else alone)
    return found


def kinds_of(tokenizer: Any, ids: np.ndarray, border: int) -> np.ndarray:
    """0 prompt, 1 supervised, 2 a special token of the prompt, 3 one that is supervised, [token]."""
    taught = np.arange(len(ids)) >= border
    special = np.isin(ids, np.array(sorted(tokenizer.all_special_ids), dtype=ids.dtype))
    return (taught + 2 * special).astype(np.int8)
