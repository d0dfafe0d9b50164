"""Words and the tokens they are cut into: the first token of a word speaks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.errors import DataProblem
from pluggy_specs.pieces import UNSUPERVISED

if TYPE_CHECKING:
    from peft_lab.training.batches import Encoded


def cut_words(texts: Sequence[str], tokenizer: Any, max_length: int) -> Any:
    """Tokenise texts, with ``offset_mapping``: the characters of each token.

    The text is cut as any other, not word by word: many tokenizers read a word otherwise at the beginning of a text.

    Raises:
        DataProblem: the tokenizer cannot tell which characters a token stands for.
    """
    settings: dict[str, Any] = {"truncation": True, "max_length": max_length, "verbose": False}
    try:
        return tokenizer(texts, return_attention_mask=False, return_offsets_mapping=True, **settings)
    except NotImplementedError as error:
        raise DataProblem(
            "this tokenizer cannot tell which word a token is of", "Choose a model with a tokenizer.json"
        ) from error


def first_tokens(text: str, offsets: Sequence[tuple[int, int]]) -> np.ndarray:
    """The place of the first token of each word, or -1 where there is none: cut off, or nothing the tokenizer reads.

    Args:
        text: words with single blanks between them.
        offsets: the characters of each token, from and to; tokens of the tokenizer's own have no width.
    """
    sizes = np.array([len(word) for word in text.split(" ")])
    starts = np.concatenate([[0], np.cumsum(sizes + 1)[:-1]])
    places = np.full(len(sizes), -1, dtype=np.int64)
    if not len(offsets):
        return places
    begins, ends = np.array(offsets, dtype=np.int64).T
    # Some tokenizers count the blank before a word to its first token.
    begins = begins + np.array([text[at : at + 1] == " " for at in begins.tolist()], dtype=np.int64)
    real = np.flatnonzero(begins < ends)
    words, first = np.unique(np.searchsorted(starts, begins[real], side="right") - 1, return_index=True)
    places[words] = real[first]
    return places


def labels_by_token(data: Encoded, chosen: np.ndarray, width: int, left: bool) -> np.ndarray:
    """The labels of words where their first tokens stand, [text, token].

    Args:
        left: the padding stands before the text.
    """
    assert data.words is not None
    labels = np.full((len(chosen), width), UNSUPERVISED, dtype=np.int64)
    for row, number in enumerate(chosen):
        places = data.words[number]
        there = places >= 0
        shift = width - int(data.lengths[number]) if left else 0
        labels[row, places[there] + shift] = np.asarray(data.labels[number])[there]
    return labels


def outputs_by_word(outputs: np.ndarray, places: np.ndarray, shift: int) -> np.ndarray:
    """The outputs of one text for each word, [word, ...]; NaN for words without a token.

    Args:
        outputs: [token, ...], with padding.
        places: of each word's first token, padding aside.
        shift: padding before the text.
    """
    there = places >= 0
    found = np.full((len(places), *outputs.shape[1:]), np.nan, dtype=np.float32)
    found[there] = outputs[places[there] + shift]
    return found


def filled(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """Outputs of texts with different numbers of words in one array, [text, word, ...], NaN where there is no word."""
    most = max(len(one) for one in outputs)
    whole = np.full((len(outputs), most, *outputs[0].shape[1:]), np.nan, dtype=np.float32)
    for row, one in zip(whole, outputs, strict=True):
        row[: len(one)] = one
    return whole
