"""Numbers in a grid, tinted by their size: as HTML to be read, and as buttons to be pressed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ipywidgets as widgets

from peft_lab.present.style import BORDER, MOST_TINT, PLAIN, esc, plain, tint
from peft_lab.present.table import Table, width
from peft_lab.texts import panels as texts

LEVELS = 6
"""Strengths of a tint that can be told apart."""
NARROWEST, LETTER = 40, 7
"""Pixels of a column of buttons, and of a letter in one."""
SCROLLS = "overflow-x:auto;width:0;min-width:100%"
"""A wide table scrolls by itself, and does not make what stands around it as wide."""


@dataclass(frozen=True)
class Cell:
    """A number, or a word, in a grid."""

    text: str
    strength: float = 0.0
    """Of its tint, from -1 to 1; below 0 in another colour. The text says the same without it."""
    title: str = ""
    """What it means, in a sentence."""
    live: bool = True
    """Whether pressing it leads somewhere."""


Cells = Sequence[Sequence[Cell | None]]
"""Rows of cells; None where there is nothing."""


def level_of(strength: float) -> int:
    """The strength of a tint as a whole number from ``-LEVELS`` to ``LEVELS``; never 0 for what is not 0."""
    if not math.isfinite(strength) or strength == 0:
        return 0
    level = min(LEVELS, math.ceil(abs(strength) * LEVELS))
    return level if strength > 0 else -level


def tint_of(level: int) -> str:
    """A colour for the background of a level, under text of whatever colour the page has."""
    return tint("blue" if level > 0 else "vermilion", MOST_TINT * abs(level) / LEVELS) if level else ""


def grid_html(rows: Sequence[str], columns: Sequence[str], cells: Cells, *, corner: str) -> str:
    """The grid as a table. ``corner`` says what rows and columns are."""
    edge = f"border:1px solid {BORDER};padding:2px 5px;white-space:nowrap"
    head = f"{edge};font-weight:normal;text-align:left;background:none"
    names = "".join(f'<th style="{head};text-align:center;white-space:normal">{esc(name)}</th>' for name in columns)
    body = "".join(
        f'<tr style="background:none"><th style="{head}">{esc(name)}</th>'
        + "".join(_td(cell, edge) for cell in row)
        + "</tr>"
        for name, row in zip(rows, cells, strict=True)
    )
    return (
        f'<div {PLAIN} style="{SCROLLS};line-height:1.4"><table style="border-collapse:collapse;margin:4px 0;'
        f'font-size:90%"><thead><tr style="background:none"><th style="{head}">{esc(corner)}</th>{names}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _td(cell: Cell | None, edge: str) -> str:
    if cell is None:
        return f'<td style="{edge};border-style:dotted"></td>'
    background = tint_of(level_of(cell.strength)) or "none"
    title = f' title="{esc(cell.title)}"' if cell.title else ""
    return f'<td{title} style="{edge};text-align:center;background:{background}">{esc(cell.text)}</td>'


def grid_text(rows: Sequence[str], columns: Sequence[str], cells: Cells, *, corner: str) -> str:
    """The grid as text in columns."""
    lines = [
        [name, *("" if cell is None else cell.text for cell in row)] for name, row in zip(rows, cells, strict=True)
    ]
    return str(Table("", (corner, *columns), lines, align="<" + ">" * len(columns)))


class ButtonGrid:
    """The grid as buttons, which Tab and Enter reach as well.

    Args:
        press: called with the row and the column of a button that was pressed.
    """

    def __init__(self, press: Callable[[int, int], None]) -> None:
        self.press = press
        self.widget = widgets.GridBox(
            layout={"grid_gap": "2px", "overflow": "auto", "align_items": "center", "margin": "2px 0"}
        )
        # One layout, and a style for each strength, serve all buttons: hundreds of each would be made and sent.
        self._fit = widgets.Layout(width="auto", min_width="0", height="26px", margin="0", padding="0 1px")
        self._word = widgets.Layout(margin="0", width="auto")
        self._styles: dict[int, widgets.ButtonStyle] = {}
        self._shape: tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[bool, ...], ...]] | None = None
        self._buttons: dict[tuple[int, int], widgets.Button] = {}

    def fill(self, rows: Sequence[str], columns: Sequence[str], cells: Cells, *, corner: str) -> None:
        """Show other numbers. Buttons are kept where the grid has the same rows and columns."""
        longest = max((width(cell.text) for row in cells for cell in row if cell is not None), default=0)
        least = max(NARROWEST, LETTER * longest + 8)
        self.widget.layout.grid_template_columns = f"fit-content(38%) repeat({len(columns)}, minmax({least}px, 1fr))"
        shape = ((corner, *rows), tuple(columns), tuple(tuple(cell is not None for cell in row) for row in cells))
        if shape != self._shape:
            self._build(rows, columns, cells, corner)
            self._shape = shape
            return
        for (row, column), button in self._buttons.items():
            cell = cells[row][column]
            assert cell is not None
            with button.hold_sync():
                for name, value in self._looks(cell).items():
                    setattr(button, name, value)

    def _build(self, rows: Sequence[str], columns: Sequence[str], cells: Cells, corner: str) -> None:
        old = self.widget.children
        self._buttons = {}
        children: list[widgets.Widget] = [
            self._label(corner, small=True),
            *(self._label(name, small=True) for name in columns),
        ]
        for number, name in enumerate(rows):
            children.append(self._label(name))
            for column, cell in enumerate(cells[number]):
                children.append(self._label("") if cell is None else self._button(number, column, cell))
        self.widget.children = children
        for one in old:  # their layout and style are shared, and stay
            if isinstance(one, widgets.HTML):
                one.style.close()
            one.close()

    def _label(self, text: str, small: bool = False) -> widgets.HTML:
        align = "text-align:center;font-size:85%;overflow-wrap:anywhere" if small else ""
        return widgets.HTML(
            f'<div style="line-height:1.2;padding:0 4px;{align}">{esc(text)}</div>' if text else "", layout=self._word
        )

    def _button(self, row: int, column: int, cell: Cell) -> widgets.Button:
        button = widgets.Button(layout=self._fit, **self._looks(cell))
        button.on_click(lambda _: self.press(row, column))
        self._buttons[row, column] = button
        return button

    def _looks(self, cell: Cell) -> dict[str, object]:
        level = level_of(cell.strength)
        if level not in self._styles:
            self._styles[level] = widgets.ButtonStyle(button_color=tint_of(level) or "transparent", font_size="12px")
        return {
            "description": plain(cell.text),
            "tooltip": plain(cell.title),
            "disabled": not cell.live,
            "style": self._styles[level],
        }

    def close(self) -> None:
        """Give up what buttons share; the rest goes with the widget."""
        for one in (self._fit, self._word, *self._styles.values()):
            one.close()


def layer_words(name: str) -> str:
    """``layer 3``; what is no number is a name by itself."""
    return texts.LAYER_NUMBER.format(number=name) if name.isdigit() else plain(name)
