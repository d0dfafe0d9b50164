"""Cells and the runs their outputs show: in a saved notebook, and in this session."""

from __future__ import annotations

import html
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from peft_lab.errors import PeftLabError
from peft_lab.present.style import DASH
from peft_lab.run import Run
from peft_lab.texts import checks as texts

TITLE = re.compile(r"^(run-\d+)  \S (\w+)( at step .*)?$")
NAMED = re.compile(r"(?<![\w./-])run-\d+\b")
PRINTS = re.compile(r"\b(recipe|data|model|code) ([0-9a-f]{7,64})\b")
ENDED = re.compile(r"\bended\s+(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00)")
OURS = re.compile(r"%peft\b|\blab\b")
LISTS = re.compile(r"^\s*%%?peft(?:\s+(?:runs|ps|status|check|free|config|stop)\b|\s*$)", re.MULTILINE)
"""Commands whose outputs name runs and show none."""


@dataclass(frozen=True)
class Shown:
    """A run as an output shows it; what the output does not say is empty."""

    run: str
    status: str = ""
    ended: str = ""
    prints: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints, or how they begin."""


@dataclass(frozen=True)
class Cell:
    """A code cell and the runs it shows."""

    source: str
    count: int | None = None
    """Of its execution: the number in ``In[3]``."""
    shown: tuple[Shown, ...] = ()
    id: str = ""
    place: int = 0
    """Its place among the code cells of the notebook, from 1; 0 where it is in none."""
    here: bool = False
    """Whether this kernel ran it."""
    when: float = 0.0
    """When it ran, in seconds since 1970, where that is known."""

    @property
    def name(self) -> str:
        """What people call it."""
        if self.here and self.count:
            return f"In[{self.count}]"
        return texts.CELL_NUMBER.format(number=self.place) if self.place else DASH


class NotebookUnreadable(PeftLabError):
    """A file that is no notebook."""


def shown_of(run: Run) -> Shown:
    """A run as its card shows it now."""
    return Shown(run.id, run.status, run.record.get("ended") or "", dict(run.record.get("fingerprints") or {}))


# --- the saved notebook -----------------------------------------------------------------------------------------------


def notebook_of(names: Mapping[str, Any]) -> Path | None:
    """The file of the notebook that this kernel belongs to, as the front end tells it; None where it does not."""
    for told in (names.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME")):
        for path in (Path(str(told)), Path(str(told)).name) if told else ():
            if str(path).endswith(".ipynb") and Path(path).is_file():
                return Path(path)
    return None


def read_notebook(path: Path) -> list[Cell]:
    """The code cells of a notebook file, in order.

    Raises:
        NotebookUnreadable: it is not there, or is no notebook.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        return [_cell(cell, place) for place, cell in enumerate(code, 1)]
    except OSError as error:
        raise NotebookUnreadable(f"{path.name} cannot be read: {error.strerror or error}", "Save it first") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotebookUnreadable(f"{path.name} is no notebook of format 4", "Save it again with Jupyter") from error


def _cell(cell: Mapping[str, Any], place: int) -> Cell:
    source = _joined(cell["source"])
    shown: dict[str, Shown] = {}
    names_count = OURS.search(source) and not LISTS.search(source)
    for output in cell["outputs"]:
        data = output.get("data", {})
        found = shown_in(_joined(data.get("text/plain")), _joined(data.get("text/html")))
        shown |= {one.run: one for one in found if one.status or names_count}
    times = (cell.get("metadata") or {}).get("execution") or {}
    return Cell(
        source=source,
        count=cell.get("execution_count"),
        shown=tuple(shown.values()),
        id=cell.get("id") or "",
        place=place,
        when=_seconds(times.get("shell.execute_reply") or times.get("iopub.status.idle") or ""),
    )


def shown_in(text: str, markup: str = "") -> Iterator[Shown]:
    """The runs that an output shows: one with what its card says, or those that a picture or a table names."""
    title = TITLE.match(text.partition("\n")[0])
    if title is None:
        yield from (Shown(name) for name in dict.fromkeys(NAMED.findall(text)))
        return
    words = html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r'"data:[^"]*"', "", markup)))
    said = text if PRINTS.search(text) else words
    ended = ENDED.search(text) or ENDED.search(words)
    yield Shown(title[1], title[2], ended[1] if ended else "", dict(PRINTS.findall(said)))


def _joined(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text or "")


def _seconds(date: str) -> float:
    from datetime import datetime

    try:
        return datetime.fromisoformat(date).timestamp()
    except ValueError:
        return 0.0


# --- this session -----------------------------------------------------------------------------------------------------


class Session:
    """The cells with a ``%peft`` that this kernel ran, by execution count, and what has been read to compare."""

    def __init__(self) -> None:
        self.cells: dict[int, Cell] = {}
        self.inputs: Mapping[int, str] = {}
        """The text of every cell that this kernel ran, by execution count."""
        self.known: dict[str, tuple[Any, str]] = {}
        """Fingerprints of data with the state of the files when they had it."""

    def ran(self, count: int, source: str, cell_id: str = "") -> None:
        """A cell runs."""
        if count not in self.cells or self.cells[count].source != source:
            self.cells[count] = Cell(source, count, id=cell_id, here=True, when=time.time())

    @property
    def all_cells(self) -> list[Cell]:
        """All cells that this kernel ran, those without a ``%peft`` too, as they may choose in Python."""
        typed = {count: Cell(source, count, here=True) for count, source in self.inputs.items()}
        return [cell for _, cell in sorted((typed | self.cells).items())]

    def showed(self, count: int, shown: Shown) -> None:
        """It showed a run."""
        cell = self.cells.get(count)
        if cell is not None:
            latest = {one.run: one for one in (*cell.shown, shown)}
            self.cells[count] = replace(cell, shown=tuple(latest.values()), when=time.time())


def together(saved: Sequence[Cell], session: Session, saved_at: float = 0.0) -> list[Cell]:
    """The cells of a notebook with what this session knows of them, in the notebook's order.

    Args:
        saved_at: when the notebook was saved. Cells of this session that it lacks follow where they ran after that.
    """
    if not saved:
        return _latest(session.all_cells)
    found: list[Cell] = []
    met: set[int | None] = set()
    for cell in saved:
        same = [one for one in session.cells.values() if _is_same(cell, one)]
        met.update(one.count for one in same)
        if not same:
            found.append(cell)
            continue
        last = max(same, key=lambda one: one.count or 0)
        source = cell.source if last.count == cell.count else last.source  # else it was run again and not saved
        found.append(replace(last, source=source, place=cell.place))
    behind = [one for one in session.cells.values() if one.count not in met and one.when > saved_at]
    return [*found, *(one for one in _latest(behind) if one.shown)]


def _is_same(saved: Cell, one: Cell) -> bool:
    if saved.id and one.id:
        return saved.id == one.id
    runs = {shown.run for shown in saved.shown} & {shown.run for shown in one.shown}
    return saved.count == one.count and (saved.source.strip() == one.source.strip() or bool(runs))


def _latest(cells: Sequence[Cell]) -> list[Cell]:
    """Without those that were run again later."""
    last = {cell.id or cell.source.strip(): cell for cell in cells}
    return [cell for cell in cells if last[cell.id or cell.source.strip()] is cell]
