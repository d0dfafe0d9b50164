"""The table behind ``%peft config``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.bench import DEFAULT_DATA, DEFAULT_MODEL
from peft_lab.defaults import CHOSEN, KEYS
from peft_lab.present.table import Table
from peft_lab.profiles import NONE
from peft_lab.recipe import Recipe, Training
from peft_lab.run import runs_folder
from peft_lab.texts import tables as texts

if TYPE_CHECKING:
    from peft_lab.bench import Bench


def settings_in_effect(bench: Bench, methods: Sequence[str]) -> Table:
    """Every setting with its value and where it comes from; ``methods`` add what they suggest."""
    suggested: dict[str, tuple[Any, str]] = {}
    for name in reversed(methods):  # as in a recipe, the first method written has the last word
        suggested |= {
            key: (value, texts.SUGGESTS.format(method=name))
            for key, value in bench.host.find("methods", name).training.items()
        }
    at_hand = {"runs": str(bench.folder), "model": bench.model, "data": bench.spec.source}
    built_in: dict[str, Any] = {"runs": str(runs_folder()), "model": DEFAULT_MODEL, "data": DEFAULT_DATA, "live": True}
    built_in |= {"profile": NONE, "offline": False}
    built_in |= {"seed": Recipe.model_fields["seed"].default} | Training().model_dump()
    rows = []
    for key in (*KEYS, *Training.model_fields):
        value, origin = bench.defaults.find(key) or suggested.get(key) or (built_in[key], texts.BUILT_IN)
        if key == "runs":
            value = str(runs_folder(value))
        if at_hand.get(key, value) != value:
            value, origin = at_hand[key], CHOSEN
        rows.append([key, value if isinstance(value, str) else json.dumps(value), origin])
    notes = [texts.SETTINGS_NOTE.format(settings="{'epochs': 2}")]
    notes += [texts.NOT_USED.format(problem=problem) for problem in bench.defaults.problems]
    return Table(texts.SETTINGS_TITLE, texts.SETTINGS_COLUMNS, rows, note=" ".join(notes))
