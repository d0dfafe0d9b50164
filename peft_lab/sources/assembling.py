"""Put tables together from columns that stay where they are and some new ones, and from some of their rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from peft_lab.sources.quiet import quiet_datasets

if TYPE_CHECKING:
    import datasets
    import numpy as np

PIECE = 100_000


def some_rows(table: datasets.Dataset, numbers: np.ndarray) -> datasets.Dataset:
    """Return some rows of a table that has all of its own; ``Dataset.select`` would make a Python list of them."""
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset
    from datasets.fingerprint import generate_random_fingerprint

    places = pa.table({"indices": pa.array(numbers.view(np.uint64))})
    name = generate_random_fingerprint()
    return Dataset(table.data, info=table.info, split=table.split, indices_table=places, fingerprint=name)


def with_columns(table: datasets.Dataset, names: Mapping[str, str], new: Mapping[str, list[Any]]) -> datasets.Dataset:
    """Return a table with columns renamed and new values, in pieces, in place of some; the others are not copied."""
    import pyarrow as pa
    from datasets.fingerprint import generate_random_fingerprint

    with quiet_datasets():
        table = table.select_columns(list(names.values()))
        table = table.rename_columns({name: f"{role} found" if role in new else role for role, name in names.items()})
        for role, pieces in new.items():
            # A name of its own: otherwise the library would copy the column to hash it.
            table = table.add_column(role, pa.chunked_array(pieces), new_fingerprint=generate_random_fingerprint())
        return table.select_columns(list(names))


def column_with_gaps(values: np.ndarray, kept: np.ndarray | None, size: int, words: Any = None) -> list[Any]:
    """Return a column of ``size`` rows in pieces: ``values`` in the rows kept, nothing in the others.

    Args:
        kept: numbers of the rows that have a value, ascending; None means all.
        words: an Arrow array; values are then places in it.
    """
    import numpy as np
    import pyarrow as pa

    pieces = []
    for start in range(0, size, PIECE):
        length = min(PIECE, size - start)
        if kept is None:
            numbers = pa.array(values[start : start + length])
        else:
            first, last = np.searchsorted(kept, (start, start + length))
            piece, gaps = np.zeros(length, dtype=values.dtype), np.ones(length, dtype=bool)
            piece[kept[first:last] - start] = values[first:last]
            gaps[kept[first:last] - start] = False
            numbers = pa.array(piece, mask=gaps)
        # One array of words for all would pass the two gigabytes that its offsets can reach.
        pieces.append(numbers if words is None else words.take(numbers))
    return pieces
