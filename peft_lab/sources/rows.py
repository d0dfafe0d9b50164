"""Make rows fit to teach: rename columns, write labels as names, leave out what is empty, and say so."""

from __future__ import annotations

import hashlib
import json
import math
import re
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peft_lab.errors import DataProblem, nearest
from peft_lab.sources.assembling import column_with_gaps, some_rows, with_columns
from peft_lab.sources.columns import Columns
from peft_lab.sources.files import Found
from peft_lab.sources.labels import MISSING, LabelNames, as_number, count_labels, kind_of

if TYPE_CHECKING:
    import datasets
    import numpy as np

    from peft_lab.sources.tagged_rows import Tags

HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
"""Control, bidirectional and other invisible characters, without those that shape words and emoji."""
LONGEST_MISSING = max(map(len, MISSING)) + 2


@dataclass
class Rows:
    """The rows of one split that can teach, with what a person should know about them.

    Texts stay in the table; the rest takes some twenty bytes a row.
    """

    table: datasets.Dataset
    """All rows as they were found, in columns ``text``, maybe ``text_pair``, and ``label``."""
    kept: np.ndarray | None
    """Numbers of the rows of the table that can teach, ascending; None means all."""
    keys: np.ndarray
    """A number for each row kept: rows with equal text have equal ones. Not stable across processes."""
    codes: np.ndarray | None
    """For each row kept the number of its label in ``names``; None where labels are no classes."""
    names: list[str]
    """The labels in alphabetical order."""
    digest: str
    notes: list[str] = field(default_factory=list)
    tags: Tags | None = None
    """Of each word of the rows kept, where every word has a label."""
    groups: np.ndarray | None = None
    """For each row kept the number of the group it belongs to, where rows belong together."""

    def __len__(self) -> int:
        return len(self.keys)

    def labels(self, chosen: np.ndarray | None = None) -> Counter[str]:
        """Return how often each label stands, in all rows kept or in some of them."""
        import numpy as np

        if self.tags is not None:
            return self.tags.count(chosen)
        if self.codes is None:
            return Counter()
        codes = self.codes if chosen is None else self.codes[chosen]
        return count_labels(self.names, np.bincount(codes, minlength=len(self.names)))

    def take(self, chosen: np.ndarray | None = None) -> datasets.Dataset:
        """Return the table of the rows kept, or of some of them."""
        numbers = self.kept
        if chosen is not None:
            numbers = chosen if self.kept is None else self.kept[chosen]
        return self.table if numbers is None else some_rows(self.table, numbers)


def clean(found: Found, columns: Columns, task: str, split: str) -> Rows:
    """Return the rows of a split with columns ``text``, maybe ``text_pair``, and ``label``.

    Texts are kept as they are.

    Raises:
        DataProblem: a column is missing, or holds what is no text or no label.
    """
    for role, name in columns.names.items():
        if name not in found.table.column_names:
            raise DataProblem(f"{split} has no column {name!r} for the {role}", nearest(name, found.table.column_names))
    kind: type[Cleaning] = Cleaning
    if task == "tagging":
        from peft_lab.sources.tagged_rows import TagCleaning

        kind = TagCleaning
    elif found.groups is not None:
        kind = TurnCleaning
    cleaning = kind(found, columns.names, task)
    for batch in found.batches(list(columns.names.values())):
        cleaning.add(batch)
    rows = cleaning.rows(split)
    if found.groups is not None:
        rows.groups = found.groups if rows.kept is None else found.groups[rows.kept]
    return rows


