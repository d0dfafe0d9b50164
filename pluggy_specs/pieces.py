"""Tokens of texts, for artifacts with an axis ``token``: pieces of text, kinds, roles, and which rows are the same."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

PROMPT, TAUGHT, SPECIAL, TAUGHT_SPECIAL = range(4)
"""Kinds of tokens: of the prompt, supervised; and the same where the token is a special one."""
LEARNED, SPECIALS = (TAUGHT, TAUGHT_SPECIAL), (SPECIAL, TAUGHT_SPECIAL)
NO_ROLE, BOILERPLATE, REASONING = -1, 0, 1
UNSUPERVISED = -100
"""In the ``labels`` of a batch, wherever nothing is supervised."""
WINDOW = 8
"""Tokens before one that its text may hang on."""


def pieces_of(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The text of each token, so that joined they are the text.

    A character that takes several tokens stands at the last of them.
    """
    found, start, read = [], 0, 0
    for end in range(1, len(ids) + 1):
        known = _text(tokenizer, ids[start:read])
        text = _text(tokenizer, ids[start:end])
        if text.endswith("\ufffd") and end < len(ids) and end - read < WINDOW:
            found.append("")
            continue
        found.append(text[len(known) :])
        start, read = max(start, read - WINDOW) if read else 0, end
    return found


def kinds_of(tokenizer: Any, ids: Sequence[int], border: int) -> list[int]:
    """The kind of each token of a row whose supervised part begins at ``border``."""
    special = set(tokenizer.all_special_ids)
    return [(at >= border) + 2 * (token in special) for at, token in enumerate(ids)]


def digest_of(ids: Sequence[int]) -> str:
    """SHA-256 of the token ids of a row, by which the same row is known in other runs."""
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()


def _text(tokenizer: Any, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text if ids else ""
