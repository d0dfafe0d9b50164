"""A text shown as it is: lines stay lines, and nothing in it is read as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peft_lab.present.style import PLAIN, esc, plain, visible


@dataclass(frozen=True)
class Verbatim:
    """A text of many lines under a title."""

    title: str
    text: str
    note: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines, with invisible characters written out."""
        return [visible(line.expandtabs(4)) for line in self.text.splitlines()]

    def __str__(self) -> str:
        around = [[plain(text)] if text else [] for text in (self.title, self.note)]
        return "\n".join((*around[0], *self.lines, *around[1]))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        title, note = (
            f'<div style="margin:4px;{style}">{esc(text)}</div>' if text else ""
            for text, style in ((self.title, "font-weight:bold"), (self.note, ""))
        )
        body = "\n".join(esc(line) for line in self.text.expandtabs(4).splitlines())
        return (
            f'<div {PLAIN} style="overflow-x:auto;line-height:1.4">{title}'
            f'<pre style="margin:4px;white-space:pre;background:none">{body}</pre>{note}</div>'
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": str(self)}
