"""What tasks over labels share: labels row by row, a label with its index, answers in the order of probability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pluggy_specs import Batch, Table

if TYPE_CHECKING:
    import torch

CONSTANT = "constant"
"""The score that says that all answers are the same."""


def labels_of(rows: Table) -> Iterator[Any]:
    """Labels in the order of the rows; a Dataset gives them in batches, without reading a text."""
    if not hasattr(rows, "select_columns"):
        yield from (row["label"] for row in rows)
        return
    for batch in rows.select_columns(["label"]).iter(10_000):
        yield from batch["label"]


def names_for(labels: Sequence[str]) -> dict[str, Any]:
    """Settings of a model's config for as many outputs as there are labels, each with its name."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {name: i for i, name in enumerate(labels)},
    }


def logits(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """What the model's head gives for a batch."""
    return model(**{name: value for name, value in batch.items() if name != "labels"}).logits


def ranked(outputs: Any, labels: Sequence[str]) -> list[list[tuple[str, float]]]:
    """For each row of logits the labels with their probabilities, most probable first."""
    shifted = np.asarray(outputs, dtype=np.float64)
    shifted = np.exp(shifted - shifted.max(-1, keepdims=True))
    shares = shifted / shifted.sum(-1, keepdims=True)
    return [[(labels[i], float(row[i])) for i in np.argsort(-row)] for row in shares]


def noted(scores: Mapping[str, float], answers: np.ndarray, gold: np.ndarray) -> dict[str, float]:
    """Scores, and the word for it where several answers are all the same, though they should not be."""
    same = len(answers) > 1 and bool((answers == answers[0]).all() and (gold != gold[0]).any())
    return {**scores, CONSTANT: 1.0} if same else dict(scores)
