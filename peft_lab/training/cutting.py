"""How a tokenizer cuts texts into units, and whether it cuts new ones as it cut those that were trained on.

A model that was fitted to units of some length meets others when texts change: other terms, other spelling, another
language. That is the warning that the paper on adaptive tokenization gives for use (arXiv:2508.08635). Measured in
letters to a token, which holds for scripts without blanks too. The thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

LOOKED_AT = 2000
"""Training texts that are measured."""
FEWEST = 4
"""Tokens of a text below which its letters to a token say nothing."""
RARE = 0.005
"""Share of the training texts that are cut into shorter units than what is called usual."""


def usual_cutting(tokenizer: Any, rows: Any) -> dict[str, float]:
    """How training texts are cut.

    ``letters`` is the median of letters to a token, ``fewest_letters`` what all but the :data:`RARE` texts have, and
    ``unknown`` the share of tokens that the vocabulary lacks. Empty where all texts are very short.
    """
    import numpy as np

    texts = list(islice(rows["text"] if hasattr(rows, "column_names") else (row["text"] for row in rows), LOOKED_AT))
    counted = _cut(tokenizer, texts)
    letters = [len_ / tokens for len_, tokens, _ in counted if tokens >= FEWEST]
    if not letters:
        return {}
    return {
        "letters": round(float(np.median(letters)), 3),
        "fewest_letters": round(float(np.quantile(letters, RARE)), 3),
        "unknown": round(sum(unknown for *_, unknown in counted) / max(1, sum(tokens for _, tokens, _ in counted)), 5),
    }


def cut_unlike(tokenizer: Any, texts: Sequence[str], usual: Mapping[str, float]) -> str:
    """A warning about texts that are cut unlike the training texts; empty where none is.

    A text is, where its tokens are shorter than almost all training texts' are, or where it has unknown tokens though
    training texts had next to none.
    """
    if not usual:
        return ""
    short, unknown = [], []
    for number, (length, tokens, strange) in enumerate(_cut(tokenizer, texts), 1):
        if strange and strange / tokens > 10 * usual["unknown"]:
            unknown.append(number)
        elif tokens >= FEWEST and length / tokens < usual["fewest_letters"]:
            short.append(number)
    said = []
    if unknown:
        said.append(f"{_these(unknown, texts)} holds tokens that the vocabulary lacks, unlike the training texts")
    if short:
        said.append(
            f"{_these(short, texts)} is cut into shorter tokens than the training texts, "
            f"below {usual['fewest_letters']:.1f} letters each (usual: {usual['letters']:.1f})"
        )
    return f"Trust these answers less: {'; '.join(said)}." if said else ""


def _these(numbers: Sequence[int], texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return "the text"
    return f"text {numbers[0]}" if len(numbers) == 1 else f"each of the texts {', '.join(map(str, numbers[:8]))}"


def _cut(tokenizer: Any, texts: Sequence[str]) -> list[tuple[int, int, int]]:
    """Letters, tokens and unknown tokens of each text."""
    each = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    unknown = tokenizer.unk_token_id
    strange = [sum(i == unknown for i in ids) if unknown is not None else 0 for ids in each]
    letters = [len("".join(text.split())) for text in texts]
    return list(zip(letters, map(len, each), strange, strict=True))
