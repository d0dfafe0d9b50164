"""What wrong answers cost: a price for each mistake, one for handing a text to a person, and the threshold between.

Expected harm of a text = mean over all texts of what its answer costs, or of the price of a person where the model was
not sure enough: (sum of Cost[truth, answer] over answered texts + price x texts handed over) / texts. The threshold of
confidence with the least harm is chosen on validation and told on test.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from peft_lab.errors import BadOption, nearest

FORM = "The first line names answers, the first column what is true: truth,spam,ham"
LONG = ("truth", "answer", "cost")


@dataclass(frozen=True)
class Costs:
    """What each answer costs for each truth, by the order of the labels."""

    matrix: np.ndarray
    """[truth, answer]."""
    given: int = 0
    """Entries that were given; the others are 0 where the answer is right and 1 where it is wrong."""

    def of(self, truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """What each answer costs."""
        found: np.ndarray = self.matrix[truth, answer]
        return found


def read_costs(value: Any, labels: Sequence[str]) -> Costs:
    """Costs by the names of labels: a CSV file, ``{truth: {answer: cost}}``, or a DataFrame; None is 0 and 1.

    A table is square, with answers along its first line and truths down its first column, or has the columns
    ``truth``, ``answer`` and ``cost``.

    Raises:
        BadOption: it cannot be read, names a label that is none, or holds what is no price.
    """
    matrix = 1.0 - np.eye(len(labels))
    entries = _entries(value)
    place = {label: at for at, label in enumerate(labels)}
    for truth, answer, cost in entries:
        for label in (truth, answer):
            if label not in place:
                raise BadOption(f"the costs name a label {label!r} that the run does not know", nearest(label, labels))
        try:
            price = float(cost)
        except (TypeError, ValueError):
            price = math.nan
        if not (math.isfinite(price) and price >= 0):
            raise BadOption(f"the cost of {answer!r} for {truth!r} is {str(cost)!r}, no price", "A number of 0 or more")
        matrix[place[truth], place[answer]] = price
    return Costs(matrix, len(entries))


def _entries(value: Any) -> list[tuple[str, str, Any]]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if hasattr(value, "to_csv"):
        named = type(value.index).__name__ != "RangeIndex"
        return _of_lines(list(csv.reader(io.StringIO(value.to_csv(index=named and not _is_long(list(value.columns)))))))
    file = Path(str(value)).expanduser()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise BadOption(f"the costs in {file.name} cannot be read: {said}", FORM) from None
    first = text.partition("\n")[0]
    return _of_lines(list(csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count))))


def _of_mapping(value: Mapping[Any, Any]) -> list[tuple[str, str, Any]]:
    if not all(isinstance(row, Mapping) for row in value.values()):
        raise BadOption("the costs are no table", 'Give {"truth": {"answer": 5}}')
    return [(str(truth), str(answer), cost) for truth, row in value.items() for answer, cost in row.items()]


def _is_long(columns: Sequence[Any]) -> bool:
    return sorted(str(name).strip().lower() for name in columns) == sorted(LONG)


def _of_lines(lines: list[list[str]]) -> list[tuple[str, str, Any]]:
    lines = [[cell.strip() for cell in line] for line in lines if any(cell.strip() for cell in line)]
    if len(lines) < 2 or any(len(line) != len(lines[0]) for line in lines):
        raise BadOption("the costs are no table: lines of equal length are needed", FORM)
    head, *rest = lines
    if _is_long(head):
        at = [[name.lower() for name in head].index(name) for name in LONG]
        return [(line[at[0]], line[at[1]], line[at[2]]) for line in rest]
    return [(line[0], answer, cost) for line in rest for answer, cost in zip(head[1:], line[1:], strict=True) if cost]


def expected_harm(costs: np.ndarray, confidence: np.ndarray, threshold: float, price: float) -> tuple[float, float]:
    """Mean harm of a text, and the share that is answered from that confidence on."""
    kept = np.asarray(confidence) >= threshold
    return float(np.where(kept, costs, price).mean()), float(kept.mean())


def best_threshold(costs: np.ndarray, confidence: np.ndarray, price: float) -> float:
    """The threshold with the least mean harm; of equal ones the one that hands over least.

    0 answers everything, infinity hands everything over.
    """
    order = np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")
    sure, each = np.asarray(confidence, dtype=np.float64)[order], np.asarray(costs, dtype=np.float64)[order]
    total = np.concatenate([[0.0], np.cumsum(each)]) + price * np.arange(len(order), -1, -1)
    possible = np.concatenate([[True], sure[:-1] != sure[1:], [True]]) if len(order) else np.array([True])
    least = total[possible].min()
    answered = int(np.flatnonzero(possible & (total <= least + 1e-12))[-1])
    if answered == len(order):
        return 0.0
    return float(sure[answered - 1]) if answered else math.inf
