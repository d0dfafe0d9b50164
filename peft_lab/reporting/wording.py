"""Names, scores and amounts in a sentence, wherever they stand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from peft_lab.present.style import plain, shorten, words
from peft_lab.reporting.language import Language
from peft_lab.reporting.material import Material
from peft_lab.rows import HEAD, UNTRAINED

if TYPE_CHECKING:
    from peft_lab.evidence import Cell

SHARES = ("accuracy", "exact_match", "token_accuracy")
"""Scores that are a share of single answers: chance alone moves them as it moves a coin."""
CORRELATIONS = ("matthews", "pearson", "spearman")
UP_TO_ONE = (*SHARES, *CORRELATIONS, "macro_f1", "f1", "entity_f1")
"""Scores of which 0 is nothing and 1 is perfect."""
Z = 1.959964


def name_of(method: str, say: Language) -> str:
    """A method as it is called in a sentence."""
    if method == UNTRAINED:
        return say("name.untrained")
    return say("name.head") if method == HEAD else shorten(method, 48)


def named(methods: Iterable[str], say: Language) -> list[str]:
    """Several of them."""
    return [name_of(method, say) for method in methods]


def parts_of(method: str) -> list[str]:
    """Names of the methods that a composition is made of, without their settings."""
    return [part.split(" ")[0] for part in method.split("+")]


def explained(method: str, material: Material, say: Language) -> str:
    """What a method does, in a plain sentence; a stranger's in the words of its plugin."""
    if method == UNTRAINED:
        return say("method.untrained")
    said = []
    for part in parts_of(method):
        if part in material.builtin and part in say.methods:
            said.append(say.methods[part])
        elif part.startswith("peft:"):
            said.append(say("method.peft", name=shorten(part.removeprefix("peft:"), 40)))
        elif summary := material.summaries.get(part):
            said.append(say("method.other", summary=plain(summary)))
        else:
            said.append(say("method.unknown"))
    return (
        say("method.joined", first=said[0], rest=" ".join(dict.fromkeys(said[1:]))) if len(set(said)) > 1 else said[0]
    )


def metric_name(metric: str, say: Language) -> str:
    """A score by its everyday name."""
    return say(f"metric.{metric}") if say.has(f"metric.{metric}") else words(metric)


def metric_said(metric: str, split: str, say: Language) -> str:
    """A score and where it was measured."""
    return say("metric.on", metric=metric_name(metric, say), split=say(f"split.{split}"))


def budget_said(budget: float | None, say: Language) -> str:
    """A time budget."""
    return say("budget.none") if budget is None else say("budget.some", time=say.seconds(budget))


def size_said(cell: Cell, say: Language) -> str:
    """How many training texts."""
    return say.number(cell.examples)


def wilson(score: float, n: int) -> tuple[float, float]:
    """Between which shares a share may be on new texts, by chance alone (Wilson 1927, 95 %)."""
    middle = (score + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(score * (1 - score) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def data_name(record: Mapping[str, Any]) -> str:
    """The name of the data that a run was trained on; empty where it is not known."""
    found = (record.get("data") or {}).get("name") or ((record.get("recipe") or {}).get("data") or {}).get("source")
    return shorten(str(found), 60) if found else ""


def data_by_method(material: Material) -> dict[str, str]:
    """What each method was trained on; with the hash where different data have one name."""
    names = {data: data_name(material.record_of(rows)) or data[:8] for data, rows in material.data.items()}
    one_name = len(set(names.values())) < len(names)
    told = {data: f"{name} ({data[:8]})" if one_name else name for data, name in names.items()}
    return {row.method: told[data] for data, rows in material.data.items() for row in rows}


def texts_in(material: Material, split: str) -> int | None:
    """Rows of a split; None where they are not known."""
    rows = (material.record.get("data") or {}).get("rows") or {}
    found = rows.get(split)
    return int(found) if isinstance(found, (int, float)) and found > 0 else None


def by_chance(material: Material, score: float) -> tuple[int, float, float] | None:
    """Texts of the split that was scored, and how far chance alone may move a score on them."""
    summary = material.summary
    if summary is None or summary.metric not in SHARES or not 0 <= score <= 1:
        return None
    n = texts_in(material, summary.split)
    return (n, *wilson(score, n)) if n else None


def interval(material: Material, cell: Cell) -> tuple[float, float] | None:
    """In which range a score is to be expected: over seeds where there are several, else by the number of texts.

    No score is above 1, and few are below 0, which an interval of few seeds does not know.
    """
    if cell.n > 1 and math.isfinite(cell.low) and material.summary is not None:
        below_zero = material.summary.metric in CORRELATIONS
        return (cell.low if below_zero else max(cell.low, min(0.0, cell.mean))), min(cell.high, max(1.0, cell.mean))
    chance = by_chance(material, cell.mean) if cell.n == 1 else None
    return chance[1:] if chance else None


def apart(material: Material, difference: float) -> float:
    """An end of the interval of a difference, no larger than two scores can differ: of few seeds it goes beyond."""
    metric = material.summary.metric if material.summary else ""
    most = (2.0 if metric in CORRELATIONS else 1.0) if metric in UP_TO_ONE else math.inf
    return max(-most, min(most, difference))


def spread_of(material: Material, cell: Cell, say: Language) -> str:
    """How sure a score is, in a sentence."""
    found = interval(material, cell)
    if found is None:
        return ""
    if cell.n > 1:
        return say("answer.seeds", seeds=say.number(cell.n), range=say.range(*found))
    assert material.summary is not None
    n = texts_in(material, material.summary.split) or 0
    return say("answer.chance", texts=say.number(n), range=say.range(*found))
