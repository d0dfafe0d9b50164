"""What to do next, how to go back, how to do it again, and what the words mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from peft_lab.files import from_here
from peft_lab.present.style import plain, shorten
from peft_lab.reporting.choosing import no_gain, recommended
from peft_lab.reporting.language import Language
from peft_lab.reporting.material import Material
from peft_lab.reporting.parts import TEXT, bullets, folded, heading, paragraph, pre, section, table, terms
from peft_lab.reporting.results import machine
from peft_lab.reporting.wording import name_of
from peft_lab.rows import UNTRAINED

STAGES = ("agree", "beside", "small", "wide", "watch")
WORDS = ("base", "method", "seed", "splits", "range", "none", "corrected")
MOST_JSON, MOST_RECIPES = 20_000, 24
FOLDER = "pilot-model"


def next_steps(material: Material, say: Language) -> str:
    """A roll-out in stages, and the way back from each."""
    method = recommended(material)
    row = material.run_of(method) if method else None
    if row is None:
        why = "next.none" if material.comparable else "next.apart"
        return section("next", say("next.title"), paragraph(say(why)))
    run = material.names.get(row.path, row.path)
    stages = [say(f"next.{stage}") for stage in STAGES]
    key = "next.undecided" if no_gain(material, method) else "next.method"
    chosen = say(key, method=name_of(method, say), run=run)
    use = "\n".join((f"%peft save {run} {FOLDER}", f"%peft load {FOLDER}", '%peft predict "..."'))
    return section(
        "next",
        say("next.title"),
        paragraph(chosen),
        bullets(stages, numbered=True),
        heading(say("next.use")),
        paragraph(say("next.use.how")),
        pre(use),
        heading(say("next.back")),
        paragraph(say("next.back.how")),
        pre("%peft rollback"),
        paragraph(say("next.back.proof")),
    )


def reproduce(material: Material, say: Language) -> str:
    """Plan, recipes, versions, hashes: all that is needed to do it again, or to check that nothing changed."""
    record = material.record
    prints = record.get("fingerprints") or {}
    versions = record.get("versions") or {}
    rows = [
        [say("again.data"), _print(prints.get("data"))],
        [say("again.model"), _print(prints.get("model"))],
        [say("again.code"), _print(prints.get("code"))],
        [say("again.versions"), say("separator").join(f"{plain(n)} {plain(v)}" for n, v in versions.items())],
        [say("again.machine"), plain(machine(material, say))],
    ]
    if material.study_file:
        rows.insert(0, [say("again.study"), from_here_said(material.study_file)])
    shown = [row for row in rows if row[1]]
    recipes = [
        folded(say("again.recipe", method=name_of(method, say), run=shorten(run, 80)), pre(_json(recipe)))
        for method, run, recipe in _recipes(material)
    ]
    plan = folded(say("again.plan"), pre(_json(material.rows.plan))) if material.kind == "study" else ""
    columns = ((say("column.what"), TEXT), (say("column.value"), TEXT))
    return section(
        "again",
        say("again.title"),
        paragraph(say("again.study.how") if material.kind == "study" else say("again.run.how")),
        table(say("again.caption"), columns, shown),
        plan,
        *recipes,
    )


def glossary(material: Material, say: Language) -> str:
    """Words of this page, for who does not use them every day."""
    return section("words", say("words.title"), terms((say(f"word.{n}"), say(f"word.{n}.means")) for n in WORDS))


def from_here_said(path: str) -> str:
    """A path as it is typed from the present folder."""
    from pathlib import Path

    return plain(from_here(Path(path)))


def _recipes(material: Material) -> list[tuple[str, str, Mapping[str, Any]]]:
    """A recipe for each method; other seeds and sizes differ in that alone."""
    found: dict[str, tuple[str, str, Mapping[str, Any]]] = {}
    many = material.kind == "study"
    for row in material.rows.rows:
        recipe = material.records.get(row.path, {}).get("recipe")
        key = row.method if many else row.path
        if not recipe or row.method == UNTRAINED:
            continue
        if many and material.scored and (best := material.run_of(row.method)) is not None and best.path != row.path:
            continue
        found.setdefault(key, (row.method, material.names.get(row.path, row.path), recipe))
    return list(found.values())[:MOST_RECIPES]


def _json(data: Any) -> str:
    text = json.dumps(data, ensure_ascii=False, indent=1, default=str)
    return text if len(text) <= MOST_JSON else f"{text[:MOST_JSON]}\n…"


def _print(value: Any) -> str:
    return f"`{plain(value)}`" if value else ""
