"""Labels that are numbers: where they lie, and whether numbers taken for classes look like amounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peft_lab.errors import DataProblem
from peft_lab.sources.labels import as_number

if TYPE_CHECKING:
    import datasets

FEW = 20
"""So many different numbers may well be classes."""
BATCH = 10_000


@dataclass(frozen=True)
class Spread:
    """Where numbers lie."""

    lowest: float
    highest: float
    mean: float
    deviation: float
    """Standard deviation."""


def spread_of(train: datasets.Dataset, column: str) -> Spread:
    """Return where the labels of the training rows lie.

    Raises:
        DataProblem: they are all the same.
    """
    import numpy as np

    rows = train.select_columns(["label"]).iter(BATCH)
    numbers = np.fromiter((label for batch in rows for label in batch["label"]), dtype=np.float64)
    if np.ptp(numbers) == 0:
        raise DataProblem(f"every training row has the same {column!r}, {numbers[0]:g}", "Two or more are needed")
    return Spread(float(numbers.min()), float(numbers.max()), float(numbers.mean()), float(numbers.std()))


def like_amounts(labels: Mapping[str, int], column: str) -> list[str]:
    """Return a note on many different whole numbers that are taken for classes."""
    if len(labels) <= FEW or any(as_number(label) is None for label in labels):
        return []
    return [
        f"column {column!r} holds {len(labels)} different numbers, each taken for a class; "
        "if they are amounts, say --task regression"
    ]
