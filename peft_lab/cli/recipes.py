"""Recipe files: what a ``%%peft`` cell holds, a whole recipe, or the ``run.json`` of a run, as YAML or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption
from peft_lab.notebook import body
from peft_lab.recipe import Recipe, checked

SUFFIXES = (".yaml", ".yml", ".json")
METHODS, DATA = "methods", "data"


@dataclass(frozen=True)
class Filed:
    """What a file says: methods to put on the line, entries as in a cell, and values that need no reading."""

    methods: tuple[str, ...] = ()
    entries: list[body.Entry] = field(default_factory=list)
    given: Mapping[str, Any] = field(default_factory=dict)


def read_recipe(file: Path) -> Filed:
    """Read a recipe file.

    Raises:
        BadOption: it is missing, no YAML, or no recipe.
    """
    text = _text_of(file, "recipe", "methods: lora")
    entries = body.read(text)
    if (whole := _whole(entries, text)) is not None:
        return _of_recipe(Recipe.read(whole))
    if not any(entry.key == METHODS for entry in entries):
        raise BadOption(f"{file.name} names no {METHODS}", "Begin it with: methods: lora")
    return _of_cell(entries)


def read_plan(file: Path) -> Filed:
    """Read the file of a study: what the body of a ``%%peft study`` cell holds.

    Raises:
        BadOption: it is missing, no YAML, or names no methods.
    """
    entries = body.read(_text_of(file, "study", "methods: [full, lora]"))
    if not any(entry.key == METHODS for entry in entries):
        raise BadOption(f"{file.name} names no {METHODS}", "Begin it with: methods: [full, lora]")
    return Filed(entries=entries)


def _text_of(file: Path, kind: str, example: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadOption(f"no {kind} file {str(file)!r}", f"A {kind} file is YAML or JSON: {example}") from None
    except UnicodeDecodeError:
        raise BadOption(f"{file.name} is not UTF-8 text", "Save it as UTF-8") from None


def _whole(entries: list[body.Entry], text: str) -> Mapping[str, Any] | None:
    """A whole recipe, where the file is one or holds one: methods are a list there, and data a mapping."""
    keys = {entry.key: entry for entry in entries}
    if "recipe" in keys and keys["recipe"].is_mapping:
        return dict(yaml.safe_load(text)["recipe"])
    methods = keys.get(METHODS)
    if methods is None or not isinstance(methods.node, yaml.SequenceNode):
        return None
    if not any(isinstance(item, yaml.MappingNode) for item in methods.node.value):
        return None
    return dict(yaml.safe_load(text))


def _of_recipe(recipe: Recipe) -> Filed:
    """A whole recipe as the values of a call: every setting is spelled out, so that no default can change it."""
    given: dict[str, Any] = {
        "model": recipe.model,
        DATA: recipe.data,
        "seed": recipe.seed,
        **recipe.training.model_dump(),
        **{method.name: method.options for method in recipe.methods if method.options},
    }
    if recipe.start is not None:
        given["from_"] = recipe.start.run
    return Filed(methods=(recipe.method,), given=given)


def _of_cell(entries: list[body.Entry]) -> Filed:
    """As in a cell, but that ``data`` may be a mapping: source, text, label, test, ..."""
    given: dict[str, Any] = {}
    left = []
    for entry in entries:
        if entry.key != DATA or not entry.is_mapping:
            left.append(entry)
            continue
        inner = {e.key.removeprefix(f"{DATA}."): e for e in entry.nested()}
        values = {n: e.node.value for n, e in inner.items() if e.node.tag != body.NULL}
        try:
            given[DATA] = checked(DataSpec, values, DATA)
        except BadOption as error:
            line = next((e.place for n, e in inner.items() if f"{DATA}: {n}:" in error.message), entry.place)
            raise BadOption(f"{line}: {error.message}", error.hint) from None
    return Filed(entries=left, given=given)
