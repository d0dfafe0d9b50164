"""What only a notebook can do: panels and explorers, one of each for a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption

if TYPE_CHECKING:
    from peft_lab.notebook.magics import PeftMagics
    from peft_lab.notebook.panels.place import Places
    from peft_lab.run import Run


class NotebookSkin:
    """Opens what is asked for at the present cell. Widgets are imported with the first of them."""

    def __init__(self, magics: PeftMagics) -> None:
        self.magics = magics
        self._places: Places | None = None

    @property
    def places(self) -> Places:
        """The places that are open.

        Raises:
            BadOption: there is no notebook to show widgets.
        """
        if getattr(self.magics.shell, "kernel", None) is None:
            raise BadOption("a terminal shows no widgets", "Open a notebook, or say %peft plan, train and show")
        if self._places is None:
            from peft_lab.notebook.panels.place import Places

            self._places = Places()
        return self._places

    @property
    def cell(self) -> str:
        """The cell that runs, as the front end calls it; empty where it does not say."""
        parent = getattr(self.magics.shell, "parent_header", None) or {}
        return str((parent.get("metadata") or {}).get("cellId") or "")

    def panel(self, methods: str | None, model: str | None, data: Any, settings: Mapping[str, Any]) -> None:
        """Open the panel, filled with what is given."""
        places = self.places
        from peft_lab.notebook.panels.panel import Panel

        panel = Panel(self.magics.lab, methods=methods, model=model, data=data, settings=settings)
        panel.stand(places, self.cell)

    def explore(self, runs: Sequence[Run], what: str | None) -> None:
        """Open the explorer of runs, with a view."""
        places = self.places
        from peft_lab.notebook.panels.explorer import Explorer

        Explorer(self.magics.lab, runs, what).stand(places, self.cell)

    def forget(self) -> None:
        """Close everything, as the extension goes."""
        if self._places is not None:
            self._places.forget()
            self._places = None
