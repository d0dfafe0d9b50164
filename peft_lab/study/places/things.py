"""What a recipe names on the disk of whoever asked: data files, base model, a run to begin from. Elsewhere it may lie
under another path; the recipe that is kept in the run is the one that was asked for all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from peft_lab.recipe import Recipe
from peft_lab.run import PROGRESS, RUN_JSON, STOP

NAMED: Mapping[tuple[str, ...], str] = {
    ("model",): "models",
    ("data", "source"): "datasets",
    ("data", "test"): "",
    ("data", "validation"): "",
    ("training", "synonyms"): "",
    ("start", "run"): "",
}
"""Where a recipe may name a path; by the kind of what may be registered under that name instead."""
LEFT = (STOP, PROGRESS, "log.txt", "spare.tmp")
"""Files of a run that mean something to the machine that trains it only."""


def named_in(recipe: Mapping[str, Any], registered: Mapping[str, Any]) -> Iterator[str]:
    """What a recipe names that is on this disk and not offered by a plugin.

    Args:
        registered: names by kind.
    """
    for keys, kind in NAMED.items():
        value: Any = recipe
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value and value not in registered.get(kind, ()):
            try:
                if Path(value).expanduser().exists():
                    yield value
            except OSError:  # too long for a path
                continue


def renamed(recipe: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """A recipe with other paths."""
    made: dict[str, Any] = deepcopy(dict(recipe))
    for *outer, last in NAMED:
        place: Any = made
        for key in outer:
            place = place.get(key) if isinstance(place, dict) else None
        if isinstance(place, dict) and place.get(last) in paths:
            place[last] = paths[place[last]]
    return made


def moved(run: Path, paths: Mapping[str, str]) -> None:
    """Change paths in what a run's files say, such as from those of one machine to those of another."""
    for file in run.rglob("*.json*"):
        text = file.read_text(encoding="utf-8")
        other = replaced(text, paths)
        if file.name == RUN_JSON:
            record = json.loads(other) | {"recipe": renamed(json.loads(text)["recipe"], paths)}
            if record["recipe"]:
                record["fingerprints"]["recipe"] = Recipe.read(record["recipe"]).fingerprint
            other = json.dumps(record, ensure_ascii=False, indent=1)
        if other != text:
            file.write_text(other, encoding="utf-8")


def replaced(text: str, paths: Mapping[str, str]) -> str:
    """JSON with other paths in its strings; only whole paths are looked for, names could be anything."""
    for before, after in paths.items():
        if Path(before).is_absolute():
            text = text.replace(
                json.dumps(before, ensure_ascii=False)[1:-1], json.dumps(after, ensure_ascii=False)[1:-1]
            )
    return text
