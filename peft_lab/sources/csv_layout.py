"""How a CSV file is laid out: its separator and the names of its columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peft_lab.errors import DataProblem

SAMPLE = 256 * 1024
QUOTES = 'Texts that hold the separator or line breaks must stand between "quotes"'


def csv_layout(path: Path) -> tuple[str, list[str]]:
    """Return the separator and the column names, as pandas will read them.

    Raises:
        DataProblem: the rows have more fields than there are names, or pandas finds no names.
    """
    import pandas as pd

    with path.open(encoding="utf-8-sig", newline="") as file:
        sample = file.read(SAMPLE)
    whole = sample if len(sample) < SAMPLE else sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1]
    with _long_fields():
        separator = _separator(whole, prefer="\t" if path.suffix.lower() == ".tsv" else ",")
        rows = [row for row in csv.reader(io.StringIO(whole, newline=None), delimiter=separator) if row][:2]
    if len(rows) == 2 and len(rows[1]) > len(rows[0]):
        raise DataProblem(
            f"{path.name}: the first row has {len(rows[1])} fields, the line with the names has {len(rows[0])}",
            f'Put texts that hold {separator!r} between "quotes"',
        )
    try:
        names = pd.read_csv(path, sep=separator, encoding="utf-8-sig", nrows=0).columns
    except ValueError as error:  # pandas' EmptyDataError and ParserError
        raise DataProblem(f"{path.name} cannot be read: {str(error).splitlines()[0].rstrip('.')}", QUOTES) from error
    return separator, [str(name) for name in names]


@contextmanager
def _long_fields() -> Iterator[None]:
    """Python's csv module refuses fields over 128 kB; texts can be longer."""
    before = csv.field_size_limit(SAMPLE)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _separator(sample: str, prefer: str) -> str:
    """Return the one of ``, ; tab |`` that cuts most lines into as many fields as the first, at least two."""
    best, best_score = prefer, 0.0
    for separator in sorted(",;\t|", key=lambda mark: mark != prefer):
        widths = [len(row) for row in csv.reader(io.StringIO(sample, newline=None), delimiter=separator) if row]
        if not widths or widths[0] < 2:
            continue
        score = sum(width == widths[0] for width in widths) / len(widths)
        if score > best_score:
            best, best_score = separator, score
    return best
