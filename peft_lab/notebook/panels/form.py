"""The form: model, data, methods and settings, generated from the declarations that the flags are generated from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from pydantic import BaseModel

from peft_lab.bench import Bench
from peft_lab.errors import BadOption, PeftLabError
from peft_lab.notebook.names import is_table
from peft_lab.notebook.options import seed
from peft_lab.notebook.panels.chosen_data import ChosenData, about_path
from peft_lab.notebook.panels.composing import Composition
from peft_lab.notebook.panels.fields import Field, field_for
from peft_lab.notebook.panels.looks import ROW, WRAP, marked, sheet
from peft_lab.notebook.panels.same_as import SameAs
from peft_lab.notebook.panels.section import Section
from peft_lab.notebook.panels.wording import UNSET, line_of
from peft_lab.operations import About, Argument, argument_of, options_of
from peft_lab.present.parts import line
from peft_lab.present.style import PLAIN, esc, plain
from peft_lab.recipe import Recipe, Training, sort_out
from peft_lab.texts import panels as texts

if TYPE_CHECKING:
    from pluggy_specs import Task

USUAL = ("epochs", "learning_rate", "batch_size", "max_steps", "seed")
"""Training settings in sight; the others are folded."""
FIRST = "lora"
"""What the form begins with where nothing is said."""
WRITING, NOT_WRITING = ("train_head",), ("write_answers",)
"""Settings that mean nothing where the answer is text that the model writes, and where it is not."""


class Form:
    """What to train, as controls.

    Args:
        lab: who knows models, data, methods and defaults. Filling in the form changes nothing in it.
        methods: the composition to begin with.
        model: the base model; the lab's when not given.
        data: the data; the lab's when not given.
        settings: flat, as ``train`` takes them.

    Raises:
        PeftLabError: there is no such method or setting.
    """

    def __init__(
        self,
        lab: Bench,
        methods: str | None = None,
        model: str | None = None,
        data: Any = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.lab = lab
        self.problem = ""
        """Why this cannot be trained, in one sentence; nothing where it can."""
        self._calls: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._filling = self._reading = False
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        names, options, training = self._sorted(methods, settings or {})
        self.model = _name_field(lab, "model", texts.MODEL_HELP, texts.MODEL_TIP, "models")
        self.data = _name_field(lab, "data", texts.DATA_HELP, texts.DATA_TIP, "datasets")
        self.chosen_data = ChosenData(lab)
        self.methods = Composition(lab, names, options)
        self.training = Section(_training(), _owner, lab, training, few=len(USUAL))
        self.said = widgets.HTML(layout={"width": "100%"})
        self.same_as = SameAs(lab, self.fill)
        self.widget = widgets.VBox(
            [
                sheet(),
                widgets.HTML(f'<div {PLAIN}><b style="font-size:115%">{esc(texts.TITLE)}</b></div>'),
                marked(widgets.HBox([self.model.widget, self.data.widget], layout=WRAP), ROW),
                self.methods.widget,
                widgets.HTML(f"<b>{esc(texts.TRAINING)}</b>"),
                self.training.widget,
                self.said,
                self.same_as.widget,
            ],
            layout={"width": "100%"},
        )
        for part, value in ((self.model, model), (self.data, data)):
            if value is not None:
                part.set(self._named(value))
            part.on_change(self.refresh)
        self.methods.on_change(self.refresh)
        self.training.on_change(self.refresh)
        self.refresh()

    # --- for the panel ------------------------------------------------------------------------------------------------

    def call(self) -> dict[str, Any]:
        """What is chosen, as ``train`` takes it: ``methods``, ``model``, ``data`` and ``settings``.

        ``data`` is None where the data at hand have columns or a test file of their own, which no name tells.
        """
        model, data, taken = self.model.value, self.data.value, self.methods.options
        return {
            "methods": "+".join(self.methods.names),
            "model": self.model.default if model is UNSET else model,
            "data": self.chosen_data.name_at_hand if data is UNSET else data,
            "settings": {**self.methods.values, **{n: v for n, v in self.training.values.items() if n not in taken}},
        }

    def line(self) -> str:
        """The ``%peft train`` line that trains the same; nothing where there is none."""
        try:
            return line_of(self.lab, self.call()) if self.methods.names else ""
        except Exception:  # a method's declaration of its options cannot be used: that is the problem already
            return ""

    def on_change(self, call: Callable[[], None]) -> None:
        """Call something, without arguments, after anything changed."""
        self._calls.append(call)

    def fill(self, methods: str, model: str | None, data: Any, settings: Mapping[str, Any]) -> None:
        """Choose all anew. What is not named goes back to its default.

        Raises:
            PeftLabError: there is no such method or setting; then nothing is changed.
        """
        names, options, training = self._sorted(methods, settings)
        self._filling = True
        try:
            self.model.set(UNSET if model is None else str(model))
            self.data.set(UNSET if data is None else self._named(data))
            self.methods.fill(names, options)
            self.training.set(training)
        finally:
            self._filling = False
        self.refresh()

    # --- what follows from a change -----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Let everything follow what is chosen: options, defaults, what is wrong, the line."""
        if self._filling:
            return
        with self._lock:
            self.problem = self._follow()
            self._tell()
        for call in self._calls:
            call()

    def _follow(self) -> str:
        """Bring all fields up to date; return what is wrong."""
        self.methods.forgive()
        self.training.forgive()
        self.model.suggest(self.lab.model)
        self.data.suggest(self.lab.spec.source)
        self._explain_model()
        text = None if self.data.value is UNSET else str(self.data.value)
        if waiting := self._unread(text):
            return waiting
        self.data.explain(self.chosen_data.about(text))
        if not self.methods.names:
            return texts.NOTHING_CHOSEN
        try:
            self.methods.show()
            spec, task = self.chosen_data.spec(text), self.chosen_data.task(text)
            names, call = "+".join(self.methods.names), self.call()
            idle = () if task is None else WRITING if task.generates else NOT_WRITING
            self.training.leave_out(self.methods.options, idle)
            usual = self.lab.composed(names, model=call["model"], data=spec)
            self._suggest(usual, task)
            self.lab.composed(names, model=call["model"], data=spec, **call["settings"])
        except PeftLabError as error:
            return self._place(error)
        except Exception as error:  # a plugin's own code
            return plain(f"{type(error).__name__}: {error}")
        return next((said for section in self._sections() if (said := section.problem)), "")

    def _unread(self, data: str | None) -> str:
        """What is being read in another thread, so that the notebook does not wait for it."""
        try:
            methods = self.methods.unread()
        except PeftLabError as error:  # a method that was taken back
            return str(error)
        if not methods and not self.chosen_data.takes_time(data):
            return ""
        if not self._reading:
            self._reading = True
            threading.Thread(target=self._read, args=(methods, data), name="peft_lab form", daemon=True).start()
        if methods:
            self.methods.rest()
            return texts.READING_OPTIONS.format(name=methods[0].name)
        return texts.READING_DATA.format(name=data)

    def _read(self, methods: list[Any], data: str | None) -> None:
        try:
            for cls in methods:
                self.methods.read(cls)
            self.chosen_data.read(data)
        finally:
            self._reading = False
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self.refresh)
            else:
                self.refresh()

    def _suggest(self, usual: Recipe, task: type[Task] | None) -> None:
        suggested = {**usual.training.model_dump(), "seed": usual.seed}
        self.training.suggest({name: (value, self._origin(name, task)) for name, value in suggested.items()})

    def _origin(self, name: str, task: type[Task] | None) -> str:
        """Who says what is used where nothing is said."""
        if (found := self.lab.defaults.find(name)) is not None:
            return texts.SET_IN.format(place=found[1])
        if by := next((cls.name for cls in self.methods.classes if name in cls.training), ""):
            return texts.SUGGESTED.format(method=by)
        return texts.FOR_TASK.format(task=task.name) if task is not None and name in task.training else ""

    def _place(self, error: PeftLabError) -> str:
        """Say an error beside the field that it is about, where there is one; else here."""
        owner, _, name = getattr(error, "key", "").rpartition(".")
        section = self.methods.sections.get(owner, self.training if name in _names() else None)
        if section is not None and not section.problem:
            section.complain(name, error.message)
        own = next((said for part in self._sections() if (said := part.problem)), "")
        return own or str(error)

    def _sections(self) -> list[Section]:
        return [*self.methods.sections.values(), self.training]

    def _explain_model(self) -> None:
        name = self.model.default if self.model.value is UNSET else self.model.value
        offer = self.lab.host.offers("models").get(name)
        self.model.explain(plain(offer.item.summary) if offer is not None else about_path(name))

    def _tell(self) -> None:
        mark = ("…", "grey") if self._reading else ("✗", "vermilion")
        said = line(mark[0], self.problem, mark[1]) if self.problem else ""
        if said != self.said.value:
            self.said.value = said
        if not self._reading and self.line():
            self.same_as.show(self.call())

    def _named(self, value: Any) -> str:
        """The name of a table of the notebook that was given itself; of all else, the text."""
        if not is_table(value):
            return str(value)
        found = next((name for name, one in self.lab.namespace.items() if one is value and name[:1] != "_"), None)
        if found is None:
            raise BadOption(texts.NAMELESS, texts.GIVE_A_NAME)
        return found

    def _sorted(
        self, methods: str | None, settings: Mapping[str, Any]
    ) -> tuple[list[str], dict[str, dict[str, Any]], dict[str, Any]]:
        """Methods, their options by method, and training settings, out of what ``train`` takes."""
        known = self.lab.host.offers("methods")
        usual = FIRST if FIRST in known else next(iter(known), "")
        names = [name.strip() for name in (methods or usual).split("+")]
        options, training, own = sort_out([self.lab.host.find("methods", name) for name in names], settings)
        return names, options, {**training, **own}


def _training() -> list[Argument]:
    """Training settings, the usual ones first."""
    declared = {argument.name: argument for argument in (*options_of(Training), seed())}
    return [declared.pop(name) for name in USUAL] + list(declared.values())


def _names() -> set[str]:
    return {*Training.model_fields, "seed"}


def _owner(name: str) -> type[BaseModel]:
    return Recipe if name == "seed" else Training


def _name_field(lab: Bench, name: str, help_: str, tip: str, kind: str) -> Field:
    default = lab.model if name == "model" else lab.spec.source
    field = field_for(argument_of(name, str, default, About("", kind)), lab=lab)
    field.label, field.control.description, field.control.tooltip = help_, help_, tip
    field.widget.layout.flex, field.widget.layout.max_width = "1 1 220px", "520px"
    return field
