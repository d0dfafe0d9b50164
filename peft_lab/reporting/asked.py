"""What was asked, what was compared, on which data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from peft_lab.present.style import plain, shorten
from peft_lab.reporting.language import Language
from peft_lab.reporting.material import Material
from peft_lab.reporting.parts import NUMBER, TEXT, Made, bullets, paragraph, section, strong, table
from peft_lab.reporting.wording import budget_said, data_by_method, data_name, explained, metric_said, name_of
from peft_lab.rows import UNTRAINED

MOST_LABELS, MOST_NOTES = 24, 12


def title(material: Material, say: Language) -> str:
    """Of the page."""
    if material.kind == "study":
        return say("title.study", name=shorten(material.rows.name, 60))
    return say("title.runs", runs=shorten(say.listed(material.names[row.path] for row in material.rows.rows), 80))


def question(material: Material, say: Language) -> str:
    """What was to be found out, in a sentence."""
    data = source(material) if material.comparable else say.listed(dict.fromkeys(data_by_method(material).values()))
    places = {"data": data, "model": model(material)}
    contenders = list(dict.fromkeys(row.method for row in material.rows.rows))
    if material.kind == "run" and contenders:
        return say("question.run", method=name_of(contenders[0], say), **places)
    count = len([name for name in contenders if name not in material.rows.baselines]) or len(contenders)
    return say("question.many", count=say.number(count), **places)


def compared(material: Material, say: Language) -> str:
    """The methods, each in a sentence, and how they were set against each other."""
    methods = list(dict.fromkeys(row.method for row in material.rows.rows))
    baselines = material.summary.baselines if material.summary else ()
    items: list[str | Made] = [
        strong(
            name_of(method, say) + say("compared.stop"),
            explained(method, material, say) + (say("compared.baseline") if method in baselines else ""),
        )
        for method in methods
    ]
    return section("compared", say("compared.title"), bullets(items), bullets(_setting(material, say)))


def data(material: Material, say: Language) -> str:
    """The data, how it was split, and what was noticed while it was read."""
    about: Mapping[str, Any] = material.record.get("data") or {}
    spec: Mapping[str, Any] = (material.record.get("recipe") or {}).get("data") or {}
    rows: Mapping[str, Any] = about.get("rows") or {}
    said = [] if material.comparable else [say("data.one_of", name=source(material))]
    said += [say("data.source", name=source(material), task=_task(material, say))]
    named_rows = [(say(f"split.{split}"), say.number(int(rows[split]))) for split in SPLITS if rows.get(split)]
    said += [say("data.split", split=split, count=count) for split, count in named_rows]
    said += list(_how_split(material, spec, rows, say))
    notes = [plain(note) for note in dict.fromkeys(map(str, about.get("notes") or ()))][:MOST_NOTES]
    return section(
        "data",
        say("data.title"),
        bullets(said),
        _labels(about, say),
        paragraph(say("data.notes")) + bullets(shorten(note, 300) for note in notes) if notes else "",
    )


SPLITS = ("train", "validation", "test")


def source(material: Material) -> str:
    """The name of the data."""
    if found := data_name(material.record):
        return found
    asked = material.rows.plan.get("data") or "?"
    return shorten(asked if isinstance(asked, str) else (asked.get("source") or "?"), 60)


def model(material: Material) -> str:
    """The name of the base model."""
    recipe = material.record.get("recipe") or {}
    return shorten(recipe.get("model") or material.rows.plan.get("model") or "?", 60)


def _setting(material: Material, say: Language) -> Iterator[str]:
    """Sizes, budgets, seeds, learning rates."""
    rows = material.rows.rows
    sizes, budgets = _sizes(material), {row.budget for row in rows if row.method != UNTRAINED}
    seeds = sorted({row.seed for row in rows})
    yield say("setting.model", model=model(material))
    if len(sizes) > 1:
        yield say("setting.sizes", sizes=say.listed(say.number(size) for size in sizes))
    if budgets - {None}:
        ordered = sorted(budgets, key=lambda budget: math.inf if budget is None else budget)
        yield say("setting.budgets", budgets=say.listed(budget_said(budget, say) for budget in ordered))
    yield say("setting.seeds", seeds=say.number(len(seeds))) if len(seeds) > 1 else say("setting.seed")
    if material.summary is not None:
        yield say("setting.metric", metric=metric_said(material.summary.metric, material.summary.split, say))
        if say.has(f"meaning.{material.summary.metric}"):
            yield say(f"meaning.{material.summary.metric}")
    if any(row.swept for row in rows):
        rates = sorted({rate for row in rows for rate in row.swept})
        yield say("setting.sweep", rates=say.listed(f"{rate:g}" for rate in rates))


def _sizes(material: Material) -> list[int]:
    """Numbers of training texts; without training there are none, which is no size."""
    return sorted({row.examples for row in material.rows.rows if row.examples and row.method != UNTRAINED})


def _how_split(material: Material, spec: Mapping[str, Any], rows: Mapping[str, Any], say: Language) -> Iterator[str]:
    if material.kind == "study" and len(_sizes(material)) > 1:
        yield say("data.nested")
    if rows.get("validation"):
        yield say("data.validation.given") if spec.get("validation") else say("data.validation.carved")
    yield say("data.test") if rows.get("test") else say("data.no_test")


def _labels(about: Mapping[str, Any], say: Language) -> str:
    labels = about.get("labels") or {}
    if not isinstance(labels, Mapping) or not labels:
        return ""
    shown = sorted(labels.items(), key=lambda item: -item[1] if isinstance(item[1], (int, float)) else 0)
    rows = [[shorten(name, 60), say.number(int(count))] for name, count in shown[:MOST_LABELS]]
    if len(shown) > MOST_LABELS:
        rows.append([say("data.labels.more", count=say.number(len(shown) - MOST_LABELS)), ""])
    columns = ((say("column.label"), TEXT), (say("column.rows"), NUMBER))
    return table(say("data.labels"), columns, rows)


def _task(material: Material, say: Language) -> str:
    task = str((material.record.get("data") or {}).get("task") or material.record.get("task") or "")
    return say(f"task.{task}") if say.has(f"task.{task}") else say("task.other")
