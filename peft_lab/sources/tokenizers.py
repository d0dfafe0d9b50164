"""Which tokenizer it is: a fingerprint of all that decides which ids a text becomes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

# Calls leave their truncation and padding in the tokenizer; nothing here asks the decoder, which turns ids into text.
PASSING = ("truncation", "padding", "decoder", "version")
SIDES = ("padding_side", "truncation_side", "add_bos_token", "add_eos_token", "add_prefix_space", "do_lower_case")


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """SHA-256 over vocabulary, rules, special tokens and sides of a tokenizer.

    Two tokenizers with the same fingerprint cut every text into the same ids; how often they were used makes no
    difference, nor does the folder they came from.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules = {name: part for name, part in json.loads(backend.to_str()).items() if name not in PASSING}
        _settle_merges(rules)
    else:
        rules = {"class": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab()}
    facts = {
        "rules": rules,
        "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        "ids": sorted(tokenizer.all_special_ids),
        "sides": {name: getattr(tokenizer, name, None) for name in SIDES},
    }
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _settle_merges(rules: dict[str, Any]) -> None:
    """Merges are written as pairs by some versions of ``tokenizers`` and as one text by others."""
    model = rules.get("model") or {}
    if model.get("merges"):
        model["merges"] = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
