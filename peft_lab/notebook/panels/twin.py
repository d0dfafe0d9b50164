"""What stands in for a widget that died: static HTML beside it, which a style sheet shows in its place.

A kernel that is killed or restarted, or that ends after its notebook was closed, can replace nothing any more.
JupyterLab then shows a widget that does nothing, or "model not found". The style sheets here need no kernel. They count
only where that happens: an untrusted notebook, GitHub and others drop them, or know none of these classes, and show the
text that comes with the widget.
"""

from __future__ import annotations

OUTPUT = ".jp-OutputArea-child"
WIDGETS = f"{OUTPUT}:has(> .jp-OutputArea-output.lm-Panel)"
"""An output that JupyterLab made for widgets."""
ALIVE = "> .jp-OutputArea-output > .jupyter-widgets:not(.jupyter-widgets-disconnected)"
LATE = 1.5
"""Seconds until a twin is shown: a page that is loaded anew needs some to find the widgets of a living kernel."""

STYLE = (
    "<style>"
    f"{OUTPUT}:has(.peft-lab-beside) + {WIDGETS}:not(:has({ALIVE}))"
    "{position:absolute;width:0;height:0;overflow:hidden;visibility:hidden}"
    f"{OUTPUT}:has(+ {OUTPUT} > .jp-OutputArea-output.lm-Panel):not(:has(+ {OUTPUT} {ALIVE})) .peft-lab-twin"
    f"{{display:block!important;overflow:hidden;animation:peft-lab-late 0s {LATE}s backwards}}"
    "@keyframes peft-lab-late{from{max-height:0}}"
    "</style>"
)
"""A dead widget behind such an output takes no room and cannot be reached by keyboard, and the twin is shown."""


def beside_widget(html: str, twin: str) -> str:
    """HTML for the output before that of a widget.

    Args:
        html: what is always seen there.
        twin: what is seen there as well, in place of the widget, once that is dead.
    """
    hidden = f'<div class="peft-lab-twin" style="display:none">{twin}</div>'
    return f'<div class="peft-lab-beside">{html}{hidden}</div>{STYLE}'
