"""Read tables from disk: CSV, TSV, JSON, JSON lines, parquet and CoNLL files, and folders of them."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import DataProblem
from peft_lab.files import sha256_of
from peft_lab.sources.conll import read_conll
from peft_lab.sources.csv_layout import QUOTES, csv_layout
from peft_lab.sources.inspection import KINDS, listed, look_at, must_be_utf8, one_line_for
from peft_lab.sources.json_faults import json_fault, must_be_rows
from peft_lab.sources.nested_json import holds_messages, read_nested
from peft_lab.sources.quiet import quiet_datasets

if TYPE_CHECKING:
    import datasets
    import numpy as np

IN_MEMORY = 64 * 1024 * 1024
"""Files up to this size are held in memory; larger ones are converted once, in the ``datasets`` cache, and mapped."""
BATCH = 10_000

SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Found:
    """A table as it was found."""

    table: datasets.Dataset
    files: tuple[str, ...] = ()
    """Arrow files that hold just these rows and columns, where the table is mapped from such."""
    notes: tuple[str, ...] = ()
    """What a person should know about how it was read."""
    groups: np.ndarray | None = None
    """Rows with the same number belong together and are never split up; None where each stands for itself."""

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[list[Any], ...]]:
        """Yield the values of some columns, some rows at a time.

        Files are read and not mapped: pages of a mapped file count as memory of this process once they were touched.
        """
        import datasets
        import pyarrow as pa

        kinds = [self.table.features[name] for name in columns]
        if self.files and all(isinstance(kind, datasets.Value | datasets.ClassLabel) for kind in kinds):
            rows = 0
            for file in self.files:
                with pa.OSFile(file) as source, pa.ipc.open_stream(source) as stream:
                    for batch in stream:
                        rows += batch.num_rows
                        yield tuple(batch.column(name).to_pylist() for name in columns)
            assert rows == len(self.table), "the files do not hold the rows of the table"
            return
        for some in self.table.select_columns(list(columns)).iter(BATCH):
            yield tuple(some[name] for name in columns)


def split_of(name: str) -> str | None:
    """Return the split that a file stem or hub split stands for: ``mine_train``, ``dev``, ``test-00000-of-00002``.

    MNLI's ``validation_matched`` is its validation; ``validation_mismatched`` is of another kind of text, and none.
    """
    stem = re.sub(r"-\d+-of-\d+$", "", name.lower()).removesuffix("_matched")
    return SPLITS.get(stem) or SPLITS.get(re.split(r"[-_. ]", stem)[-1])


def read_file(path: Path) -> Found:
    """Read one file of rows.

    Raises:
        DataProblem: it is not there, may not be read, is not what its name says, or changed meanwhile.
    """
    with one_line_for(path):
        kind = look_at(path)
        before = _stamp(path)
        digest = sha256_of(path) if kind == "parquet" else must_be_utf8(path)
        found = _read_by_size(path, kind, digest)
        if _stamp(path) != before:
            raise DataProblem(f"{path.name} changed while it was read", "Read it again once it is written")
    return found


def read_folder(folder: Path) -> tuple[dict[str, Found], list[str]]:
    """Read a folder that holds train, validation and test files; return them by split, with notes."""
    from datasets import concatenate_datasets

    with one_line_for(folder):
        files = sorted(f for f in folder.iterdir() if f.is_file() and f.suffix.lower() in KINDS)
    parts: dict[str, list[Path]] = {}
    for file in files:
        split = split_of(file.stem)
        if split:
            parts.setdefault(split, []).append(file)
    if "train" not in parts:
        there = f"has no train file, only: {listed(f.name for f in files)}" if files else "has no file of rows"
        raise DataProblem(f"folder {str(folder)!r} {there}", "Name one train.csv, or name the file to use")
    for split, some in parts.items():
        if len(some) > 1 and not all(re.search(r"-\d+-of-\d+$", f.stem) for f in some):
            names = listed(f.name for f in some)
            raise DataProblem(f"folder {str(folder)!r} has {len(some)} {split} files: {names}", "Name the file to use")
    splits = {}
    for split, some in parts.items():
        found = [read_file(f) for f in some]
        whole = concatenate_datasets([part.table for part in found])
        mapped = sum((part.files for part in found), ()) if all(p.files for p in found) else ()
        splits[split] = Found(whole, mapped, sum((part.notes for part in found), ()))
    unused = [f.name for f in files if split_of(f.stem) is None]
    return splits, [f"files not used: {listed(unused)}"] if unused else []


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _read_by_size(path: Path, kind: str, digest: str) -> Found:
    import datasets

    if kind == "conll":
        table, notes = _words_with_tags(path)
        if not len(table):
            raise _no_rows(path)
        return Found(table, notes=tuple(notes))
    if kind == "json" and holds_messages(path):
        return Found(read_nested(path))
    if path.stat().st_size > IN_MEMORY:
        # Named by content: the conversion of a file that has since been written anew is never taken for it.
        place = Path(datasets.config.HF_DATASETS_CACHE) / "peft_lab" / digest[:32]
        # Opening a mapped file touches the head of each batch, and the system maps what is around it: few, large ones.
        return _read(path, kind, {"cache_dir": str(place), "writer_batch_size": BATCH})
    with tempfile.TemporaryDirectory(prefix="peft-lab-") as cache:
        return _read(path, kind, {"cache_dir": cache, "keep_in_memory": True})


def _words_with_tags(path: Path) -> tuple[datasets.Dataset, list[str]]:
    """A CoNLL file; what is named .txt may be anything, and is refused with what to do."""
    try:
        return read_conll(path)
    except DataProblem as error:
        if path.suffix.lower() != ".txt":
            raise
        hint = "If it holds something else, name it so: .csv, .tsv, .json or .jsonl"
        raise DataProblem(f"{error.message}; .txt is read as words with tags", hint) from error


def _read(path: Path, kind: str, settings: Mapping[str, Any]) -> Found:
    from datasets import Dataset, Features, Value

    more: dict[str, Any] = {}
    reader: Any = {"csv": Dataset.from_csv, "json": Dataset.from_json, "parquet": Dataset.from_parquet}[kind]
    if kind == "csv":
        separator, columns = csv_layout(path)
        # Everything as text and only an empty cell is missing: "NA", "None", "007" are labels like any other.
        more = {
            "sep": separator,
            "encoding": "utf-8-sig",
            "features": Features({name: Value("string") for name in columns}),
            "keep_default_na": False,
            "na_values": [""],
        }
    try:
        with quiet_datasets():
            table: datasets.Dataset = reader(str(path), **more, **settings)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # what the readers raise is not one family
        if "corresponds to no data" in str(error):
            raise _no_rows(path) from None
        cause = _innermost(error)
        if isinstance(cause, OSError):  # the disk is full, say: nothing is wrong with the rows
            raise cause from error
        said = (json_fault(path) if kind == "json" else "") or _first_line(cause)
        raise DataProblem(f"{path.name} cannot be read: {said}", _advice(kind)) from error
    if len(table) == 0:
        raise _no_rows(path)
    if kind == "json" and len(table) == 1:
        must_be_rows(path, table[0])
    files = tuple(file["filename"] for file in table.cache_files)
    names = {name: name.strip() for name in table.column_names if name != name.strip()}
    if names and len(set(names.values()) | set(table.column_names)) == len(names) + len(table.column_names):
        table, files = table.rename_columns(names), ()
    return Found(table, files)


def _no_rows(path: Path) -> DataProblem:
    return DataProblem(f"{path.name} has no rows", "At least two rows with different labels are needed")


def _advice(kind: str) -> str:
    return {
        "csv": QUOTES,
        "json": "One object a line, or a list of objects, with the same kind of value in each column",
        "parquet": "Write it again, for example with DataFrame.to_parquet",
    }[kind]


def _innermost(error: BaseException) -> BaseException:
    """Return the error that began it all: the readers wrap what went wrong."""
    while error.__cause__ or (error.__context__ and not error.__suppress_context__):
        error = error.__cause__ or error.__context__ or error
    return error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
