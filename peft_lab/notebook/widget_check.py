"""For ``%peft selfcheck``: whether panels can be shown here, and whether they are heard while a cell is busy."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

from peft_lab.selfcheck.findings import OK, WARNING, Finding
from peft_lab.texts import checks as texts


def widgets(shell: Any) -> Iterator[Finding]:
    """Whether widgets are installed, and whether the front end answers."""
    if getattr(shell, "kernel", None) is None:
        yield Finding(texts.WIDGETS, OK, texts.IN_TERMINAL, texts.CAN_BE_TYPED)
    elif importlib.util.find_spec("ipywidgets") is None:
        yield Finding(texts.WIDGETS, WARNING, texts.NO_WIDGETS, texts.INSTALL_WIDGETS)
    else:
        from peft_lab.notebook.panels.stop_button import stop_probe

        verdict = stop_probe(shell)
        # by what is known of a Stop button in a busy cell
        advice = {True: "", False: texts.STOP_BY_INTERRUPT, None: texts.GET_WIDGETS}[verdict.works]
        yield Finding(texts.WIDGETS, OK if verdict.works else WARNING, verdict.said, advice)
