"""What a model answered on a split, kept as it came out of the evaluation that is done anyway.

Whatever is measured on answers later (calibration, risks, agreement of two runs) is computed from these numbers, so
that nobody has to run the model again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pluggy_specs import Array, Artifact, Task

if TYPE_CHECKING:
    from peft_lab.training.batches import Encoded

MOST = 1 << 24
"""Numbers of raw outputs that are kept, 64 MB: 218,000 texts with 77 labels. Of more, texts at even distances are."""


def answers_artifact(
    split: str, outputs: Any, data: Encoded, task: Task, targets: Mapping[str, Any]
) -> Artifact | None:
    """``test-answers`` or ``validation-answers``; None where answers are text, or labels are no numbers.

    Args:
        outputs: of all texts: an array, or by word an array for each text. Kept in fp32, as they were scored: in fewer
            bits two answers could become one.
    """
    if task.generates or not len(data):
        return None
    if task.by_word:
        return _by_word(split, outputs, data, targets)
    whole, labels = np.asarray(outputs, dtype=np.float32), _numbers(data.labels)
    if labels is None or len(labels) != len(whole) or whole.ndim < 2:
        return None
    row = spread(len(whole), whole[0].size)
    arrays = {
        "outputs": Array(whole[row], _axes("text", whole.ndim), _names(whole, targets)),
        "label": Array(labels[row], _axes("text", labels.ndim)),
        "row": Array(row.astype(np.int64), ("text",)),
    }
    return Artifact(f"{split}-answers", arrays, _note(split, len(row), len(whole)))


def spread(count: int, width: int, most: int = MOST) -> np.ndarray:
    """Numbers of the texts that are kept, at even distances: all of them where they fit."""
    kept = max(1, most // max(1, width))
    if count <= kept:
        return np.arange(count)
    return np.linspace(0, count - 1, kept).round().astype(np.int64)


def _by_word(split: str, outputs: Sequence[Any], data: Encoded, targets: Mapping[str, Any]) -> Artifact | None:
    rows = [np.asarray(row, dtype=np.float32) for row in outputs]
    longest = max(map(len, rows))
    texts = spread(len(rows), longest * max(1, rows[0][0].size))
    whole = np.concatenate([rows[i] for i in texts])
    labels = _numbers(np.concatenate([np.asarray(data.labels[i]) for i in texts]))
    if labels is None or len(labels) != len(whole) or whole.ndim < 2:
        return None
    sizes = np.array([len(rows[i]) for i in texts])
    numbers = texts if data.numbers is None else data.numbers[texts]
    places = np.arange(len(whole)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    arrays = {
        "outputs": Array(whole, _axes("word", whole.ndim), _names(whole, targets)),
        "label": Array(labels, _axes("word", labels.ndim)),
        "row": Array(np.repeat(numbers, sizes).astype(np.int64), ("word",)),
        "place": Array(places.astype(np.int32), ("word",)),
    }
    return Artifact(f"{split}-answers", arrays, _note(split, len(texts), len(rows)))


def _numbers(labels: Any) -> np.ndarray | None:
    """Labels as an array; None where a task of a plugin encodes them as something else."""
    try:
        found = np.asarray(labels)
    except ValueError:  # of unequal length
        return None
    if not len(found) or found.dtype == object or not np.issubdtype(found.dtype, np.number):
        return None
    return found.astype(np.int64 if np.issubdtype(found.dtype, np.integer) else np.float32)


def _axes(first: str, dimensions: int) -> tuple[str, ...]:
    return (first, *("label" if n == 1 else f"label {n}" for n in range(1, dimensions)))


def _names(outputs: np.ndarray, targets: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    names = targets.get("labels", ())
    fits = isinstance(names, list | tuple) and outputs.ndim == 2 and len(names) == outputs.shape[1]
    return {"label": list(names)} if fits else {}


def _note(split: str, kept: int, there: int) -> str:
    return f"all texts of {split}" if kept == there else f"{kept:,} of {there:,} texts of {split}, at even distances"
