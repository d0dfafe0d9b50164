"""What is stale, what takes memory."""

from __future__ import annotations

from peft_lab.bench import Bench


class Checking(Bench):
    """Operations that look after the session."""