def fingerprint(splits: Mapping[str, Rows]) -> str:
    """Return a hash over the content of all splits, the same whatever file format the rows came in."""
    told = {split: [len(rows), rows.digest] for split, rows in splits.items()}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Cleaning:
    """What is gathered over the batches of one table."""

    def __init__(self, found: Found, names: Mapping[str, str], task: str) -> None:
        self.table, self.names, self.task = found.table, names, task
        feature = found.table.features[names["label"]]
        self.label_names = LabelNames(getattr(getattr(feature, "feature", feature), "names", None), names["label"])
        self.remade: dict[str, list[Any]] = {role: [] for role in names if role != "label" and not self._is_text(role)}
        self.kept = bytearray()
        self.keys, self.codes, self.numbers = array("q"), array("i"), array("d")
        self.digest = hashlib.sha256()
        self.left_out: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        self.breaks = self.hidden = self.nothing = 0
        self.encode = json.JSONEncoder(default=str).encode

    def _is_text(self, role: str) -> bool:
        return getattr(self.table.features[self.names[role]], "dtype", "") in ("string", "large_string")

    def add(self, batch: tuple[list[Any], ...]) -> None:
        """Look at some rows."""
        import pyarrow as pa

        *texts, labels = batch
        columns = self.texts(texts, labels)
        for role, values in zip(self.names, columns, strict=False):
            if role in self.remade:
                self.remade[role].append(pa.array(values, pa.string()))
        lines = []
        # Looked for in all texts at once, as most batches have none; row by row it would take longer than all the rest.
        together = "".join("".join(values) for values in columns)
        breaks, hidden = "\n" in together, HIDDEN.search(together) is not None
        for words, raw in zip(zip(*columns, strict=True), labels, strict=True):
            label = self.label(raw, fit=all(words))
            if label is None or not all(words):
                self.left_out["label" if label is None else "text"] += 1
                self.kept.append(0)
                continue
            self.kept.append(1)
            self.keys.append(hash(words))
            if breaks:
                self.breaks += any("\n" in word.strip() for word in words)
            if hidden:
                self.hidden += any(HIDDEN.search(word) for word in words)
            if min(map(len, words)) <= LONGEST_MISSING:
                self.nothing += any(word.strip().casefold() in MISSING for word in words)
            lines.append(self.encode([*words, label]))
        if lines:
            self.digest.update(("\n".join(lines) + "\n").encode())

    def texts(self, columns: list[list[Any]], labels: list[Any]) -> list[list[str]]:
        """The texts of some rows, column by column; empty where there is none."""
        return [
            [v if type(v) is str and v and not v.isspace() else _as_text(v, self.names[role]) for v in values]
            for role, values in zip(self.names, columns, strict=False)
        ]

    def label(self, raw: Any, *, fit: bool) -> Any:
        """The label as it teaches, or None; noted down where the rest of the row is fit to teach."""
        if self.task == "classification":
            code, change = self.label_names.read(raw)
            if code < 0:
                return None
            if fit:
                self.codes.append(code)
                self.changed[change] += 1
            return self.label_names.names[code]
        if raw is None or raw != raw or (isinstance(raw, str) and not raw.strip()):
            return None
        if self.task != "regression":
            return raw
        number = as_number(raw)
        if number is None:
            raise DataProblem(
                f"column {self.names['label']!r} holds {str(raw)[:40]!r}, not a number", "Regression needs numbers"
            )
        if fit:
            self.numbers.append(number)
        return number

    def rows(self, split: str) -> Rows:
        """Return all of it."""
        import numpy as np

        kept = None if all(self.kept) else np.flatnonzero(np.frombuffer(self.kept, dtype=np.uint8))
        codes, names = None, self.label_names.names
        if self.task == "classification":
            order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
            rank = np.empty(len(names), dtype=np.int32)
            rank[order] = np.arange(len(names), dtype=np.int32)
            codes = rank[np.frombuffer(self.codes, dtype=np.int32)]
            names = sorted(names)
        table = with_columns(self.table, self.names, {**self.remade, **self._new_labels(kept, codes, names)})
        keys = np.frombuffer(self.keys, dtype=np.int64)
        return Rows(table, kept, keys, codes, names, self.digest.hexdigest(), self.notes(split))

    def _new_labels(self, kept: np.ndarray | None, codes: np.ndarray | None, names: list[str]) -> dict[str, list[Any]]:
        """The label column, in pieces, where it is not in the table already as it is to be."""
        import numpy as np
        import pyarrow as pa

        if codes is not None:
            if self._is_text("label") and not self.changed.keys() - {""}:
                return {}
            return {"label": column_with_gaps(codes, kept, len(self.kept), words=pa.array(names, pa.string()))}
        if self.task == "regression":
            return {"label": column_with_gaps(np.frombuffer(self.numbers, dtype=np.float64), kept, len(self.kept))}
        return {}

    def notes(self, split: str) -> list[str]:
        """What a person should know about the rows of a split."""
        notes = [f"{_rows(count)} without {what} left out of {split}" for what, count in self.left_out.items()]
        if count := self.changed["blanks"]:
            notes.append(f"blanks around {count} {'label' if count == 1 else 'labels'} of {split} removed")
        if count := self.changed["fraction"]:
            notes.append(f"{count} {'label' if count == 1 else 'labels'} of {split} such as '1.0' taken as '1'")
        if self.nothing:
            notes.append(f"{_rows(self.nothing)} in {split} with a word like 'NaN' for a text, taken as it stands")
        if self.breaks:
            notes.append(f"{_rows(self.breaks)} in {split} with line breaks in the text")
        if self.hidden:
            notes.append(f"{_rows(self.hidden)} in {split} with control or invisible characters in the text")
        return notes


class TurnCleaning(Cleaning):
    """What is gathered over the batches of a table of turns, which has no empty text and no empty answer in it."""

    def add(self, batch: tuple[list[Any], ...]) -> None:
        """Look at some rows. The context may be empty; line breaks and single words are nothing unusual here."""
        *texts, answers = batch
        for words, answer in zip(zip(*texts, strict=True), answers, strict=True):
            self.kept.append(1)
            self.keys.append(hash(words))
            self.hidden += any(HIDDEN.search(text) for text in (*words, answer))
            self.digest.update(f"{self.encode([*words, answer])}\n".encode())


def _as_text(value: Any, column: str) -> str:
    if isinstance(value, list | dict | bytes):
        raise DataProblem(f"column {column!r} holds {kind_of(value)}, not text", "Name another with --text")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value)
    return text if text.strip() else ""


def _rows(count: int) -> str:
    return f"{count} {'row' if count == 1 else 'rows'}"
