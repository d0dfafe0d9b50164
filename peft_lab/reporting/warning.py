"""What could go wrong, and what these figures do not say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from peft_lab.present.style import plain, shorten
from peft_lab.reporting.choosing import recommended
from peft_lab.reporting.language import Language
from peft_lab.reporting.material import Material, Risk
from peft_lab.reporting.parts import NUMBER, TEXT, Made, bullets, heading, paragraph, said, section, table
from peft_lab.reporting.wording import by_chance, name_of, texts_in
from peft_lab.rows import FAILED, FINISHED, UNTRAINED, Row

FEW_SEEDS, FEW_TEXTS, FEW_OF_A_LABEL = 5, 200, 20
MOST_FAILURES, MOST_MISTAKES, MOST_CLASSES, LONGEST = 20, 10, 30, 400
CALIBRATED, OFTEN = 0.05, 0.10
"""Confidence farther than this from how often it is right is not to be taken at its word; churn that is a warning."""


def risks(material: Material, say: Language) -> str:
    """Calibration, mistakes, churn, the price of wrong answers: of the method that the answer names, then of others."""
    first = recommended(material)
    ordered = sorted(material.risks, key=lambda risk: risk.method != first)
    parts: list[str] = []
    for risk in ordered[:4]:
        if len(ordered) > 1:
            parts.append(heading(say("risk.of", method=name_of(risk.method, say), run=shorten(risk.run, 60))))
        parts += [bullets(_measured(risk, say)), _classes(risk, say), _mistakes(risk, say)]
    if not ordered:
        parts.append(paragraph(say("risk.unknown", run=_run_typed(material, first))))
    return section("risks", say("risks.title"), paragraph(say("risks.read")), *parts)


def caveats(material: Material, say: Language) -> str:
    """What follows from the data about how far to trust all this."""
    return section("caveats", say("caveats.title"), bullets(_caveats(material, say)), _failures(material, say))


def _measured(risk: Risk, say: Language) -> Iterator[str]:
    if risk.calibration is not None:
        key = "risk.calibration.good" if risk.calibration <= CALIBRATED else "risk.calibration.bad"
        yield say(key, error=say.percent(risk.calibration))
        if risk.calibrated is not None and risk.calibrated < risk.calibration:
            yield say("risk.calibrated", error=say.percent(risk.calibrated))
    if risk.risk is not None:
        if risk.coverage:
            yield say("risk.coverage", coverage=say.percent(risk.coverage), risk=say.percent(risk.risk))
        else:
            yield say("risk.coverage.none", risk=say.percent(risk.risk))
    if risk.harm_alone is not None and risk.priced:
        yield say("risk.harm.alone", alone=say.price(risk.harm_alone))
        if risk.harm is not None and risk.handed_over is not None and risk.price is not None:
            places = {"harm": say.price(risk.harm), "share": say.percent(risk.handed_over), "price": f"{risk.price:g}"}
            yield say("risk.harm.handing", **places)
    else:
        yield say("risk.harm.none")
    if risk.churn is not None:
        yield say("risk.churn.high" if risk.churn > OFTEN else "risk.churn", share=say.percent(risk.churn))
    if risk.typos is not None and risk.without_typos is not None and risk.mistyped is not None:
        share = say.percent(risk.mistyped)
        yield say("risk.typos", share=share, typos=say.score(risk.typos), without=say.score(risk.without_typos))
    if risk.moved is not None:
        yield say("risk.moved", share=say.percent(risk.moved))


def _classes(risk: Risk, say: Language) -> str:
    worst = sorted(risk.classes, key=lambda one: -one[2] / max(one[1], 1))[:MOST_CLASSES]
    rows = [
        [shorten(label, 60), say.number(texts), say.number(wrong), say.percent(wrong / texts) if texts else "–"]
        for label, texts, wrong in worst
    ]
    columns = (
        (say("column.label"), TEXT),
        (say("column.texts"), NUMBER),
        (say("column.wrong"), NUMBER),
        (say("column.wrong_share"), NUMBER),
    )
    return table(say("risk.classes"), columns, rows)


def _mistakes(risk: Risk, say: Language) -> str:
    rows: list[list[str | Made]] = [
        [said(shorten(one.text, LONGEST)), shorten(one.right, 60), shorten(one.answer, 60), _sure(one.confidence, say)]
        for one in risk.mistakes[:MOST_MISTAKES]
    ]
    columns = (
        (say("column.text"), TEXT),
        (say("column.right"), TEXT),
        (say("column.answer"), TEXT),
        (say("column.confidence"), NUMBER),
    )
    return table(say("risk.mistakes"), columns, rows)


def _sure(confidence: float, say: Language) -> str:
    return say.percent(confidence) if math.isfinite(confidence) else "–"


def _caveats(material: Material, say: Language) -> Iterator[str]:
    rows = material.rows.rows
    seeds = max((cell.n for cell in material.contenders()), default=0)
    if seeds == 1:
        yield say("caveat.one_seed")
    elif 1 < seeds < FEW_SEEDS:
        yield say("caveat.few_seeds", seeds=say.number(seeds))
    yield from _about_test(material, say)
    yield from _about_labels(material, say)
    yield say("caveat.one_domain")
    if material.kind != "run":
        yield say("caveat.sweep") if any(row.swept for row in rows) else say("caveat.no_sweep")
    lost = [row for row in rows if row.status == FAILED]
    waiting = [row for row in rows if row.status not in (FINISHED, FAILED)]
    if lost:
        yield say("caveat.failed", count=say.number(len(lost)), all=say.number(len(rows)))
    if waiting:
        yield say("caveat.missing", count=say.number(len(waiting)), all=say.number(len(rows)))
    early = [row for row in rows if row.budget is None and row.status == FINISHED and _early(row)]
    if early:
        yield say("caveat.early", count=say.number(len(early)))
    if not material.comparable:
        yield say("caveat.other_data")
    if _differ(material, "hardware", "name"):
        yield say("caveat.machines")
    if len(material.contrasts) > 1:
        yield say("caveat.corrected", count=say.number(len(material.contrasts)))
    if not material.risks:
        yield say("caveat.not_judged")
    yield from (say("caveat.note", text=shorten(note, 240)) for note in _notes(material))


def _about_test(material: Material, say: Language) -> Iterator[str]:
    if material.summary is None:
        return
    if material.summary.split != "test":
        yield say("caveat.validation")
    n = texts_in(material, material.summary.split)
    if n is None or n >= FEW_TEXTS or not material.comparable:
        return
    mean = next(cell.mean for cell in material.contenders() if cell.method == recommended(material))
    if chance := by_chance(material, mean):
        yield say("caveat.few_texts.range", texts=say.number(n), score=say.score(mean), range=say.range(*chance[1:]))
    else:
        yield say("caveat.few_texts", texts=say.number(n))


def _about_labels(material: Material, say: Language) -> Iterator[str]:
    labels = (material.record.get("data") or {}).get("labels") or {}
    rare = [name for name, count in labels.items() if isinstance(count, (int, float)) and count < FEW_OF_A_LABEL]
    if rare:
        names = say.listed(shorten(name, 30) for name in rare[:5])
        yield say("caveat.rare", count=say.number(len(rare)), names=names, few=say.number(FEW_OF_A_LABEL))


def _early(row: Row) -> bool:
    return row.steps is not None and row.steps[0] < row.steps[1]


def _differ(material: Material, part: str, key: str) -> bool:
    found = {(record.get(part) or {}).get(key) for record in material.records.values()} - {None}
    return len(found) > 1


def _notes(material: Material) -> list[str]:
    """What the core noted about runs, each once; notes about the data stand with the data."""
    about = set(map(str, (material.record.get("data") or {}).get("notes") or ()))
    found: dict[str, Any] = {}
    for record in material.records.values():
        found |= {plain(note): None for note in map(str, record.get("notes") or ()) if note not in about}
    return list(found)[:8]


def _failures(material: Material, say: Language) -> str:
    rows = [
        [name_of(row.method, say), say.number(row.examples), str(row.seed), shorten(row.error or say("unknown"), 200)]
        for row in material.rows.rows
        if row.status == FAILED and row.method != UNTRAINED
    ]
    columns = (
        (say("column.method"), TEXT),
        (say("column.examples"), NUMBER),
        (say("column.seed"), NUMBER),
        (say("column.error"), TEXT),
    )
    more = (
        paragraph(say("failures.more", count=say.number(len(rows) - MOST_FAILURES)))
        if len(rows) > MOST_FAILURES
        else ""
    )
    return table(say("failures.caption"), columns, rows[:MOST_FAILURES]) + more


def _run_typed(material: Material, method: str) -> str:
    row = material.run_of(method) if material.scored else None
    return material.names.get(row.path, "") if row else "RUN"
