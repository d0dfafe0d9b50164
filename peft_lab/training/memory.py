"""What methods learned from the training texts before the model was loaded: kept in a run, given back on restoring."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from peft_lab.asking import gave, named
from pluggy_specs import Method


def kept(methods: Sequence[Method]) -> dict[str, Any]:
    """The memories of methods that have one, by name.

    Raises:
        PluginFailed: one is no plain data.
    """
    found = {method.name: method.memory for method in methods if method.memory}
    for name, memory in found.items():
        try:
            json.dumps(memory, allow_nan=False)
        except (TypeError, ValueError):
            raise gave("methods", name, "adapt_tokenizer", f"the memory {named(memory)}", "plain data") from None
    return found


def give_back(methods: Sequence[Method], record: Mapping[str, Any]) -> None:
    """Put the memories of a record into methods that are made anew."""
    for method in methods:
        if method.name in record.get("memory", {}):
            method.memory = record["memory"][method.name]
