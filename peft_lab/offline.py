"""Nothing is asked of the network: the libraries that would are told so, in this process and in those it begins.

They read the environment when they are imported, and a constant of theirs from then on; both are set.
"""

from __future__ import annotations

import os
import sys

VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
CONSTANTS = (
    ("huggingface_hub.constants", "HF_HUB_OFFLINE"),
    ("datasets.config", "HF_HUB_OFFLINE"),
    ("datasets.config", "HF_DATASETS_OFFLINE"),
)
TRUE = {"1", "ON", "YES", "TRUE"}
_before: dict[str, str | None] | None = None
"""The environment as it was; None while nothing is changed here."""


def go_offline() -> None:
    """Let nothing be asked of the hub from now on. Doing so again changes nothing."""
    global _before
    if _before is None:
        _before = {name: os.environ.get(name) for name in VARIABLES}
        os.environ.update(dict.fromkeys(VARIABLES, "1"))
    _tell()


def back_online() -> None:
    """Undo :func:`go_offline`; the environment is again as it was."""
    global _before
    if _before is None:
        return
    for name, value in _before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _before = None
    _tell()


def switched_off() -> bool:
    """Whether the hub is switched off by :func:`go_offline`, rather than by whoever started this process."""
    return _before is not None


def is_offline() -> bool:
    """Whether the hub must not be asked, whoever said so."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in TRUE


def _tell() -> None:
    """Tell the libraries that are imported already."""
    for module, name in CONSTANTS:
        if (there := sys.modules.get(module)) is not None and hasattr(there, name):
            setattr(there, name, is_offline())
