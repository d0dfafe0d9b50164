"""Read tables from disk: CSV, TSV, JSON, JSON lines and parquet files, and folders of them."""

from __future__ import annotations

import codecs
import csv
import io
import re
import tempfile
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import DataProblem
from peft_lab.sources.quiet import quiet_datasets

if TYPE_CHECKING:
    import datasets

KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
}
READABLE = "CSV, TSV, JSON, JSON lines (.jsonl) and parquet can be read"
PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".npy", ".npz", ".joblib"}
IN_MEMORY = 64 * 1024 * 1024
"""Files up to this size are held in memory; larger ones are converted once, in the ``datasets`` cache, and mapped."""

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


def split_of(name: str) -> str | None:
    """Return the split that a file stem or hub split stands for: ``mine_train``, ``dev``, ``test-00000-of-00002``."""
    stem = re.sub(r"-\d+-of-\d+$", "", name.lower())
    return SPLITS.get(stem) or SPLITS.get(re.split(r"[-_. ]", stem)[-1])


def read_file(path: Path) -> datasets.Dataset:
    """Read one file of rows."""
    _must_be_readable(path)
    kind = KINDS[path.suffix.lower()]
    if kind != "parquet":
        _must_be_utf8(path)
    if path.stat().st_size > IN_MEMORY:
        return _read(path, kind, {})
    with tempfile.TemporaryDirectory(prefix="peft-lab-") as cache:
        return _read(path, kind, {"cache_dir": cache, "keep_in_memory": True})


def read_folder(folder: Path) -> dict[str, datasets.Dataset]:
    """Read a folder that holds train, validation and test files."""
    from datasets import concatenate_datasets

    files = sorted(f for f in folder.iterdir() if f.is_file() and f.suffix.lower() in KINDS)
    found: dict[str, list[Path]] = {}
    for file in files:
        split = split_of(file.stem)
        if split:
            found.setdefault(split, []).append(file)
    if "train" not in found:
        there = _listed(f.name for f in files) or "no such files"
        raise DataProblem(f"folder {str(folder)!r} has no train file, but {there}", "Name one train.csv, or a file")
    for split, some in found.items():
        if len(some) > 1 and not all(re.search(r"-\d+-of-\d+$", f.stem) for f in some):
            names = _listed(f.name for f in some)
            raise DataProblem(f"folder {str(folder)!r} has {len(some)} {split} files: {names}", "Name the file to use")
    return {split: concatenate_datasets([read_file(f) for f in some]) for split, some in found.items()}


def missing_file(path: Path) -> DataProblem:
    """Return the error for a file that is not there, with the nearest name in its folder."""
    if not path.parent.is_dir():
        return DataProblem(f"no file {str(path)!r}", f"There is no folder {str(path.parent)!r} either")
    names = sorted(
        f.name
        for f in path.parent.iterdir()
        if f.suffix.lower() in KINDS or (f.is_dir() and not path.suffix and not f.name.startswith("."))
    )
    close = get_close_matches(path.name, names, n=1, cutoff=0.5)
    if close:
        return DataProblem(f"no file {str(path)!r}", f"Did you mean {str(path.parent / close[0])!r}?")
    there = _listed(n for n in names if Path(n).suffix.lower() in KINDS)
    return DataProblem(f"no file {str(path)!r}", f"That folder has: {there}" if there else "That folder has no data")


def _must_be_readable(path: Path) -> None:
    if not path.is_file():
        raise missing_file(path)
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise DataProblem(f"{path.name} may hold code, so it is never loaded", "Save the rows as parquet or CSV")
    if suffix not in KINDS:
        raise DataProblem(f"{path.name}: {suffix or 'a file without an ending'} cannot be read", READABLE)
    if path.stat().st_size == 0:
        raise DataProblem(f"{path.name} is empty", "A first line with column names and rows below it are needed")


