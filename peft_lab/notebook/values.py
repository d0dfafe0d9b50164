"""From text to values, by the declared type of the argument. The same for a line and for a cell body."""

from __future__ import annotations

from typing import Any

from peft_lab.errors import BadOption, nearest
from peft_lab.operations import Argument

WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
KINDS = {int: "a whole number", float: "a number", bool: "yes or no", str: "text"}


def convert(argument: Argument, text: str, name: str) -> Any:
    """The value of ``text``; a list of them where the argument takes many, separated by commas or blanks unless each of
    them is given whole.

    Raises:
        BadOption: it is none; ``name`` says which argument, as the person wrote it.
    """
    if argument.many:
        parts = text.replace(",", " ").split() if argument.cut else [text] if text else []
        return [convert_one(argument, part, name) for part in parts]
    return convert_one(argument, text, name)


def convert_one(argument: Argument, text: str, name: str) -> Any:
    """One value."""
    try:
        value = _read(argument.type, text)
    except ValueError:
        raise BadOption(f"{name} takes {takes(argument)}, not {text!r}", meaning(argument)) from None
    return chosen(argument, value, name)


def chosen(argument: Argument, value: Any, name: str) -> Any:
    """The value, when it is one of the argument's choices or these are open."""
    if argument.choices and not argument.open and value not in argument.choices:
        raise BadOption(f"{name} cannot be {str(value)!r}", nearest(str(value), map(str, argument.choices)))
    return value


def takes(argument: Argument) -> str:
    """What a value must be, in words."""
    kind = KINDS.get(argument.type, "a value")
    return f"{kind}, or {several(argument)}" if argument.cut else kind


def several(argument: Argument) -> str:
    """How several values are written; nothing where there can be but one."""
    if not argument.many:
        return ""
    return "several by giving it again" if argument.whole else "several with commas between"


def meaning(argument: Argument) -> str:
    """The argument's help as a hint."""
    return f"It means: {argument.help}" if argument.help else ""


def _read(kind: Any, text: str) -> Any:
    if kind is bool:
        if text.lower() not in WORDS:
            raise ValueError(text)
        return WORDS[text.lower()]
    if kind is int:
        number = float(text)  # 1e3 is a whole number, too
        if not number.is_integer():
            raise ValueError(text)
        return int(text) if "e" not in text.lower() and "." not in text else int(number)
    if kind is float:
        return float(text)
    if kind is str:
        return text
    import yaml

    try:
        # A type with no simple way of writing: YAML gives numbers, lists and mappings, and the options check them.
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
