"""What a training would change and take, before it."""

from __future__ import annotations

from peft_lab.bench import Bench


class Planning(Bench):
    """Operations that look ahead."""