def _read(path: Path, kind: str, settings: Mapping[str, Any]) -> datasets.Dataset:
    from datasets import Dataset, Features, Value

    more: dict[str, Any] = {}
    reader: Any = {"csv": Dataset.from_csv, "json": Dataset.from_json, "parquet": Dataset.from_parquet}[kind]
    if kind == "csv":
        separator, columns = _csv_layout(path)
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
        raise DataProblem(f"{path.name} cannot be read: {_innermost(error)}", _advice(kind)) from error
    if len(table) == 0:
        raise _no_rows(path)
    names = {name: name.strip() for name in table.column_names if name != name.strip()}
    if names and len(set(names.values()) | set(table.column_names)) == len(names) + len(table.column_names):
        table = table.rename_columns(names)
    return table


def _no_rows(path: Path) -> DataProblem:
    return DataProblem(f"{path.name} has no rows", "At least two rows with different labels are needed")


def _csv_layout(path: Path) -> tuple[str, list[str]]:
    """Return the separator and the column names, as pandas will read them."""
    import pandas as pd

    with path.open(encoding="utf-8-sig", newline="") as file:
        sample = file.read(256 * 1024)
    whole = sample if len(sample) < 256 * 1024 else sample[: sample.rfind("\n") + 1]
    separator = _separator(whole, prefer="\t" if path.suffix.lower() == ".tsv" else ",")
    rows = [row for row in csv.reader(io.StringIO(whole), delimiter=separator) if row][:2]
    if len(rows) == 2 and len(rows[1]) > len(rows[0]):
        raise DataProblem(
            f"{path.name}: the first row has {len(rows[1])} fields, the line with the names has {len(rows[0])}",
            f'Put texts that hold {separator!r} between "quotes"',
        )
    try:
        names = pd.read_csv(path, sep=separator, encoding="utf-8-sig", nrows=0).columns
    except ValueError as error:  # pandas' EmptyDataError and ParserError
        raise DataProblem(f"{path.name} cannot be read: {_innermost(error)}", _advice("csv")) from error
    return separator, [str(name) for name in names]


def _separator(sample: str, prefer: str) -> str:
    """Return the one of ``, ; tab |`` that cuts most lines into as many fields as the first, at least two."""
    best, best_score = prefer, 0.0
    for separator in sorted(",;\t|", key=lambda mark: mark != prefer):
        try:
            widths = [len(row) for row in csv.reader(io.StringIO(sample), delimiter=separator) if row]
        except csv.Error:  # a field over csv's limit: stray quotes
            continue
        if not widths or widths[0] < 2:
            continue
        score = sum(width == widths[0] for width in widths) / len(widths)
        if score > best_score:
            best, best_score = separator, score
    return best


def _must_be_utf8(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise _encoding_problem(path, "utf-16")
        file.seek(0)
        decoder, lines = codecs.getincrementaldecoder("utf-8")(), 1
        while block := file.read(1 << 20):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                lines += error.object[: error.start].count(b"\n")
                rest = block + file.read(1 << 20)
                raise _encoding_problem(path, _likely(rest), lines) from None
            lines += block.count(b"\n")
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise _encoding_problem(path, "cp1252", lines) from None


def _likely(block: bytes) -> str:
    try:
        block.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _encoding_problem(path: Path, likely: str, line: int = 1) -> DataProblem:
    return DataProblem(
        f"{path.name} is not UTF-8 (line {line}); it looks like {likely}",
        f"Convert it: Path('new{path.suffix}').write_text(Path({path.name!r}).read_text({likely!r}), 'utf-8')",
    )


def _advice(kind: str) -> str:
    return {
        "csv": 'Texts that hold the separator or line breaks must stand between "quotes"',
        "json": "One object a line, or a list of objects, with the same kind of value in each column",
        "parquet": "Write it again, for example with DataFrame.to_parquet",
    }[kind]


def _innermost(error: BaseException) -> str:
    """Return the first line of the error that began it all: the readers wrap what went wrong."""
    while error.__cause__ or (error.__context__ and not error.__suppress_context__):
        error = error.__cause__ or error.__context__ or error
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]


def _listed(names: Iterable[str], most: int = 8) -> str:
    some = list(names)
    return ", ".join(some[:most]) + (", ..." if len(some) > most else "")
