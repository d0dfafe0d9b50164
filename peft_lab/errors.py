"""The errors people meet. Each says what is wrong with the value, then what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pluggy_specs.errors import MethodRefused, PeftLabError

__all__ = [
    "BadOption",
    "DataProblem",
    "MethodRefused",
    "ModelProblem",
    "NothingLearned",
    "OutOfMemory",
    "PeftLabError",
    "PluginFailed",
    "RunProblem",
    "UnknownName",
    "UnknownRun",
    "nearest",
]


class UnknownName(PeftLabError):
    """A name that nothing offers, with the nearest one that exists."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no {kind} named {name!r}", nearest(name, known))
        self.name = name


class BadOption(PeftLabError):
    """A setting with a value that cannot be used.

    ``key`` names it (``lora.rank``), so that whoever read the value can say where it stood.
    """

    def __init__(self, message: str, hint: str = "", key: str = "") -> None:
        super().__init__(message, hint)
        self.key = key


class DataProblem(PeftLabError):
    """Data that cannot be read or cannot teach anything."""


class ModelProblem(PeftLabError):
    """A base model that cannot be found, read or used for the task."""


class NothingLearned(PeftLabError):
    """A run in which nothing trains, or something that should move did not."""


class OutOfMemory(PeftLabError):
    """A training that needs more memory than there is, with what would fit."""


class RunProblem(PeftLabError):
    """A run folder that is missing, unreadable or not what was asked for."""


class PluginFailed(PeftLabError):
    """Code of a plugin that raised, or gave what cannot be used; ``kind``, ``name`` and ``hook`` say whose."""

    def __init__(self, kind: str, name: str, hook: str, said: str) -> None:
        super().__init__(f"the {kind[:-1]} {name!r} failed in {hook}: {said}", "See %peft problems --details")
        self.kind, self.name, self.hook = kind, name, hook


class UnknownRun(RunProblem):
    """A name that no run has."""


def nearest(name: str, known: Iterable[str], most: int = 12) -> str:
    """Return ``did you mean ...?`` where a known name is close, otherwise the known names."""
    names = sorted(set(known))
    close = get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.6)
    if close:
        return f"Did you mean {next(n for n in names if n.lower() == close[0])!r}?"
    if not names:
        return "There is none yet"
    shown = ", ".join(names[:most]) + (", ..." if len(names) > most else "")
    return f"There is: {shown}"
