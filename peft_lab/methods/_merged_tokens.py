"""Phrases that become single tokens of a tokenizer."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from peft_lab.methods._construct_labels import Labels, labels_of
from peft_lab.methods._construct_windows import Tokens, Words

AT_ONCE = 128
AROUND = "and"
LOOKED_AT = 2000
"""Texts over which lengths are compared."""


@dataclass(frozen=True)
class Phrase:
    """Words that become one token."""

    text: str
    pieces: tuple[int, ...]
    """The tokens that it was."""


def that_become_one(tokenizer: Any, phrases: Sequence[Phrase]) -> list[Phrase]:
    """Those that the tokenizer, told of all, takes for one token, with the words around them cut as before."""
    known = tokenizer.get_vocab()
    new = [phrase for phrase in phrases if phrase.text not in known]
    told = add_phrases(tokenizer, new)
    ids = told.get_vocab()
    usual = tokenizer(AROUND, add_special_tokens=False)["input_ids"]
    whole = []
    for phrase in new:
        cut = told(f"{AROUND} {phrase.text} {AROUND}", add_special_tokens=False)["input_ids"]
        if cut.count(ids[phrase.text]) == 1 and cut[: len(usual) + 1] == [*usual, ids[phrase.text]]:
            whole.append(phrase)
    return whole


def add_phrases(tokenizer: Any, phrases: Sequence[Phrase]) -> Any:
    """A copy of the tokenizer that takes each phrase for one token, where it stands as whole words."""
    from tokenizers import AddedToken

    told = copy.deepcopy(tokenizer)
    # The blank before a word belongs to it in some tokenizers and to nothing in others: it goes with the phrase.
    told.add_tokens([AddedToken(p.text, single_word=True, lstrip=True, normalized=True) for p in phrases])
    return told


def labelled_texts(tokenizer: Any, rows: Any) -> tuple[list[Tokens], Labels, Words]:
    """All training texts as tokens, in batches, and their labels."""
    words = Words(tokenizer)
    batches = []
    columns = [name for name in ("text", "text_pair") if name in rows[0]]
    for start in range(0, len(rows), AT_ONCE):
        some = [rows[number] for number in range(start, min(start + AT_ONCE, len(rows)))]
        cut = tokenizer(*([row[name] for row in some] for name in columns), padding=True, return_tensors="np")
        batches.append(words.tokens(cut["input_ids"], cut["attention_mask"]))
    return batches, labels_of([row["label"] for row in rows]), words


def mean_tokens(tokenizer: Any, rows: Any) -> float:
    """Mean tokens of a text."""
    texts = [row["text"] for row in islice(rows, LOOKED_AT)]
    return float(np.mean([len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]))
