"""Panels: the same operations for someone who would rather pick than type."""

from __future__ import annotations

from typing import Annotated, Any

from peft_lab.bench import Bench, Skin
from peft_lab.errors import BadOption
from peft_lab.operations import About, operation


class Paneling(Bench):
    """Operations that open something to click on."""

    @operation("panel", "panel lora --data helpdesk")
    def panel(
        self,
        methods: Annotated[str | None, About("what to begin with", completes="methods", word=True)] = None,
        model: Annotated[str | None, About("base model to begin with", completes="models")] = None,
        data: Annotated[str | None, About("data to begin with", completes="datasets")] = None,
        **settings: Any,
    ) -> None:
        """Pick model, data, methods and options; see the plan, train, stop, look inside."""
        self._skin("panel", "Say %peft plan and %peft train").panel(methods, model, data, settings)

    @operation("explore run-1", "explore run-1 --what tokens", "explore run-1 run-2")
    def explore(
        self,
        *names: Annotated[str, About("runs; the last one when none is named", completes="runs")],
        what: Annotated[str | None, About("a view to begin with", completes="views")] = None,
    ) -> None:
        """Look inside runs with the mouse or the keyboard: masks, gates, tokens, distance, and runs side by side."""
        chosen = [self.run(name) for name in names] or [self._latest()]
        self._skin("explore", "Say %peft show").explore(chosen, what)

    def _skin(self, name: str, instead: str) -> Skin:
        if self.skin is None:
            raise BadOption(f"{name} needs a notebook", instead)
        return self.skin
