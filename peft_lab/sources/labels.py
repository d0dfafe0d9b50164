"""Labels as names: whatever kind of value a file holds, equal labels get equal names, and what was changed is told."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from peft_lab.errors import DataProblem
from peft_lab.sources.inspection import listed

MISSING = frozenset("nan na n/a none null nil #n/a <na>".split())  # noqa: SIM905
MANY = 1000
MOSTLY = 0.8


class LabelNames:
    """Writes label values as names, thinking once about each distinct value.

    Args:
        class_names: of a hub data set whose labels are numbers.
        column: for messages.
    """

    def __init__(self, class_names: Sequence[str] | None, column: str) -> None:
        self.names: list[str] = []
        self._class_names = class_names
        self._column = column
        self._codes: dict[str, int] = {}
        self._known: dict[tuple[type, Any], tuple[int, str]] = {}

    def read(self, value: Any) -> tuple[int, str]:
        """Return the number of the name of ``value``, or -1 where it holds none, and in what the name differs.

        That is empty, ``blanks``, ``fraction`` (1.0 is 1) or ``kind`` (the value was no text).
        """
        if value is None or value != value:
            return -1, ""
        if isinstance(value, list | dict | bytes):
            raise DataProblem(f"column {self._column!r} holds {kind_of(value)}", "Classification needs one label a row")
        key = (type(value), value)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._learn(value)
        return known

    def _learn(self, value: Any) -> tuple[int, str]:
        name, change = self._name(value)
        if not name:
            return -1, ""
        if name not in self._codes:
            self._codes[name] = len(self.names)
            self.names.append(name)
        return self._codes[name], change

    def _name(self, value: Any) -> tuple[str, str]:
        if self._class_names is not None:
            if value >= len(self._class_names):
                raise DataProblem(
                    f"column {self._column!r} has class {value}, but only {len(self._class_names)} classes have names",
                    "Mend the table, or write the names into the column",
                )
            return (self._class_names[value] if value >= 0 else ""), "kind"  # -1 is how hub data withholds a label
        if isinstance(value, float) and value.is_integer():
            return str(int(value)), "kind"  # whole numbers that a reader made floats because some were missing
        if not isinstance(value, str):
            return str(value), "kind"
        name = value.strip()
        if re.fullmatch(r"-?\d+\.0", name):
            return name[:-2], "fraction"  # the same, written to CSV
        return name, "blanks" if name != value else ""


def as_number(value: Any) -> float | None:
    """Return a value as a finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def kind_of(value: Any) -> str:
    """Return what a value is that is neither text nor number."""
    return {"list": "lists", "dict": "objects", "bytes": "raw bytes"}[type(value).__name__]


def shown(label: str) -> str:
    """Return a label in quotes for one line, with its beginning only where it is long."""
    return repr(label if len(label) <= 40 else label[:39] + "…")


def folded(label: str) -> str:
    """Return a label without what the eye passes over: case, blanks, invisible characters, width."""
    seen = "".join(c for c in unicodedata.normalize("NFKC", label) if unicodedata.category(c) not in ("Cc", "Cf"))
    return " ".join(seen.casefold().split())


def look_alike(labels: Iterable[str]) -> list[str]:
    """Return a note on labels that differ only by case, blanks or invisible characters: probably one and the same."""
    seen: dict[str, list[str]] = {}
    for label in labels:
        seen.setdefault(folded(label), []).append(label)
    alike = [" / ".join(shown(label) for label in sorted(some)) for some in seen.values() if len(some) > 1]
    if not alike:
        return []
    return [f"labels that differ only by case, blanks or invisible characters are kept apart: {listed(alike, 5)}"]


def about_labels(counts: Mapping[str, int], *, carved: bool) -> list[str]:
    """Return notes on the labels of the training rows: words for nothing, single rows, one that prevails, very many.

    Args:
        carved: validation was carved from these rows.
    """
    notes = []
    words = [shown(label) for label in counts if label.casefold() in MISSING]
    if words:
        notes.append(f"{listed(words)} {'is a label' if len(words) == 1 else 'are labels'} like any other here")
    single = sorted(shown(label) for label, rows in counts.items() if rows == 1)
    if single:
        out = ", and none in validation" if carved else ""
        have = "label has" if len(single) == 1 else "labels have"
        notes.append(f"{len(single)} {have} a single training row{out}: {listed(single, 5)}")
    total = sum(counts.values())
    top = max(counts, key=lambda label: counts[label])
    if counts[top] >= MOSTLY * total:
        share = math.floor(100 * counts[top] / total)
        notes.append(
            f"{share} % of the training rows are {shown(top)}: to say that always is as accurate; look at macro F1"
        )
    if len(counts) >= MANY:
        notes.append(_very_many(len(counts)))
    return notes


def strange_labels(split: str, strange: Sequence[str], known: Iterable[str]) -> DataProblem:
    """Return the error for labels that training rows never show."""
    some = listed((shown(label) for label in strange), 8)
    alike = {folded(label): label for label in known}
    twin = next(((label, alike[folded(label)]) for label in strange if folded(label) in alike), None)
    return DataProblem(
        f"{len(strange)} {'label is' if len(strange) == 1 else 'labels are'} in {split} only: {some}",
        f"Train has {shown(twin[1])}: write {shown(twin[0])} like it" if twin else "Each label needs training rows",
    )


def _very_many(labels: int) -> str:
    """What so many labels cost, for a width of 768: the weights once, and with gradients and optimizer."""
    weights = 768 * labels
    size = f"{weights / 1e6:.1f} million weights, {weights * 4 / 1e6:.0f} MB, {weights * 16 / 1e6:.0f} MB in training"
    return f"{labels:,} labels need a head of their number times the width of the model (at 768: {size})"


def count_labels(names: Sequence[str], numbers: Iterable[int]) -> Counter[str]:
    """Return how often each name stands, without those that never do."""
    return Counter({name: int(number) for name, number in zip(names, numbers, strict=True) if number})
