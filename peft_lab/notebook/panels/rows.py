"""How controls and pages stand in a panel of any width."""

from __future__ import annotations

import ipywidgets as widgets

from peft_lab.notebook.panels.choosing import ROW


def row(*inside: widgets.Widget) -> widgets.HBox:
    """Controls side by side, as far as there is room; the others below."""
    return widgets.HBox(inside, layout={**ROW, "width": "100%", "grid_gap": "0 12px"})


def fit(widget: widgets.DOMWidget, **layout: str) -> None:
    """Change the layout that a widget has. Another one in its place would leave the first behind as a model."""
    for name, value in layout.items():
        setattr(widget.layout, name, value)


def page(**layout: str) -> widgets.HTML:
    """A page as wide as the cell, to be filled with what is :func:`contained`."""
    return widgets.HTML(layout={"width": "100%", "margin": "0", **layout})


def contained(html: str) -> str:
    """HTML that stays as wide as its widget: a table that is wider scrolls inside it instead of being cut off."""
    return f'<div style="width:0;min-width:100%">{html}</div>'
