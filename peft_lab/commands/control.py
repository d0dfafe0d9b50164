"""Runs in progress: see them, stop them, wait for them."""

from __future__ import annotations

from peft_lab.bench import Bench


class Control(Bench):
    """Operations on runs that go on."""
