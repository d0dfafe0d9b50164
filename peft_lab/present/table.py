"""A table that reads in a notebook, in a terminal and in a program."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peft_lab.present.style import BORDER, DASH, PLAIN, esc, plain, score
from peft_lab.texts import tables as texts

Cell = str | int | float | None
SHORT = 16
"""Characters that fit a narrow cell without a break."""


@dataclass(frozen=True)
class Table:
    """Rows under columns. ``align`` holds ``<``, ``>`` or ``^`` for each column; numbers go right by themselves."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    align: str = ""

    def to_pandas(self) -> Any:
        """The rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame([list(row) for row in self.rows], columns=list(self.columns))

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        cells = [[plain(name) for name in self.columns], *([_text(cell) for cell in row] for row in self.rows)]
        widths = [max(width(row[at]) for row in cells) for at in range(len(self.columns))]
        sides = self._sides()
        lines = ["  ".join(map(_pad, row, widths, sides)).rstrip() for row in cells]
        rule = "  ".join("─" * w for w in widths)
        around = ([plain(text)] if text else [] for text in (self.title, self.note))
        return "\n".join((*next(around), lines[0], rule, *lines[1:], *next(around)))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        sides = [{"<": "left", ">": "right", "^": "center"}[side] for side in self._sides()]
        edge = f"border:0;border-bottom:1px solid {BORDER};padding:4px 12px 4px 4px"
        head = "".join(
            f'<th style="{edge};white-space:pre-wrap;text-align:{side};font-weight:bold">{esc(name)}</th>'
            for name, side in zip(self.columns, sides, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f'<td style="{edge};white-space:{_wrap(text := _text(c))};text-align:{s}">{esc(text)}</td>'
                for c, s in zip(row, sides, strict=True)
            )
            + "</tr>"
            for row in self.rows
        )
        title = f'<div style="font-weight:bold;margin:4px">{esc(self.title)}</div>' if self.title else ""
        note = f'<div style="margin:4px">{esc(self.note)}</div>' if self.note else ""
        return (
            f'<div {PLAIN} style="overflow-x:auto;line-height:1.4">{title}'
            f'<table style="border-collapse:collapse;background:none;margin:0;font-size:100%">'
            f'<thead><tr style="background:none">{head}</tr></thead><tbody>{body}</tbody></table>{note}</div>'
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": str(self)}

    def _sides(self) -> list[str]:
        if self.align:
            return list(self.align)
        columns = [[row[at] for row in self.rows if row[at] is not None] for at in range(len(self.columns))]
        return [">" if cells and all(isinstance(c, (int, float)) for c in cells) else "<" for cells in columns]


def width(text: str) -> int:
    """Columns the text takes in a terminal: East Asian wide characters take two, combining marks none."""
    return sum(
        0
        if unicodedata.combining(c) or c in "\u200c\u200d\ufe0f"
        else 2
        if unicodedata.east_asian_width(c) in "WF"
        else 1
        for c in text
    )


def _text(cell: Cell) -> str:
    if cell is None:
        return DASH
    if isinstance(cell, bool):
        return texts.YES if cell else texts.NO
    if isinstance(cell, float):
        return score(cell)
    return f"{cell:,}" if isinstance(cell, int) else plain(cell)


def _wrap(text: str) -> str:
    """Names and numbers stay on one line: ``run-1`` would break at its hyphen."""
    return "nowrap" if len(text) <= SHORT else "pre-wrap"


def _pad(text: str, to: int, side: str) -> str:
    space = to - width(text)
    left = {"<": 0, ">": space, "^": space // 2}[side]
    return " " * left + text + " " * (space - left)
