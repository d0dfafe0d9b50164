"""Every sentence that cards, tables, panels and views show, so that a translation can follow.

One module for each place where a reader meets them. A text is a whole sentence, or a name that stands alone, with named
places for what is put in: their order is the translator's. Others import a module and take the text from it when they
show it (``texts.NOTHING_YET``), so another language can be put in its place at any time. ``docs/translating.md`` says
what stands elsewhere, and why.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counted:
    """A text that depends on a number, which is ``{count}`` in it. Languages without a plural give one form twice."""

    one: str
    more: str

    def format(self, count: float, shown: str = "", **places: object) -> str:
        """The form for this number, with all places filled; ``shown`` is how the number is written."""
        return (self.one if count == 1 else self.more).format(count=shown or f"{count:,}", **places)
