"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass

from peft_lab.present.table import Table
from peft_lab.texts import checks as texts

OK, WARNING, FAILED = "ok", "warning", "failed"


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, what was found, and what to do about it."""

    what: str
    state: str
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Checked(Table):
    """The findings as a table. ``ok`` is False when one of them failed."""

    @property
    def ok(self) -> bool:
        """Whether everything that is needed works."""
        return all(row[1] != texts.STATES[FAILED] for row in self.rows)
