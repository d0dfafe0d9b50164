"""How controls stand: labels above them, so that a narrow cell holds them too. Colours are those of the front end."""

from __future__ import annotations

from ipywidgets import HTML, DOMWidget

FIELD, ROW, LISTS = "peft-lab-field", "peft-lab-row", "peft-lab-lists"
WRAP = {"display": "flex", "flex_flow": "row wrap", "width": "100%"}
"""The layout of what stands beside each other where there is room."""
ARROW = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='18' height='18'%3E"
    "%3Cpath d='M5 7l4 4 4-4' fill='none' stroke='%23ddd' stroke-width='1.6'/%3E%3C/svg%3E"
)
ARROWS = f"""<style>[data-jp-theme-light="false"] :is(.{FIELD}, .{LISTS}) select {{
  appearance: none; background-image: url("{ARROW}"); background-repeat: no-repeat;
  background-position: right 3px center; background-size: 18px }}</style>"""
"""Arrows of lists in JupyterLab's dark theme, where those that widgets bring are dark on dark."""
SHEET = f"""<style>
.{FIELD} > .widget-inline-hbox:not(.widget-checkbox) {{ flex-direction: column; align-items: stretch; height: auto }}
.{FIELD} > .widget-inline-hbox:not(.widget-checkbox) > .widget-label {{
  text-align: left; width: auto !important; max-width: 100%; min-width: 0; height: auto; line-height: 1.5;
  font-weight: 600 }}
.{FIELD} select, .{FIELD} input[type=text] {{
  flex: 0 0 28px; width: 100%; max-width: 100%; box-sizing: border-box }}
.{FIELD} > .widget-checkbox .widget-label-basic {{ font-weight: 600 }}
.{FIELD} input::placeholder {{ color: inherit; opacity: .75; font-style: italic }}
.{FIELD} textarea {{ font-family: monospace; min-height: 2.6em; resize: vertical }}
.{ROW} {{ column-gap: 12px; row-gap: 6px }}
</style>{ARROWS}"""
"""Without it, as in a front end that takes style sheets out, labels stand left of their controls."""


def sheet() -> HTML:
    """The style sheet, to be put anywhere into what it is for."""
    return HTML(SHEET, layout={"display": "none"})


def marked(widget: DOMWidget, name: str) -> DOMWidget:
    """A widget with the name of its look."""
    widget.add_class(name)
    return widget
