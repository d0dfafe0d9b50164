"""Options that belong together: the first few in sight, the others behind a button."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
from pydantic import BaseModel

from peft_lab.bench import Bench
from peft_lab.notebook.panels.fields import Field, field_for
from peft_lab.notebook.panels.looks import ROW, WRAP, marked
from peft_lab.notebook.panels.wording import UNSET
from peft_lab.operations import Argument
from peft_lab.texts import panels as texts

FEW = 3


class Section:
    """Fields of the options of one owner. Those that are folded are made when somebody opens them.

    Args:
        arguments: their declarations, the most common ones first.
        owner: the options class, or for some options another one.
        lab: where names that are offered come from.
        given: values to begin with, by option.
        few: how many are always in sight.
    """

    def __init__(
        self,
        arguments: Sequence[Argument],
        owner: type[BaseModel] | Callable[[str], type[BaseModel]],
        lab: Bench,
        given: Mapping[str, Any],
        few: int = FEW,
    ) -> None:
        self.owner, self.lab = owner, lab
        few = few if len(arguments) > few + 1 else len(arguments)  # a fold for one would hide more than it saves
        self.folded = {argument.name: argument for argument in arguments[few:]}
        self.fields: dict[str, Field] = {}
        self.defaults: dict[str, tuple[Any, str]] = {}
        self.left_out: frozenset[str] = frozenset()
        self._calls: list[Callable[[], None]] = []
        self.first, self.rest = (marked(widgets.HBox(layout=WRAP), ROW) for _ in range(2))
        self.more = widgets.ToggleButton(
            tooltip=texts.MORE_TIP,
            icon="caret-right",
            layout={"width": "auto", "display": "none", "align_self": "flex-start"},
        )
        self.widget = widgets.VBox([self.first, self.more, self.rest], layout={"width": "100%"})
        self.first.children = [self._make(argument, given).widget for argument in arguments[:few]]
        self.more.observe(self._opened, "value")
        if any(name in given for name in self.folded):
            self._unfold(given)
        self._arrange()

    @property
    def values(self) -> dict[str, Any]:
        """What somebody chose, by option."""
        found = {name: field.value for name, field in self.fields.items()}
        return {name: value for name, value in found.items() if value is not UNSET}

    @property
    def problem(self) -> str:
        """What is wrong with the first field that is wrong."""
        return next((f"{field.label}: {field.problem}" for field in self.fields.values() if field.problem), "")

    def on_change(self, call: Callable[[], None]) -> None:
        """Call something, without arguments, when a person changed a value."""
        self._calls.append(call)

    def set(self, values: Mapping[str, Any]) -> None:
        """Put values there; options that are not named go back to their defaults."""
        if any(name in values for name in self.folded):
            self._unfold({})
        for name, field in self.fields.items():
            field.set(values.get(name, UNSET))
        self._arrange()

    def suggest(self, defaults: Mapping[str, tuple[Any, str]]) -> None:
        """What is used where nothing is said, and who says so."""
        self.defaults = dict(defaults)
        for name, field in self.fields.items():
            if name in defaults:
                field.suggest(*defaults[name])
        if any(self.fields[name].problem for name in self.folded.keys() & self.fields.keys()):
            self.more.value = True  # what is wrong must be seen

    def leave_out(self, taken: Iterable[str], idle: Iterable[str]) -> None:
        """Hide options that somebody else has under the same name, and those that mean nothing now.

        Of the latter, one that was given a value stays in sight.
        """
        names = frozenset(taken) | (frozenset(idle) - self.values.keys())
        if names != self.left_out:
            self.left_out = names
            self._arrange()

    def complain(self, name: str, sentence: str) -> bool:
        """Show what is wrong with an option; False where it has no field."""
        if name in self.folded:
            self._unfold({})
            self.more.value = True
        if (field := self.fields.get(name)) is not None:
            field.complain(sentence)
        return field is not None

    def forgive(self) -> None:
        """Take back what was said by :meth:`complain`."""
        for field in self.fields.values():
            field.complain("")

    # --- the fold -----------------------------------------------------------------------------------------------------

    def _opened(self, change: Any) -> None:
        if self.more.value:
            self._unfold({})
        self._arrange()

    def _unfold(self, given: Mapping[str, Any]) -> None:
        missing = [argument for name, argument in self.folded.items() if name not in self.fields]
        if missing:
            self.rest.children = [self._make(argument, given).widget for argument in missing]

    def _make(self, argument: Argument, given: Mapping[str, Any]) -> Field:
        owner = self.owner if isinstance(self.owner, type) else self.owner(argument.name)
        field = field_for(argument, owner=owner, lab=self.lab)
        if argument.name in self.defaults:
            field.suggest(*self.defaults[argument.name])
        if argument.name in given:
            field.set(given[argument.name])
        field.on_change(self._changed)
        self.fields[argument.name] = field
        return field

    def _changed(self) -> None:
        for call in self._calls:
            call()

    def _arrange(self) -> None:
        for name, field in self.fields.items():
            field.widget.layout.display = "none" if name in self.left_out else None
        count, chosen = len(self.folded.keys() - self.left_out), len(self.folded.keys() & self.values.keys())
        closed = texts.MORE_CHOSEN if chosen else texts.MORE
        self.more.description = (texts.FEWER if self.more.value else closed).format(count=count, chosen=chosen)
        self.more.icon = "caret-down" if self.more.value else "caret-right"
        self.more.layout.display = None if count else "none"
        self.rest.layout.display = "flex" if self.more.value else "none"
