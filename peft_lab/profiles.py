"""Settings that belong together under one name. Each is a setting like any other, and gives way to all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NONE = "none"


@dataclass(frozen=True)
class Profile:
    """Values of :data:`peft_lab.defaults.KEYS`, and training settings."""

    summary: str
    values: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


PROFILES: Mapping[str, Profile] = {
    "workshop": Profile(
        "a room of small machines: nothing from the network, a small model, one seed, a time budget for each training",
        {"model": "minilm", "seed": 0, "offline": True},
        {"max_seconds": 60.0},
    )
}
NAMES = (*PROFILES, NONE)
