"""Methods in the order in which they are applied: choose, join, move, remove; each with its options below it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import ipywidgets as widgets

from peft_lab.bench import Bench
from peft_lab.notebook.panels.fields import LABEL_WIDTH
from peft_lab.notebook.panels.looks import FIELD, ROW, WRAP, marked
from peft_lab.notebook.panels.place import close_all
from peft_lab.notebook.panels.section import Section
from peft_lab.operations import options_of
from peft_lab.present.style import BORDER, esc, plain
from peft_lab.texts import panels as texts
from pluggy_specs import Method

SLIM = {"width": "auto"}


class Row:
    """One method of a composition."""

    def __init__(self, composition: Composition, name: str) -> None:
        self.composition = composition
        self.section: Section | None = None
        self.cls: type[Method] | None = None
        self.chooser = widgets.Dropdown(
            description=texts.METHOD,
            options=composition.offered(),
            value=name,
            tooltip=texts.METHOD_TIP,
            layout={"width": "auto"},
            style={"description_width": LABEL_WIDTH},
        )
        field = widgets.VBox([self.chooser], layout={"flex": "1 1 240px", "max_width": "560px", "min_width": "0"})
        self.up, self.down, self.remove = (
            widgets.Button(description=text, tooltip=tip, layout=SLIM)
            for text, tip in ((texts.UP, texts.UP_TIP), (texts.DOWN, texts.DOWN_TIP), (texts.REMOVE, texts.REMOVE_TIP))
        )
        self.buttons = widgets.HBox(
            [self.up, self.down, self.remove], layout={"flex": "0 0 auto", "align_self": "flex-end"}
        )
        self.options = widgets.VBox(layout={"width": "100%"})
        self.widget = widgets.VBox(
            [marked(widgets.HBox([marked(field, FIELD), self.buttons], layout=WRAP), ROW), self.options],
            layout={
                "width": "100%",
                "border_left": f"3px solid {BORDER}",
                "margin": "4px 0",
                "padding": "2px 0 2px 8px",
            },
        )
        self.chooser.observe(lambda change: composition.chosen(self), "value")
        self.up.on_click(lambda _: composition.move(self, -1))
        self.down.on_click(lambda _: composition.move(self, 1))
        self.remove.on_click(lambda _: composition.drop(self))

    @property
    def name(self) -> str:
        """The method; empty where none is chosen yet."""
        return str(self.chooser.value or "")

    def show(self, cls: type[Method] | None, given: Mapping[str, Any]) -> None:
        """Show the options of a method; a line while they are still being read."""
        if cls is not None and cls is self.cls:
            return
        before = self.options.children
        self.cls, self.section, self.options.children = None, None, []
        for widget in before:
            close_all(widget)
        if cls is None:
            self.options.children = [_said(texts.READING_OPTIONS.format(name=self.name))] if self.name else []
            return
        lab = self.composition.lab
        with lab.host.asking("methods", cls.name, "Options"):
            arguments = options_of(cls.Options)
            section = Section(arguments, cls.Options, lab, given)
        section.on_change(self.composition.changed)
        self.cls, self.section = cls, section
        self.options.children = [section.widget] if arguments else [_said(texts.NO_OPTIONS)]


class Composition:
    """The methods of a recipe.

    Args:
        lab: who knows the methods.
        names: the methods to begin with.
        given: values of their options, by method.
    """

    def __init__(self, lab: Bench, names: Sequence[str], given: Mapping[str, Mapping[str, Any]]) -> None:
        self.lab = lab
        self.memory: dict[str, dict[str, Any]] = {name: dict(values) for name, values in given.items()}
        """Options of methods that are not shown now: they come back with the method."""
        self.readable: set[type] = set()
        """Methods whose options took time to read, and are there now."""
        self._calls: list[Callable[[], None]] = []
        self.rows: list[Row] = []
        self.stack = widgets.VBox(layout={"width": "100%"})
        self.join = widgets.Button(
            description=texts.JOIN, tooltip=texts.JOIN_TIP, icon="plus", layout={**SLIM, "align_self": "flex-start"}
        )
        self.join.on_click(lambda _: self.add())
        self.widget = widgets.VBox([self.stack, self.join], layout={"width": "100%"})
        self.fill(names, given)

    @property
    def names(self) -> list[str]:
        """The methods chosen, in order."""
        return [row.name for row in self.rows if row.name]

    @property
    def classes(self) -> list[type[Method]]:
        """Their classes, as the lab knows them now."""
        return [self.lab.host.find("methods", name) for name in self.names]

    @property
    def values(self) -> dict[str, Any]:
        """Options that somebody chose, under ``method.option``."""
        shown = [row for row in self.rows if row.section is not None]
        return {f"{row.name}.{key}": value for row in shown for key, value in row.section.values.items()}  # type: ignore[union-attr]

    @property
    def options(self) -> set[str]:
        """Names of all options of the methods whose options are shown."""
        shown = [row.cls for row in self.rows if row.cls is not None]
        return {name for cls in shown for name in cls.Options.model_fields}

    @property
    def sections(self) -> dict[str, Section]:
        """The options shown, by method."""
        return {row.name: row.section for row in self.rows if row.section is not None}

    def on_change(self, call: Callable[[], None]) -> None:
        """Call something, without arguments, when methods or options change."""
        self._calls.append(call)

    def unread(self) -> list[type[Method]]:
        """Chosen methods whose options are not read yet, and take time to read."""
        return [cls for cls in self.classes if not _at_once(cls) and cls not in self.readable]

    def read(self, cls: type[Method]) -> None:
        """Read the options of a method, in any thread. What goes wrong is said when they are shown."""
        with suppress(Exception):
            cls.Options  # noqa: B018
        self.readable.add(cls)

    def rest(self) -> None:
        """Say of the methods that are not read yet that they are being read."""
        for row in self.rows:
            if row.name in [cls.name for cls in self.unread()]:
                row.show(None, {})

    def forgive(self) -> None:
        """Take back what was said of options."""
        for section in self.sections.values():
            section.forgive()

    def offered(self) -> list[tuple[str, str]]:
        """Every method with its summary, those of PEFT behind the others."""
        known = self.lab.host.offers("methods")
        ordered = sorted(known, key=lambda name: ":" in name)
        said = [(f"{name}: {plain(known[name].item.summary)}", name) for name in ordered]
        return [(texts.CHOOSE_METHOD, ""), *said]  # None would be shown as nothing at all

    def fill(self, names: Sequence[str], given: Mapping[str, Mapping[str, Any]]) -> None:
        """Choose methods and options; what was chosen before goes."""
        for row in self.rows:
            close_all(row.widget)
        self.memory |= {name: dict(values) for name, values in given.items()}
        self.rows = [Row(self, name) for name in names or [""]]
        self._arrange()

    def show(self) -> None:
        """Show the options of what is chosen, as far as they can be read at once.

        Raises:
            PluginFailed: a method's declaration of its options cannot be used.
        """
        unread = self.unread()
        for row in self.rows:
            cls = self.lab.host.find("methods", row.name) if row.name else None
            if cls is not row.cls:
                self._remember(row)
            row.show(None if cls in unread else cls, self.memory.get(row.name, {}))

    # --- what a person does -------------------------------------------------------------------------------------------

    def add(self) -> None:
        """One more, to be chosen."""
        self.rows.append(Row(self, ""))
        self._arrange()
        self.changed()

    def chosen(self, row: Row) -> None:
        """Another method in a row."""
        self._remember(row)
        row.show(None, {})
        self.changed()

    def move(self, row: Row, by: int) -> None:
        """Earlier or later."""
        at = self.rows.index(row)
        to = min(max(at + by, 0), len(self.rows) - 1)
        self.rows.insert(to, self.rows.pop(at))
        self._arrange()
        self.changed()

    def drop(self, row: Row) -> None:
        """Without this one."""
        self._remember(row)
        self.rows.remove(row)
        self._arrange()
        close_all(row.widget)
        self.changed()

    def changed(self) -> None:
        """Tell those who asked."""
        for call in self._calls:
            call()

    def _remember(self, row: Row) -> None:
        if row.cls is not None and row.section is not None:
            self.memory[row.cls.name] = row.section.values

    def _arrange(self) -> None:
        several = len(self.rows) > 1
        for number, row in enumerate(self.rows):
            row.chooser.description = texts.METHOD if not number else texts.AND_METHOD
            row.buttons.layout.display = None if several else "none"
            row.up.disabled, row.down.disabled = number == 0, number == len(self.rows) - 1
        self.stack.children = [row.widget for row in self.rows]


def _at_once(cls: type[Method]) -> bool:
    """Whether the options of a method are there, and not made by a descriptor that may import a library."""
    return isinstance(inspect.getattr_static(cls, "Options", None), type)


def _said(text: str) -> widgets.HTML:
    return widgets.HTML(f'<div style="font-size:90%;opacity:.85">{esc(text)}</div>')
