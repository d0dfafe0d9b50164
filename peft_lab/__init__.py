"""peft_lab: see and compare parameter-efficient fine-tuning in a notebook.

``%load_ext peft_lab`` adds ``%peft``; programs use :class:`Lab`. Nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from peft_lab.lab import Lab

    __version__: str

__all__ = ["Lab", "__version__", "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(ip: InteractiveShell) -> None:
    """What ``%load_ext peft_lab`` calls."""
    from peft_lab.notebook.extension import load

    load(ip)


def unload_ipython_extension(ip: InteractiveShell) -> None:
    """What ``%unload_ext peft_lab`` calls."""
    from peft_lab.notebook.extension import unload

    unload(ip)


def __getattr__(name: str) -> Any:
    if name == "Lab":
        from peft_lab.lab import Lab

        return Lab
    if name == "__version__":
        from importlib.metadata import version

        return version("peft-lab")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
