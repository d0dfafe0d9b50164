"""Whether what trains and answers is installed, before a run is made for it."""

from __future__ import annotations

import importlib.util

from peft_lab.errors import PeftLabError

NEEDED = ("torch", "transformers", "accelerate", "datasets", "peft")


def must_be_installed() -> None:
    """Refuse where a library is missing; nothing is imported for the answer.

    Raises:
        PeftLabError: names what is missing.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        what = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        raise PeftLabError(
            f"{what}, and a model needs {'it' if len(missing) == 1 else 'them'}",
            f"pip install {' '.join(missing)}. What is on disk can be looked at without",
        )
