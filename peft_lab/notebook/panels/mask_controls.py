"""The widgets of the explorer of masks, and which of them are in sight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as widgets

from peft_lab.notebook.panels.choosing import ROW, dropdown, listed
from peft_lab.notebook.panels.grids import ButtonGrid
from peft_lab.notebook.panels.mask_numbers import span
from peft_lab.present.masks import Tensor
from peft_lab.present.picture import Picture
from peft_lab.present.style import esc, plain
from peft_lab.texts import panels as texts

if TYPE_CHECKING:
    from peft_lab.run import Run

SIDES: Final = (16, 32, 64, 128)
"""Rows and columns of cells that can be shown at once."""
SIDE: Final = 64
Press = Callable[[int, int], None]


class MaskControls:
    """The widgets, and which of them are in sight."""

    def __init__(self, runs: Sequence[Run], group_pressed: Press, part_pressed: Press) -> None:
        pairs = [
            (texts.ONE_AGAINST.format(one=one.id, other=other.id), (one, other)) for one, other in combinations(runs, 2)
        ]
        singles = [(name, (run,)) for name, run in listed(runs)]
        self.whose = dropdown([*pairs, *singles], texts.WHOSE, texts.WHOSE_TIP)
        numbers = [(texts.DIFFERENCE, False), (texts.OVERLAP, True)]
        self.measure = dropdown(numbers, texts.NUMBERS, texts.NUMBERS_TIP)
        self.tensor = dropdown([(texts.WHOLE_MODEL, "")], texts.TENSOR, texts.TENSOR_TIP)
        self.tensor.layout.max_width = "100%"
        slim = {"width": "auto", "max_width": "100%", "margin": "0 4px 0 0"}
        self.home = widgets.Button(description=texts.WHOLE_MODEL, tooltip=texts.HOME_TIP, icon="home", layout=slim)
        self.back = widgets.Button(tooltip=texts.BACK_TIP, icon="angle-left", layout=slim)
        self.here = widgets.HTML()
        self.crumbs = widgets.HBox([self.home, self.back, self.here], layout=ROW)
        self.caption, self.image, self.hint = (widgets.HTML() for _ in range(3))
        self.groups, self.pieces = ButtonGrid(group_pressed), ButtonGrid(part_pressed)
        wide: dict[str, Any] = {"continuous_update": False, "style": {"description_width": "auto"}}
        wide |= {"layout": {"width": "360px", "max_width": "100%"}}
        self.row = widgets.IntSlider(description=texts.ROWS_FROM, tooltip=texts.SLIDER_TIP, min=0, max=0, **wide)
        self.column = widgets.IntSlider(description=texts.COLUMNS_FROM, tooltip=texts.SLIDER_TIP, min=0, max=0, **wide)
        self.side = dropdown([(str(side), side) for side in SIDES], texts.SIDE, texts.SIDE_TIP)
        self.side.value = SIDE
        self.near = widgets.HBox([self.row, self.column, self.side], layout=ROW)
        self.whose.layout.display = None if len(runs) > 1 else "none"
        top = widgets.HBox([self.whose, self.measure, self.tensor], layout=ROW)
        far, near = self.groups.widget, self.pieces.widget
        self.widget = widgets.VBox([top, self.crumbs, self.caption, far, self.near, self.image, self.hint, near])

    def arrange(
        self, *, pair: bool, title: str, said: str, picture: Picture | None,
        name: str | None, window: tuple[slice, slice] | None, tensor: Tensor | None,
    ) -> None:  # fmt: skip
        """Show where we are, and what leads on from there."""
        divided = name is not None and window is None
        shown = {
            self.measure: bool(pair and title),
            self.crumbs: name is not None,
            self.back: window is not None,
            self.caption: picture is None,
            self.groups.widget: bool(title),
            self.near: window is not None,
            self.image: picture is not None,
            self.hint: bool(title) or divided,
            self.pieces.widget: divided,
        }
        kinds = {self.crumbs: "flex", self.near: "flex", self.groups.widget: "grid", self.pieces.widget: "grid"}
        for widget, visible in shown.items():
            widget.layout.display = kinds.get(widget) if visible else "none"
        heading = f'<div style="margin-top:6px"><b>{esc(title)}</b></div>' if title else ""
        self.caption.value = f'<div style="line-height:1.4">{esc(said)}{heading}</div>'
        part = texts.PRESS_PART.format(numbers=texts.STRIP_DIFFERENCE if pair else texts.OF_PART)
        self.image.value = picture._repr_html_() if picture is not None else ""
        self.hint.value = f'<div style="line-height:1.4">{esc(texts.PRESS_GROUP if title else part)}</div>'
        self.tensor.value = name or ""
        if window is not None and tensor is not None:
            self._place(window, tensor)
        where = texts.CELLS.format(rows=span(window[0]), columns=span(window[1])) if window else plain(name or "")
        self.here.value = f'<b style="overflow-wrap:anywhere">{esc(where)}</b>'
        self.back.description = plain(name or "")

    def _place(self, window: tuple[slice, slice], tensor: Tensor) -> None:
        for slider, part, end in zip((self.row, self.column), window, (tensor.rows, tensor.columns), strict=True):
            size = part.stop - part.start
            slider.layout.display = None if end > size else "none"
            slider.value = 0  # so that no bound is ever on its wrong side
            slider.max = end - size
            slider.step = max(1, size // 4)
            slider.value = part.start
