"""What only a notebook can do: panels and explorers, one of each for a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peft_lab.notebook.magics import PeftMagics
    from peft_lab.notebook.panels.place import Places
    from peft_lab.run import Run
    from peft_lab.selfcheck import Check


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
        kernel = getattr(self.magics.shell, "kernel", None)
        if kernel is None:
            from peft_lab.errors import BadOption  # not before it is needed: loading the extension has to be quick

            raise BadOption("a terminal shows no widgets", "Open a notebook, or say %peft plan, train and show")
        if self._places is None:
            from peft_lab.notebook.panels.place import Places

            self._places = Places(kernel, lambda: str(self._parent.get("header", {}).get("msg_id", "")))
        return self._places

    @property
    def cell(self) -> str:
        """The cell that runs, as the front end calls it; where it does not say, by its text."""
        name = (self._parent.get("metadata") or {}).get("cellId")
        return str(name or f"text: {self.magics.shell.history_manager.input_hist_raw[-1]}")

    @property
    def _parent(self) -> Mapping[str, Any]:
        """The message that the kernel carries out."""
        return getattr(self.magics.shell, "parent_header", None) or {}

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

    def checks(self) -> dict[str, Check]:
        """What only a notebook can look at for ``%peft selfcheck``, by name."""
        from peft_lab.notebook.widget_check import widgets

        return {"widgets": lambda: widgets(self.magics.shell)}

    def choose_profile(self, name: str) -> None:
        """Set the profile as ``%config`` would; the lab is told."""
        self.magics.profile = name

    def forget(self) -> None:
        """Close everything, as the extension goes."""
        if self._places is not None:
            self._places.forget()
            self._places = None
