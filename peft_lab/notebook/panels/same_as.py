"""What is chosen as a line and as code: to be copied; and a line that is typed there, for the form to follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

from peft_lab.bench import Bench
from peft_lab.errors import BadOption, PeftLabError
from peft_lab.notebook.panels.looks import FIELD, ROW, WRAP, marked
from peft_lab.notebook.panels.wording import Call, code_of, line_of, train_operation
from peft_lab.present.parts import line
from peft_lab.present.style import PLAIN, esc
from peft_lab.texts import panels as texts

COLUMNS = 34
"""Characters of a line that stand beside each other where the cell is narrow."""


class SameAs:
    """The line in a control that can be written into, the code beside it.

    Args:
        lab: who knows methods.
        fill: called with what a typed line says; what it raises is said below.
    """

    def __init__(self, lab: Bench, fill: Callable[..., None]) -> None:
        self.lab, self.fill = lab, fill
        self.box = widgets.Textarea(
            description=texts.LINE, tooltip=texts.LINE_TIP, continuous_update=False, rows=2, layout={"width": "auto"}
        )
        field = widgets.VBox([self.box], layout={"flex": "1 1 300px", "min_width": "0"})
        self.code, self.said = widgets.HTML(layout={"flex": "1 1 240px", "min_width": "0"}), widgets.HTML()
        row = marked(widgets.HBox([marked(field, FIELD), self.code], layout=WRAP), ROW)
        self.widget = widgets.VBox([row, self.said], layout={"width": "100%"})
        self.box.observe(self._typed, "value")

    def show(self, call: Call) -> None:
        """Say what a call is."""
        self.said.value = ""
        text, code = line_of(self.lab, call), code_of(self.lab, call)
        if text != self.box.value:
            rows = sum(1 + len(one) // COLUMNS for one in text.split("\n"))
            self.box.unobserve(self._typed, "value")
            self.box.value, self.box.rows = text, max(2, rows)
            self.box.observe(self._typed, "value")
        look = "white-space:pre-wrap;overflow-wrap:anywhere;user-select:all;line-height:1.4;padding:4px 0"
        self.code.value = (
            f'<div {PLAIN} style="line-height:1.5"><b style="font-weight:600">{esc(texts.CODE)}</b>'
            f'<div style="{look};font-family:monospace">{esc(code)}</div></div>'
        )

    def _typed(self, change: Any) -> None:
        try:
            self.fill(**understood(self.lab, str(change["new"])))
        except PeftLabError as error:
            self.said.value = line("✗", str(error), "vermilion")


def understood(lab: Bench, text: str) -> Mapping[str, Any]:
    """What a ``%peft train`` line, or a ``%%peft train`` cell, asks for: what ``Form.fill`` takes.

    Raises:
        PeftLabError: it is none, or says what the form cannot.
    """
    from peft_lab.notebook.parsing import Call as Asked
    from peft_lab.notebook.parsing import parse

    first, _, body = text.strip().partition("\n")
    magic, _, rest = first.partition(" ")
    if magic not in ("%peft", "%%peft"):
        raise BadOption(texts.NOT_A_TRAIN_LINE)
    whole = body if magic == "%%peft" else None
    asked = parse(rest, whole, {"train": train_operation()}, lambda: lab.host, lab.namespace)
    if not isinstance(asked, Asked) or asked.operation.name != "train":
        raise BadOption(texts.NOT_A_TRAIN_LINE)
    given = dict(asked.given)
    call = {name: given.pop(name, None) for name in ("methods", "model", "data")}
    for argument in asked.operation.arguments:
        if argument.name in given:
            raise BadOption(texts.NOT_IN_FORM.format(flag=argument.flag))
    return {**call, "settings": given}
