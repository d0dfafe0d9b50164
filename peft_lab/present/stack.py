"""Several results shown one below the other as one output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Stack:
    """Tables and pictures in one output; each can be taken out again: ``table, picture = stack.parts``."""

    parts: Sequence[Any]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundles = [part._repr_mimebundle_() for part in self.parts]
        html = "\n".join(b["text/html"] for b in bundles)
        return {"text/html": html, "text/plain": "\n\n".join(b["text/plain"] for b in bundles)}

    def __str__(self) -> str:
        return self._repr_mimebundle_()["text/plain"]
