"""Load the data a recipe names: find it, read it, choose columns, clean rows, make the splits, say what was done."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem
from peft_lab.sources.columns import SAMPLE, find_columns
from peft_lab.sources.files import KINDS, PICKLES, missing_file, read_file, read_folder
from peft_lab.sources.hub import read_hub
from peft_lab.sources.quiet import quiet_datasets
from peft_lab.sources.rows import Rows, as_number, clean, fingerprint, look_alike_labels, repeats
from peft_lab.sources.splitting import draw

if TYPE_CHECKING:
    import datasets

    from peft_lab.host import Host
    from pluggy_specs import Table

Raw = dict[str, "datasets.Dataset"]


@dataclass(frozen=True)
class Data:
    """Data ready to train on: columns ``text``, maybe ``text_pair``, and ``label``."""

    name: str
    spec: DataSpec
    """As asked for, with the guessed columns and task filled in."""
    task: str
    splits: Mapping[str, datasets.Dataset]
    """``train``, ``validation``, and ``test`` where there is one."""
    fingerprint: str
    """Hash of the rows of all splits before carving; the same for any file format."""
    notes: tuple[str, ...]

    def describe(self) -> dict[str, Any]:
        """Return what the data is, as JSON data; labels with their training rows, the most frequent first."""
        described: dict[str, Any] = {
            "name": self.name,
            "task": self.task,
            "rows": {split: len(table) for split, table in self.splits.items()},
            "columns": {role: getattr(self.spec, role) for role in ("text", "text_pair", "label")},
            "notes": list(self.notes),
            "fingerprint": self.fingerprint,
        }
        if self.task == "classification":
            counts = Counter(self.splits["train"]["label"])
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            described |= {"labels": dict(islice(ordered, 100)), "label_count": len(counts)}
        return described


def load_data(spec: DataSpec, host: Host) -> Data:
    """Load the data that ``spec`` names: among what is registered, then on disk, then on the hub."""
    raw, spec, notes = _find(spec, host)
    if spec.validation is not None:
        raw["validation"] = read_file(Path(spec.validation).expanduser())
    if spec.test is not None:
        raw["test"] = read_file(Path(spec.test).expanduser())
    if "train" not in raw or not len(raw["train"]):
        there = ", ".join(raw) or "nothing"
        raise DataProblem(f"{spec.source!r} has no training rows, only: {there}", "A split named train is needed")
    columns = find_columns(_sample(raw["train"]), spec)
    task = spec.task or "classification"
    spec = spec.model_copy(update={**columns.names, "task": task})
    splits: dict[str, Rows] = {}
    for split in ("train", "validation", "test"):
        if split in raw:
            splits[split] = clean(raw[split], columns, task, split)
    notes += [columns.note] if columns.note else []
    for split, rows in list(splits.items()):
        notes += rows.notes
        if not len(rows.table):
            if split == "train":
                raise DataProblem(
                    f"no training row has both {columns.text!r} and {columns.label!r}", "Name other columns"
                )
            notes.append(f"{split} has no labelled row and is left out")
            del splits[split]
    notes += repeats(splits)
    if task == "classification":
        _must_be_classes(splits, columns.label, guessed="label=" in columns.note)
        notes += look_alike_labels(sum((rows.labels for rows in splits.values()), Counter()))
    tables, more = _carved(splits, spec)
    name = spec.source if not Path(spec.source).suffix else Path(spec.source).name
    return Data(name, spec, task, tables, fingerprint(splits), (*notes, *more))


def keep_table(obj: Any, name: str, folder: Path) -> Path:
    """Write rows from the notebook to parquet, named by their content, and return what a recipe can name.

    Takes a pandas DataFrame, a list of dicts, a Hugging Face Dataset, or a DatasetDict (which gives a folder).
    """
    import datasets

    try:
        if isinstance(obj, Mapping):  # a DatasetDict, or a dict of tables by split
            tables = {f"-{split}": _any_table(rows) for split, rows in obj.items()}
        else:
            tables = {"": _any_table(obj)}
    except (TypeError, ValueError, ArithmeticError, datasets.table.pa.ArrowException) as error:
        said = (str(error).splitlines() or [""])[0].rstrip(".")
        raise DataProblem(f"{name!r} cannot be kept: {said}", "Each column needs one kind of value") from error
    digest = hashlib.sha256()
    for ending, table in tables.items():
        digest.update(json.dumps([ending, str(table.features), len(table)]).encode())
        for row in table:
            digest.update(json.dumps(row, sort_keys=True, default=str).encode())
    stem = f"{re.sub(r'[^A-Za-z0-9_]+', '_', name)}-{digest.hexdigest()[:8]}"
    target = folder / stem if isinstance(obj, Mapping) else folder
    target.mkdir(parents=True, exist_ok=True)
    for ending, table in tables.items():
        path = target / f"{stem}{ending}.parquet"
        if not path.exists():
            half = path.with_suffix(f".{os.getpid()}.half")
            with quiet_datasets():
                table.to_parquet(str(half))
            half.replace(path)
    return target if isinstance(obj, Mapping) else target / f"{stem}.parquet"


def _any_table(obj: Any) -> datasets.Dataset:
    import datasets
    import pandas as pd

    if isinstance(obj, datasets.Dataset):
        return obj
    if isinstance(obj, pd.DataFrame):
        plain = obj.rename(columns=str)
        categories = plain.select_dtypes("category").columns
        plain = plain.astype(dict.fromkeys(categories, object))
        return datasets.Dataset.from_pandas(plain, preserve_index=False)
    if isinstance(obj, list | tuple) and all(isinstance(row, Mapping) for row in obj):
        return datasets.Dataset.from_list([dict(row) for row in obj])
    kind = type(obj).__name__
    raise DataProblem(f"{kind} is not a table", "A DataFrame, a Dataset, a DatasetDict or a list of dicts is needed")


def _find(spec: DataSpec, host: Host) -> tuple[Raw, DataSpec, list[str]]:
    """Return raw splits; for a registered source the spec comes back with the columns its plugin declares."""
    offered = host.offers("datasets")
    if spec.source in offered:
        source = host.find("datasets", spec.source)
        given = {"text": source.text, "text_pair": source.text_pair, "label": source.label, "task": source.task}
        missing = {name: value for name, value in given.items() if getattr(spec, name) is None}
        raw = {split: _as_table(rows) for split, rows in source.splits().items()}
        return raw, spec.model_copy(update=missing), []
    path = Path(spec.source).expanduser()
    if path.is_dir():
        return dict(read_folder(path)), spec, []
    suffix = path.suffix.lower()
    if path.is_file() or suffix in KINDS | dict.fromkeys(PICKLES):
        return {"train": read_file(path)}, spec, []
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+){0,2}", spec.source):
        raise missing_file(path)
    raw, unused = read_hub(spec.source, offered)
    return raw, spec, [f"splits not used: {', '.join(unused)}"] if unused else []


def _as_table(rows: Path | Table) -> datasets.Dataset:
    import datasets

    if isinstance(rows, Path):
        return read_file(rows)
    return rows if isinstance(rows, datasets.Dataset) else datasets.Dataset.from_list([dict(row) for row in rows])


def _sample(table: datasets.Dataset) -> dict[str, list[Any]]:
    """Return some rows spread over the whole table: files are often sorted by label."""
    step = max(1, len(table) // SAMPLE)
    sample: dict[str, list[Any]] = table.select(range(0, len(table), step))[:SAMPLE]
    return sample


def _must_be_classes(splits: Mapping[str, Rows], column: str, *, guessed: bool) -> None:
    labels = splits["train"].labels
    if len(labels) < 2:
        raise DataProblem(f"every training row has the same label, {next(iter(labels))!r}", "Two or more are needed")
    numbers = [as_number(label) for label in islice(labels, 1000)]
    if all(number is not None for number in numbers) and not all(
        number == int(number) for number in numbers if number is not None
    ):
        raise DataProblem(f"column {column!r} holds numbers with fractions, not classes", "Say --task regression")
    if guessed and len(labels) > max(20, labels.total() / 2):
        raise DataProblem(
            f"column {column!r} has {len(labels)} different values in {labels.total()} rows: hardly a label",
            f"Name another with --label, or this one if it is: --label {column}",
        )
    for split, rows in splits.items():
        strange = sorted(set(rows.labels) - set(labels))
        if strange:
            shown = ", ".join(repr(label) for label in strange[:8]) + (", ..." if len(strange) > 8 else "")
            raise DataProblem(f"{len(strange)} labels are in {split} only: {shown}", "Each label needs training rows")


def _carved(splits: Mapping[str, Rows], spec: DataSpec) -> tuple[Raw, list[str]]:
    """Return the tables to use: validation carved from train where there is none, train cut to the limit."""
    import numpy as np

    rows = splits["train"]
    labels = list(rows.table["label"]) if spec.task == "classification" else None
    left = np.arange(len(rows.table))
    tables = {split: some.table for split, some in splits.items()}
    notes = []
    if "validation" not in tables:
        count = max(1, min(spec.validation_most, round(len(left) * spec.validation_share)))
        # A text that stands twice stays in train: otherwise validation would ask what training has told.
        _, first, times = np.unique(rows.keys, return_index=True, return_counts=True)
        carved = draw(labels, np.sort(first[times == 1]), count, spec.split_seed, leave=1, least=0)
        if not len(carved):
            raise DataProblem(
                f"{len(left)} training rows are too few to carve out a validation split", "Give a file: --validation"
            )
        tables["validation"] = rows.table.select(carved.tolist())
        left = np.setdiff1d(left, carved)
        notes.append(f"{len(carved)} of {len(rows.table)} training rows carved out for validation")
    if spec.limit is not None and spec.limit < len(left):
        if spec.limit < len(rows.labels) and labels is not None:
            raise DataProblem(f"a limit of {spec.limit} rows is too small", f"There are {len(rows.labels)} labels")
        notes.append(f"{spec.limit} of {len(left)} training rows used, as the limit says")
        left = draw(labels, left, spec.limit, spec.split_seed, leave=0, least=1)
    tables["train"] = rows.table if len(left) == len(rows.table) else rows.table.select(left.tolist())
    return {split: tables[split] for split in ("train", "validation", "test") if split in tables}, notes
