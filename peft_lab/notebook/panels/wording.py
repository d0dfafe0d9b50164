"""Values and calls as they are typed: behind a flag, on a ``%peft`` line, in a cell, and in Python."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from peft_lab.bench import DEFAULT_DATA, DEFAULT_MODEL, Bench
from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption
from peft_lab.notebook.options import Options, options_of_call
from peft_lab.notebook.values import convert
from peft_lab.operations import Argument, Operation, operations_of

Call = Mapping[str, Any]
"""What to train: ``methods``, ``model``, ``data`` and ``settings``, those of a method under ``method.option``."""


class _Unset:
    """Nothing was said."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()
"""The value of a field that nobody touched."""
SAFE = re.compile(r"[\w./:+@%=,~*][\w./:+@%=,~*-]*|-\.?\d[\d.e+-]*")
"""Text that needs no quotes on a line."""


# --- values ----------------------------------------------------------------------------------------------------------


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same to an option: a list equals a tuple, but 1 is not yes."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def as_text(argument: Argument, value: Any) -> str | None:
    """A value as it is typed behind its flag, without quotes; None where nothing that can be typed means it."""
    for text in _ways(argument, value):
        try:
            if same(convert(argument, text, ""), value) and "\n" not in text:
                return text
        except BadOption:
            continue
    return None


def _ways(argument: Argument, value: Any) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, (list, tuple)) and argument.many:
        yield ",".join(map(_one, value))
    else:
        yield _one(value)
    yield str(value)
    yield json.dumps(value, default=str, ensure_ascii=False)
    if isinstance(value, float):
        yield f"{value:f}"  # YAML takes 1e-05 for text


def _one(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def quoted(text: str) -> str | None:
    """Text as a word of a line; None where no quotes hold it."""
    if SAFE.fullmatch(text):
        return text
    mark = next((mark for mark in "\"'" if mark not in text), None)
    return None if mark is None or "\n" in text or "\r" in text else f"{mark}{text}{mark}"


# --- calls -----------------------------------------------------------------------------------------------------------


def line_of(lab: Bench, call: Call) -> str:
    """The ``%peft train`` line that means a call; a ``%%peft`` cell where it holds what no line can."""
    options = _options(lab, call)
    words, body = ["train", quoted(call["methods"]) or ""], []
    for name in ("model", "data"):
        if (value := _said(lab, call, name)) is not None:
            word = quoted(value)
            words += [f"--{name}", word] if word is not None else []
            body += [] if word is not None else [f"{name}: {_in_yaml(value)}"]
    for key, value in call["settings"].items():
        name, argument = _flag(options, key)
        if argument.is_switch and not argument.many and isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
            continue
        texts = [as_text(argument, one) for one in ([[one] for one in value] if argument.whole and value else [value])]
        given = [word for text in texts if text is not None and (word := quoted(text)) is not None]
        if len(given) < len(texts):
            body.append(f"{name}: {_in_yaml(value)}")
        else:
            words += [part for word in given for part in (f"--{name}", word)]
    line = " ".join(words)
    return f"%peft {line}" if not body else "\n".join((f"%%peft {line}", *body))


def code_of(lab: Bench, call: Call) -> str:
    """The call of ``lab.train`` that means a call."""
    classes = [lab.host.find("methods", name) for name in call["methods"].split("+")]
    own = {argument.name for argument in train_operation().arguments}
    given = [repr(call["methods"])]
    given += [f"{n}={value!r}" for n in ("model", "data") if (value := _said(lab, call, n)) is not None]
    dotted = {}
    for key, value in call["settings"].items():
        _, dot, option = key.rpartition(".")
        alone = sum(option in cls.Options.model_fields for cls in classes) == 1 and option not in own | {"seed"}
        name = option if not dot or (alone and option.isidentifier()) else ""
        if name:
            given.append(f"{name}={value!r}")
        else:
            dotted[key] = value
    return f"lab.train({', '.join([*given, *([f'**{dotted!r}'] if dotted else [])])})"


@cache
def train_operation() -> Operation:
    """The declaration of ``train``."""
    from peft_lab.lab import Lab

    return operations_of(Lab)["train"]


def _options(lab: Bench, call: Call) -> Options:
    return options_of_call(train_operation(), [lab.host.find("methods", name) for name in call["methods"].split("+")])


def _flag(options: Options, key: str) -> tuple[str, Argument]:
    """The shortest name under which a setting can be typed, and its declaration."""
    names = [name for name, option in options.items() if option.key == key]
    name = min(names, key=lambda name: name.count("."))
    return name, options[name].argument


def _said(lab: Bench, call: Call, name: str) -> str | None:
    """Model or data where they must be named: None where a new notebook would take the same, or only this one can."""
    value = call[name]
    if name == "model":
        usual = str(lab.defaults.get("model", DEFAULT_MODEL))
        return None if value is None or value == usual == lab.model else str(value)
    usual = str(lab.defaults.get("data", DEFAULT_DATA))
    return None if value is None or (value == usual and lab.spec == DataSpec(source=usual)) else str(value)


def _in_yaml(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
