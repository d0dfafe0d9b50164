"""The explorer of the view ``tokens``: whose tokens are shown, and the samples of whoever that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import ipywidgets as widgets

from peft_lab.bench import Bench
from peft_lab.errors import PeftLabError
from peft_lab.notebook.panels.choosing import dropdown, listed
from peft_lab.notebook.panels.place import close_all
from peft_lab.notebook.panels.saying import refusal
from peft_lab.notebook.panels.token_samples import TokenSamples
from peft_lab.run import Run
from peft_lab.texts import panels as texts


class TokensPart:
    """The tokens of runs: of each alone, or of two on the rows that both have.

    Args:
        lab: not needed; every part gets it.
        runs: one or more.
    """

    def __init__(self, lab: Bench, runs: Sequence[Run]) -> None:
        self.runs = tuple(runs)
        self.samples: TokenSamples | None = None
        self.said = ""
        pairs = [(texts.TOKENS_OF_TWO.format(one=a.id, other=b.id), (a, b)) for a, b in combinations(self.runs, 2)]
        alone = [(label, (run,)) for label, run in listed(self.runs)]
        self.whose = dropdown([*alone, *pairs], texts.TOKENS_OF, texts.TOKENS_OF_TIP)
        self.whose.value = self.runs if len(self.runs) == 2 else self.runs[:1]
        self.whose.layout.display = None if pairs else "none"
        self.whose.observe(lambda _: self._show(), "value")
        self.box = widgets.VBox(layout={"width": "100%"})
        self.widget = widgets.VBox([self.whose, self.box], layout={"width": "100%"})
        self._show()

    def static(self) -> Mapping[str, Any]:
        """The sample that is shown, or why there is none."""
        if self.samples is not None:
            return self.samples.static()
        return refusal(self.said)

    def close(self) -> None:
        """Draw nothing more."""
        if self.samples is not None:
            self.samples.close()

    def _show(self) -> None:
        """Show the tokens of the runs that are chosen."""
        self.close()
        before = self.box.children
        try:
            self.samples, self.said = TokenSamples(self.whose.value), ""
            self.box.children = [self.samples.widget]
        except PeftLabError as error:
            self.samples, self.said = None, " ".join(str(error).split())
            self.box.children = [widgets.HTML(self.static()["text/html"])]
        for one in before:
            close_all(one)
