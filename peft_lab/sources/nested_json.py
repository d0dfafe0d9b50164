"""Read JSON files whose rows hold lists of objects, such as messages, each row as it stands in the file.

The fast reader makes one table of all objects: each would get the keys of all the others, with nothing in them, and a
list with different kinds of arguments would be refused. Here a cell with objects in it becomes their JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import DataProblem
from peft_lab.sources.conversation_layouts import TOOLS, is_messages
from peft_lab.sources.json_faults import json_fault

if TYPE_CHECKING:
    import datasets

LOOKED_AT = 20
START = 1 << 20
PIECE = 1000


def holds_messages(path: Path) -> bool:
    """Whether the first rows of a JSON file hold lists of messages, or tools."""
    return any(
        is_messages(value) or (name in TOOLS and isinstance(value, list | dict))
        for row in _first_rows(path)
        for name, value in row.items()
    )


def read_nested(path: Path) -> datasets.Dataset:
    """Read all rows; every column holds text, or nothing.

    Raises:
        DataProblem: it is no JSON, or a row is no object.
    """
    import datasets
    import pyarrow as pa
    from datasets.fingerprint import generate_random_fingerprint

    rows, names, seen = _rows(path), dict[str, None](), 0
    pieces: list[tuple[int, dict[str, Any]]] = []
    try:
        while some := list(islice(rows, PIECE)):
            for number, row in enumerate(some, seen + 1):
                if not isinstance(row, dict):
                    what = f"{path.name}: row {number} is {type(row).__name__}, not an object"
                    raise DataProblem(what, "One object a line, or a list of objects")
                names |= dict.fromkeys(row)
            cells = {name: pa.array([as_cell(row.get(name)) for row in some], pa.string()) for name in names}
            pieces.append((len(some), cells))
            seen += len(some)
    except RecursionError:
        raise DataProblem(f"{path.name} cannot be read: it is nested too deeply", "Is it the right file?") from None
    except ValueError as error:
        said = json_fault(path) or str(error).splitlines()[0]
        raise DataProblem(f"{path.name} cannot be read: {said}", "One object a line, or a list of objects") from error
    tables = [
        pa.table({name: cells.get(name, pa.nulls(count, pa.string())) for name in names}) for count, cells in pieces
    ]
    if not tables:
        raise DataProblem(f"{path.name} has no rows", "One object a line, or a list of objects, is needed")
    whole = datasets.table.InMemoryTable(pa.concat_tables(tables))
    return datasets.Dataset(whole, fingerprint=generate_random_fingerprint())


def as_cell(value: Any) -> str | None:
    """A value as a cell of text."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _first_rows(path: Path) -> list[dict[str, Any]]:
    """Some rows from the beginning; none where it is no JSON."""
    with path.open(encoding="utf-8-sig") as file:
        start = file.read(START)
    text = start.lstrip()
    if text[:1] != "[":
        found = []
        for line in islice((line for line in text.splitlines() if line.strip()), LOOKED_AT):
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError):  # cut off, or broken: the reader will say so
                break
    else:
        found = list(islice(_objects(text), LOOKED_AT))
        if not found and len(start) == START:  # a first row of more than a megabyte
            found = list(islice(_objects(path.read_text("utf-8-sig").lstrip()), 1))
    return [row for row in found if isinstance(row, dict)]


def _objects(text: str) -> Iterator[Any]:
    """The items of a JSON list one after another, up to where the text ends or is broken."""
    decoder, place = json.JSONDecoder(), 1
    while True:
        while text[place : place + 1].isspace() or text[place : place + 1] == ",":
            place += 1
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return
        yield value


def _rows(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig") as file:
        if file.read(START).lstrip()[:1] == "[":
            file.seek(0)
            yield from json.load(file)
            return
        file.seek(0)
        yield from (json.loads(line) for line in file if line.strip())
