"""For ``%peft selfcheck``: whether panels can be shown here, and whether they are heard while a cell is busy."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

from peft_lab.selfcheck.findings import OK, WARNING, Finding

WITHOUT = "Everything can be typed as well: %peft plan, train, show"
ADVICE = {  # by what is known of a Stop button in a busy cell
    True: "",
    False: "Stop a busy cell by Interrupt, or train with --bg: there Stop works",
    None: f"In JupyterLab: pip install ipywidgets, reload the page, run this cell again. {WITHOUT}",
}


def widgets(shell: Any) -> Iterator[Finding]:
    """Whether widgets are installed, and whether the front end answers."""
    if getattr(shell, "kernel", None) is None:
        yield Finding("widgets", OK, "a terminal shows none", WITHOUT)
    elif importlib.util.find_spec("ipywidgets") is None:
        yield Finding("widgets", WARNING, "ipywidgets is missing: no panels, no Stop button", "pip install ipywidgets")
    else:
        from peft_lab.notebook.panels.stop_button import stop_probe

        verdict = stop_probe(shell)
        yield Finding("widgets", OK if verdict.works else WARNING, verdict.said, ADVICE[verdict.works])
