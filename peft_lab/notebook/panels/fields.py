"""One option as a labelled control, made from the declaration that its flag is made from.

A field that nobody touched has no value of its own: what it stands for may change with the method or the data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import ipywidgets as widgets
from pydantic import BaseModel, ValidationError

from peft_lab.bench import Bench
from peft_lab.errors import BadOption
from peft_lab.notebook.candidates import candidates
from peft_lab.notebook.panels.looks import FIELD
from peft_lab.notebook.panels.wording import UNSET, as_text, same
from peft_lab.notebook.values import convert
from peft_lab.operations import Argument
from peft_lab.present.parts import line
from peft_lab.present.style import esc, plain
from peft_lab.texts import panels as texts

MOST_NAMES = 200
"""Offered in one control."""
MOST_HELP = 110
"""Characters of help below a control."""
FEW: Final = 8
"""Choices that are named in the help of a control that does not list them."""
LABEL_WIDTH = "116px"


class Field:
    """A control with its label, its help and its default in sight.

    Args:
        argument: the declaration.
        owner: the options class that has it, by which values are checked; None where there is none.
        names: what can be offered besides the choices declared.
    """

    def __init__(self, argument: Argument, owner: type[BaseModel] | None = None, names: Sequence[str] = ()) -> None:
        self.argument, self.owner, self.names = argument, owner, list(names)[:MOST_NAMES]
        self.default, self.origin, self.said, self.more = argument.default, "", "", ""
        self._calls: list[Callable[[], None]] = []
        self.label = argument.name.strip("_").replace("_", " ")
        self.control = self._control()
        self.control.tooltip = plain(argument.help) or self.label
        self.control.layout.width = "auto"
        self.control.style.description_width = LABEL_WIDTH
        self.note = widgets.HTML(layout={"margin": "0 2px 0 2px"})
        self.widget = widgets.VBox(
            [self.control, self.note], layout={"flex": "1 1 170px", "max_width": "340px", "min_width": "0"}
        )
        self.widget.add_class(FIELD)
        self._offer(UNSET)
        self._tell()
        self.control.observe(self._changed, "value")

    # --- for whoever holds it -----------------------------------------------------------------------------------------

    @property
    def value(self) -> Any:
        """The value with its type; :data:`UNSET` where it is the default, or cannot be used."""
        value, wrong = self._read()
        return UNSET if wrong or value is UNSET or same(value, self.default) else value

    @property
    def text(self) -> str:
        """The value as it is typed behind its flag; empty where it is the default. A yes or no is ``yes`` or ``no``."""
        value = self.value
        return "" if value is UNSET else as_text(self.argument, value) or ""

    @property
    def problem(self) -> str:
        """What is wrong with what stands there, in one sentence; nothing where it can be used."""
        return self._read()[1] or self.said

    def on_change(self, call: Callable[[], None]) -> None:
        """Call something, without arguments, when a person or :meth:`set` changed the value."""
        self._calls.append(call)

    def set(self, value: Any) -> None:
        """Put a value there; :data:`UNSET` is the default."""
        self._write(UNSET if value is UNSET or same(value, self.default) else value)
        self._tell()

    def suggest(self, default: Any, origin: str = "") -> None:
        """Change what is used where nothing is said, and tell who says so. What somebody put there stays."""
        if same(default, self.default) and origin == self.origin:
            return
        value = self.value
        self.default, self.origin = default, origin
        self.control.unobserve(self._changed, "value")  # a person changed nothing
        self._offer(value)
        self.control.observe(self._changed, "value")
        self._tell()

    def complain(self, sentence: str) -> None:
        """Show what others found wrong with the value; nothing takes it back."""
        if sentence != self.said:
            self.said = sentence
            self._tell()

    def explain(self, more: str) -> None:
        """Say something about the value that stands there, below the help."""
        if more != self.more:
            self.more = more
            self._tell()

    # --- how it is made -----------------------------------------------------------------------------------------------

    def _control(self) -> Any:
        """The control, without a value."""
        raise NotImplementedError

    def _offer(self, value: Any) -> None:
        """Let the control show what is used where nothing is said, and keep the value that was put there."""
        raise NotImplementedError

    def _read(self) -> tuple[Any, str]:
        """What stands there and what is wrong with it."""
        raise NotImplementedError

    def _write(self, value: Any) -> None:
        """Put a value, or UNSET, into the control."""
        raise NotImplementedError

    def _changed(self, change: Any) -> None:
        self.said = ""
        self._tell()
        for call in self._calls:
            call()

    def _tell(self) -> None:
        said = _note(self.argument, self.default if self._is_changed else UNSET, self.origin, isinstance(self, _Chosen))
        wrong = line("✗", self.problem, "vermilion") if self.problem else ""
        whole, look = esc(plain(self.argument.help)), "font-size:85%;line-height:1.3;opacity:.85"
        lines = (f'<div title="{whole}" style="{look}">{esc(text)}</div>' for text in (said, self.more) if text)
        small = "".join(lines)
        html = f'<div style="line-height:1.4;padding-left:2px;overflow-wrap:anywhere">{small}{wrong}</div>'
        if html != self.note.value:
            self.note.value = html

    @property
    def _is_changed(self) -> bool:
        """Whether something else than the default stands there, right or wrong."""
        value, wrong = self._read()
        return bool(wrong) or not (value is UNSET or same(value, self.default))

    def _checked(self, value: Any) -> tuple[Any, str]:
        return value, _refused(self.owner, self.argument.name, value)


class _Typed(Field):
    """Text that is read as on a line: numbers, lists, names that are offered."""

    def _control(self) -> Any:
        offered = [*map(str, self.argument.choices), *self.names]
        common = {"description": self.label, "continuous_update": True}
        if offered and not self.argument.many:
            return widgets.Combobox(options=tuple(dict.fromkeys(offered)), **common)
        return widgets.Text(**common)

    def _offer(self, value: Any) -> None:
        self.control.placeholder = as_text(self.argument, self.default) or _word(self.default) or texts.NOT_SET

    def _read(self) -> tuple[Any, str]:
        text = self.control.value if self.argument.whole else self.control.value.strip()
        if not text.strip():
            return UNSET, ""
        if (kept := getattr(self, "_kept", None)) is not None and kept[0] == text:
            return self._checked(kept[1])
        try:
            return self._checked(convert(self.argument, text, self.label))
        except BadOption as error:
            return UNSET, error.message

    def _write(self, value: Any) -> None:
        text = ("" if value is UNSET else as_text(self.argument, value)) or ""
        if value is not UNSET and not text:  # nothing that a person could type: kept as long as nobody edits it
            text = json.dumps(value, default=str, ensure_ascii=False)
            self._kept = (text.strip(), value)
        self.control.value = text


class _Switch(Field):
    """Yes or no."""

    def _control(self) -> Any:
        return widgets.Checkbox(description=self.label, indent=False)

    def _offer(self, value: Any) -> None:
        self._write(value)

    def _read(self) -> tuple[Any, str]:
        return self._checked(self.control.value)

    def _write(self, value: Any) -> None:
        self.control.value = bool(self.default if value is UNSET else value)


class _Chosen(Field):
    """One of a few. Where the default is none of them, it is the first entry."""

    def _control(self) -> Any:
        return widgets.Dropdown(description=self.label)

    def _offer(self, value: Any) -> None:
        choices = self.argument.choices or (True, False)
        listed = [(_word(choice), choice) for choice in choices]
        if not any(same(choice, self.default) for choice in choices):
            listed.insert(0, (_word(self.default) or texts.NOT_SET, UNSET))
        self.control.options = listed
        self._write(value)

    def _read(self) -> tuple[Any, str]:
        value = self.control.value
        return (UNSET, "") if value is UNSET else self._checked(value)

    def _write(self, value: Any) -> None:
        wanted = self.default if value is UNSET else value
        known = [choice for _, choice in self.control.options]
        self.control.value = next((one for one in known if same(one, wanted)), known[0])


def field_for(
    argument: Argument, given: Any = UNSET, *, owner: type[BaseModel] | None = None, lab: Bench | None = None
) -> Field:
    """The field of a declaration.

    Args:
        argument: the declaration, of :func:`peft_lab.operations.options_of` for instance.
        given: a value to begin with.
        owner: the options class that has it; its bounds then hold.
        lab: where names that are offered come from: runs, files, modules of the model, what plugins offer.
    """
    a_few = argument.choices and not argument.open and not argument.many
    if argument.is_switch and isinstance(argument.default, bool) and not argument.many:
        field: Field = _Switch(argument, owner)
    elif a_few or (argument.is_switch and not argument.many):
        field = _Chosen(argument, owner)
    else:
        field = _Typed(argument, owner, _names(argument, lab))
    if given is not UNSET:
        field.set(given)
    return field


def _names(argument: Argument, lab: Bench | None) -> list[str]:
    if lab is None or not argument.completes:
        return []
    with suppress(Exception):  # what cannot be listed can be typed all the same
        found = candidates(lab, argument, "")
        return [one.text for one in found if one.type != "choice" and not one.open]  # more than a name follows a folder
    return []


def _refused(owner: type[BaseModel] | None, name: str, value: Any) -> str:
    """Why an options class refuses a value of one of its fields; nothing where it takes it."""
    if owner is None or name not in owner.model_fields:
        return ""
    try:
        owner.model_validate({name: value})
    except ValidationError as error:
        # What is wrong with the others, or with all of them together, is not this field's to say.
        said = next((plain(e["msg"]) for e in error.errors(include_url=False) if e["loc"][:1] == (name,)), "")
        return said[:1].lower() + said[1:]
    except Exception as error:  # a plugin's own validator
        return plain(f"{type(error).__name__}: {error}")
    return ""


def _note(argument: Argument, default: Any, origin: str, listed: bool) -> str:
    """What an option means, what it takes, and what its default was, where that no longer stands in the control."""
    said = [_cut(plain(argument.help))] if argument.help else []
    if argument.choices and not listed and not argument.is_switch:
        more = ", ..." if argument.open or len(argument.choices) > FEW else ""
        said.append(", ".join(map(_word, argument.choices[:FEW])) + more)
    if argument.many:
        said.append(texts.SEVERAL_WHOLE if argument.whole else texts.SEVERAL)
    if default is not UNSET and (word := _word(default)):
        said.append(texts.DEFAULT.format(value=word, origin=f", {origin}" if origin else ""))
    elif origin:
        said.append(origin)
    return " · ".join(said)


def _cut(text: str) -> str:
    """The beginning of a text that is too long to stand below a control; the tooltip has all of it."""
    return text if len(text) <= MOST_HELP else f"{text[:MOST_HELP].rsplit(' ', 1)[0]} …"


def _word(value: Any) -> str:
    """A value in words."""
    if value is None or value == "" or value == () or value == []:
        return ""
    if isinstance(value, bool):
        return texts.YES if value else texts.NO
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_word, value))
    return f"{value:g}" if isinstance(value, float) else plain(value)
