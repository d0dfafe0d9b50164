"""What a study came to, row by row: what statistics, tables, reports and trackers share. Plain data, read from disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

UNTRAINED, HEAD = "untrained", "head"
BASELINES = (UNTRAINED, HEAD)
"""The head as it was drawn, under the base model as it came; and the head alone trained."""
FINISHED, FAILED, STOPPED, WAITING, RUNNING = STATUSES = ("finished", "failed", "stopped", "waiting", "running")


@dataclass(frozen=True)
class Row:
    """One cell of a study as it came out: a finished run, or why there is none."""

    method: str
    """As it is shown: ``lora``, ``sparse+anchor``, ``prefix length=24``; or a baseline."""
    examples: int
    """Training rows used."""
    asked: str
    """How many were asked for: ``100``, ``30 %``, ``all``."""
    budget: float | None
    """Seconds of training allowed; None: all steps."""
    seed: int
    status: str
    """One of :data:`STATUSES`."""
    headline: str = ""
    """The score that decides, higher is better."""
    test: Mapping[str, float] = field(default_factory=dict)
    """Scores on the test split."""
    validation: Mapping[str, float] = field(default_factory=dict)
    learning_rate: float | None = None
    cost: Mapping[str, Any] = field(default_factory=dict)
    """As ``Run.cost`` has it: ``trainable``, ``total``, ``seconds``, ``peak_memory``, ``bytes_on_disk``, ..."""
    steps: tuple[int, int] | None = None
    """Done, and planned."""
    error: str = ""
    """Why it failed, in one line."""
    path: str = ""
    """The run's folder."""
    swept: tuple[float, ...] = ()
    """Learning rates that were tried on validation for it, with the first seed; empty without a sweep."""


@dataclass(frozen=True)
class StudyRows:
    """All rows of a study that count: learning rates that lost on validation are not among them."""

    name: str
    plan: Mapping[str, Any]
    """What was asked, as JSON data."""
    rows: tuple[Row, ...]
    baselines: tuple[str, ...] = BASELINES
