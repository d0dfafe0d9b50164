"""The lists that explorers are steered with, and how they stand in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as widgets

from peft_lab.present.style import plain
from peft_lab.texts import panels as texts

if TYPE_CHECKING:
    from peft_lab.run import Run

ROW: Final = {"display": "flex", "flex_flow": "row wrap", "align_items": "center"}


def dropdown(options: Sequence[tuple[str, Any]], label: str, tooltip: str) -> widgets.Dropdown:
    """A list of words and what they stand for. Nothing stands for None, which would leave it without a word."""
    return widgets.Dropdown(
        options=list(options),
        description=label,
        tooltip=tooltip,
        style={"description_width": "auto"},
        layout={"width": "auto", "max_width": "100%", "margin": "2px 12px 2px 2px"},
    )


def which_run(runs: Sequence[Run], hidden: bool = False) -> widgets.Dropdown:
    """A list of runs, of which one is shown; in sight where there is a choice."""
    chooser = dropdown(listed(runs), texts.OF_RUN, texts.OF_RUN_TIP)
    chooser.layout.display = "none" if hidden or len(runs) < 2 else None
    return chooser


def listed(runs: Sequence[Run]) -> list[tuple[str, Run]]:
    """Runs by what a person calls them."""
    return [(f"{run.id}, {plain(run.recipe.method)}", run) for run in runs]
