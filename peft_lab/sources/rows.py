"""Make rows fit to teach: rename columns, write labels as names, leave out what is empty, and say so."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peft_lab.errors import DataProblem, nearest
from peft_lab.sources.columns import Columns

if TYPE_CHECKING:
    import datasets
    import numpy as np

BATCH = 10_000


@dataclass
class Rows:
    """The rows of one split, ready, with what a person should know about them."""

    table: datasets.Dataset
    labels: Counter[Any]
    keys: np.ndarray
    """One number for each text (or pair): rows with equal text have equal keys. Not stable across processes."""
    digest: str
    notes: list[str] = field(default_factory=list)


def clean(table: datasets.Dataset, columns: Columns, task: str, split: str) -> Rows:
    """Return the rows of a split with columns ``text``, maybe ``text_pair``, and ``label``.

    Texts are kept as they are; memory stays bounded by the labels when the table is mapped from disk.
    """
    import numpy as np

    for role, name in columns.names.items():
        if name not in table.column_names:
            raise DataProblem(f"{split} has no column {name!r} for the {role}", nearest(name, table.column_names))
    names = columns.names
    table = table.select_columns(list(names.values()))
    class_names = getattr(table.features[names["label"]], "names", None)
    left_out: Counter[str] = Counter()
    stripped = breaks = 0
    keep: list[int] = []
    keys: list[int] = []
    labels: list[Any] = []
    remade: dict[str, list[str]] = {role: [] for role in names if _must_remake(table, names, role)}
    digest = hashlib.sha256()
    for batch in table.iter(BATCH):
        for *texts, raw in zip(*(batch[name] for name in names.values()), strict=True):
            words = [_as_text(value, names["text"]) for value in texts]
            label = _as_label(raw, task, class_names, names["label"])
            labels.append(label)
            for role, word in zip(names, words, strict=False):
                if role in remade:
                    remade[role].append(word)
            if label is None or not all(words):
                left_out["label" if label is None else "text"] += 1
                continue
            stripped += isinstance(raw, str) and isinstance(label, str) and raw != label
            breaks += any("\n" in word.strip() for word in words)
            keep.append(len(labels) - 1)
            keys.append(hash(tuple(words)))
            digest.update(json.dumps([*words, label], default=str).encode() + b"\n")
    notes = [_rows(count, f"without {what} left out of {split}") for what, count in left_out.items()]
    if stripped:
        notes.append(f"blanks around {stripped} {'label' if stripped == 1 else 'labels'} of {split} removed")
    if breaks:
        notes.append(f"{_rows(breaks, f'in {split}')} with line breaks in the text")
    table = _with_columns(table, names, {**remade, "label": labels})
    return Rows(
        table if len(keep) == len(table) else table.select(keep),
        Counter(labels[row] for row in keep if not isinstance(labels[row], list | dict)),
        np.asarray(keys, dtype=np.int64),
        digest.hexdigest(),
        notes,
    )


def fingerprint(splits: Mapping[str, Rows]) -> str:
    """Return a hash over the content of all splits, the same whatever file format the rows came in."""
    told = {split: [len(rows.table), rows.digest] for split, rows in splits.items()}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def repeats(splits: Mapping[str, Rows]) -> list[str]:
    """Return notes on rows that stand twice: within a split, or in train and elsewhere."""
    import numpy as np

    notes = []
    for split, rows in splits.items():
        twice = len(rows.keys) - len(np.unique(rows.keys))
        if twice:
            notes.append(f"{_rows(twice, f'in {split}')} with a text that stands there already")
    for split in splits.keys() - {"train"}:
        shared = int(np.isin(splits[split].keys, splits["train"].keys).sum())
        if shared:
            stand = "stands" if shared == 1 else "stand"
            notes.append(f"{shared} {split} {'row' if shared == 1 else 'rows'} also {stand} in train")
    return sorted(notes)


def look_alike_labels(labels: Counter[Any]) -> list[str]:
    """Return a note on labels that differ only by case or inner blanks: probably one and the same."""
    seen: dict[str, list[str]] = {}
    for label in labels:
        if isinstance(label, str):
            seen.setdefault(" ".join(label.casefold().split()), []).append(label)
    alike = [" / ".join(repr(label) for label in sorted(some)) for some in seen.values() if len(some) > 1]
    more = ", ..." if len(alike) > 5 else ""
    return [f"labels that differ only by case or blanks are kept apart: {', '.join(alike[:5])}{more}"] if alike else []


def as_number(value: Any) -> float | None:
    """Return a value as a finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _as_text(value: Any, column: str) -> str:
    if isinstance(value, list | dict | bytes):
        raise DataProblem(f"column {column!r} holds {_kind(value)}, not text", "Name another with --text")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value)
    return text if text.strip() else ""


def _as_label(value: Any, task: str, class_names: list[str] | None, column: str) -> Any:
    if (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    ):
        return None
    if task == "regression":
        number = as_number(value)
        if number is None:
            raise DataProblem(f"column {column!r} holds {str(value)[:40]!r}, not a number", "Regression needs numbers")
        return number
    if task != "classification":
        return value
    if isinstance(value, list | dict | bytes):
        raise DataProblem(f"column {column!r} holds {_kind(value)}", "Classification needs one label a row")
    if class_names is not None:
        return class_names[value] if value >= 0 else None  # -1 is how hub data sets withhold a label
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # whole numbers that a reader made floats because some were missing
    return str(value).strip()


def _must_remake(table: datasets.Dataset, names: Mapping[str, str], role: str) -> bool:
    return role != "label" and getattr(table.features[names[role]], "dtype", "") not in ("string", "large_string")


def _with_columns(table: datasets.Dataset, names: Mapping[str, str], new: Mapping[str, list[Any]]) -> datasets.Dataset:
    """Rename columns and put new values in place of some, without copying the others."""
    from peft_lab.sources.quiet import quiet_datasets

    with quiet_datasets():
        table = table.remove_columns([names[role] for role in new])
        table = table.rename_columns({name: role for role, name in names.items() if role not in new and role != name})
        for role, values in new.items():
            table = table.add_column(role, values)
        return table.select_columns(list(names))


def _rows(count: int, what: str) -> str:
    return f"{count} {'row' if count == 1 else 'rows'} {what}"


def _kind(value: Any) -> str:
    return {"list": "lists", "dict": "objects", "bytes": "raw bytes"}[type(value).__name__]
