"""Whether a front end can be heard while a cell is busy, and how.

JupyterLab and Notebook 7 say what happens to a widget in a subshell, which the kernel serves in a thread of its own.
What others say waits for the cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipywidgets import Widget

SUBSHELLS = "kernel subshells"


def has_subshells(shell: Any) -> bool:
    """Whether the kernel of this process can serve more than one thing at a time."""
    kernel = getattr(shell, "kernel", None)
    return SUBSHELLS in (getattr(kernel, "kernel_info", None) or {}).get("supported_features", ())


def names_cells(shell: Any) -> bool:
    """Whether what asked for the present cell says which one it is.

    What carries out a notebook without showing it does not, and would keep the widgets that it is told of in the file.
    """
    parent = getattr(shell, "parent_header", None) or {}
    return bool(isinstance(parent, Mapping) and (parent.get("metadata") or {}).get("cellId"))


def hear_while_busy(widget: Widget) -> None:
    """Let what the front end says to a widget be answered in the front end's subshell, while a cell is busy.

    Callbacks then run in another thread than cells. ipykernel 7.4 gives messages to the shell from which the widget
    spoke last, and there they wait for the cell. Elsewhere nothing has to be done, or nothing can be.
    """
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = lambda data, subshell: subshell
