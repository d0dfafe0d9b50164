"""Keep, move, merge and undo what was trained."""

from __future__ import annotations

from peft_lab.bench import Bench


class Keeping(Bench):
    """Operations on trained adapters."""
