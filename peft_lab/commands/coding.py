"""The plain script that equals a run."""

from __future__ import annotations

from peft_lab.bench import Bench


class Coding(Bench):
    """Operations that lead out of peft_lab."""
