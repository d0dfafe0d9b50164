"""What trackers are told of a run, in the words of its record: what was asked, what came out, never a text."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from peft_lab.trackers.choice import STUDY

Record = Mapping[str, Any]
Point = Mapping[str, Any]
NOT_SCORES = ("step", "epoch", "split", "seconds", "learning_rate")


def key_of(run: Record) -> str:
    """What makes a run the same one when it goes on: its name, recipe and beginning."""
    recipe = (run.get("fingerprints") or {}).get("recipe")
    return hashlib.sha256(f"{run.get('id')} {run.get('started')} {recipe}".encode()).hexdigest()[:24]


def started(run: Record) -> dict[str, Any]:
    """Of a run that begins."""
    recipe = run.get("recipe") or {}
    method = "+".join(str(spec.get("name")) for spec in recipe.get("methods") or ())
    name = str(run.get("id") or "run")
    return {
        "run": key_of(run),
        "name": name if name.startswith("run-") else f"{method} seed {recipe.get('seed')} {name[:8]}",
        "params": dict(params(recipe)),
        "tags": tags(run),
    }


def params(recipe: Record) -> Iterator[tuple[str, str]]:
    """The recipe, flat: ``training.epochs``, ``lora.rank``, ``data.source``; what was not set is left out."""
    methods = recipe.get("methods") or ()
    yield "method", "+".join(str(spec.get("name")) for spec in methods)
    for key in ("model", "seed"):
        if recipe.get(key) is not None:
            yield key, str(recipe[key])
    parts = {"data": recipe.get("data"), "training": recipe.get("training"), "start": recipe.get("start")}
    parts |= {str(spec.get("name")): spec.get("options") for spec in methods}
    for name, part in parts.items():
        yield from _flat(name, part)


def tags(run: Record) -> dict[str, str]:
    """What a run is found by."""
    recipe, prints = run.get("recipe") or {}, run.get("fingerprints") or {}
    found = {
        "run": run.get("id"),
        "status": run.get("status"),
        "method": "+".join(str(spec.get("name")) for spec in recipe.get("methods") or ()),
        "study": os.environ.get(STUDY),
        "task": run.get("task"),
        "data": prints.get("data"),
        "base_model": prints.get("model"),
        "recipe": prints.get("recipe"),
        "version": (run.get("versions") or {}).get("peft_lab"),
        "error": (run.get("error") or {}).get("type"),  # its message may quote the data
    }
    return {name: str(value) for name, value in found.items() if value}


def metrics_of(point: Point) -> dict[str, float]:
    """A point of ``metrics.jsonl`` by split: ``train/loss``, ``validation/accuracy``, ``train/learning_rate``."""
    split = str(point.get("split") or "train")
    names = [name for name in point if name not in NOT_SCORES or name == "learning_rate"]
    return {f"{split}/{name}": value for name in names if (value := _number(point[name])) is not None}


def ended(run: Record) -> dict[str, Any]:
    """Of a run that ended: its final scores and costs, and how it ended."""
    finals: dict[str, Any] = {
        f"final/{split}/{name}": value
        for split, values in (run.get("metrics") or {}).items()
        for name, value in values.items()
    }
    finals |= {f"cost/{name}": value for name, value in (run.get("cost") or {}).items()}
    known = {name: number for name, value in finals.items() if (number := _number(value)) is not None}
    steps = (run.get("steps") or {}).get("done") or 0
    return {
        "run": key_of(run),
        "status": str(run.get("status") or ""),
        "metrics": {name: value for name, value in known.items() if math.isfinite(value)},
        "step": int(steps),
        "tags": tags(run),
    }


def card_of(run: Record, points: list[Point]) -> str:
    """The card of a run as a page, without traceback."""
    from typing import cast

    from peft_lab.present.card import run_card
    from peft_lab.run import Run

    error = {**(run.get("error") or {}), "traceback": ""} if run.get("error") else None
    told = SimpleNamespace(
        id=str(run.get("id")), record={**run, "error": error}, status=str(run.get("status")), points=points
    )
    title = '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    return f'{title}<body style="font-family:sans-serif">{run_card(cast(Run, told)).html}</body>'


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    elif value is not None:
        yield name, ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _number(value: Any) -> float | None:
    """A number, also one of numpy's, as plugins give them."""
    value = value.item() if hasattr(value, "item") else value
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
