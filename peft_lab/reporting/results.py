"""What came out: figures, the table of scores with the test, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from peft_lab.present.picture import image
from peft_lab.reporting.answering import where
from peft_lab.reporting.choosing import tied
from peft_lab.reporting.language import Language
from peft_lab.reporting.material import BETTER, WORSE, Material
from peft_lab.reporting.parts import (
    NUMBER,
    SHORT,
    TEXT,
    Made,
    above,
    beside,
    marked,
    paragraph,
    rich,
    section,
    span,
    table,
    tiles,
)
from peft_lab.reporting.wording import budget_said, data_by_method, interval, metric_said, name_of
from peft_lab.rows import UNTRAINED

if TYPE_CHECKING:
    from peft_lab.evidence import Cell

MOST_ROWS = 200
Column = tuple[str, str]


def at_a_glance(material: Material, method: str, say: Language) -> str:
    """The numbers of the method that the answer names."""
    cell = next((cell for cell in material.at_place() if cell.method == method), None)
    if cell is None or material.summary is None:
        return ""
    metric, cost = metric_said(material.summary.metric, material.summary.split, say), cell.cost
    found = [(metric, say.score(cell.mean), _short_spread(material, cell, say))]
    if cost.get("total") and cost.get("trainable"):
        of = say("tile.of", total=say.count(cost["total"]))
        found.append((say("tile.trains"), say.share(cost["trainable"] / cost["total"]), of))
    for key, shown in (("seconds", say.seconds), ("bytes_on_disk", say.bytes), ("peak_memory", say.bytes)):
        if cost.get(key):
            found.append((say(f"tile.{key}"), shown(cost[key]), ""))
    return paragraph(say("tile.whose", method=name_of(method, say)), "small") + tiles(found)


def figures(material: Material, say: Language) -> str:
    """What the views drew, each with a sentence that says how to read it."""
    parts = []
    for number, drawn in enumerate(material.figures, 1):
        caption = say("figure.caption", number=number, text=say(f"figure.{drawn.what}"))
        picture = image(drawn.png, drawn.alt, drawn.width)
        parts.append(f"<figure>{picture}<figcaption>{rich(caption)}</figcaption></figure>")
    terms = paragraph(say("figure.terms"), "small") if parts else ""
    return section("figures", say("figures.title"), terms, *parts)


def scores(material: Material, say: Language) -> str:
    """Every cell with its score, its range and, where the answer is decided, how it stands against the best."""
    summary = material.summary
    if summary is None:
        return ""
    cells = [cell for cell in summary.cells if cell.n or cell.failed or cell.missing]
    here = material.at_place()
    order = sorted(here, key=lambda cell: -cell.mean) + [cell for cell in cells if cell not in here]
    metric = metric_said(summary.metric, summary.split, say)
    if not material.comparable:
        return section("scores", say("scores.title"), _others(material, cells[:MOST_ROWS], metric, say))
    parts = [paragraph(say("scores.read"))]
    if here:
        parts.append(_decided(material, here, metric, say))
    others = [cell for cell in order if cell not in here][:MOST_ROWS]
    if others:
        parts.append(_others(material, others, metric, say))
    return section("scores", say("scores.title"), *parts)


def costs(material: Material, say: Language) -> str:
    """Time, memory, file size and parameters, by method, where the answer is decided."""
    cells = [cell for cell in material.at_place() if cell.cost and cell.method != UNTRAINED]
    if not cells:
        return ""
    known = [name for name in ("seconds", "peak_memory", "bytes_on_disk") if any(c.cost.get(name) for c in cells)]
    shown = {"seconds": say.seconds, "peak_memory": say.bytes, "bytes_on_disk": say.bytes}
    columns: list[Column] = [(say("column.method"), TEXT), (say("column.trains"), NUMBER)]
    columns += [(say(f"column.{name}"), NUMBER) for name in known]
    risks = {risk.method: risk for risk in material.risks if risk.p50 is not None}
    if risks:
        columns += [(say("column.p50"), NUMBER), (say("column.p99"), NUMBER), (say("column.throughput"), NUMBER)]
    rows = []
    for cell in sorted(cells, key=lambda cell: cell.cost.get("trainable", math.inf)):
        row = [name_of(cell.method, say), _trains(cell, say), *(shown[name](cell.cost.get(name)) for name in known)]
        if risks:
            risk = risks.get(cell.method)
            row += [say.seconds(risk.p50), say.seconds(risk.p99), _speed(risk.throughput, say)] if risk else ["–"] * 3
        rows.append(row)
    return section(
        "costs",
        say("costs.title"),
        paragraph(say("costs.read")),
        table(say("costs.caption", where=where(material, say)), columns, rows),
        paragraph(say("costs.hardware", machine=machine(material, say)), "small"),
    )


def machine(material: Material, say: Language) -> str:
    """What it was trained on."""
    found = material.record.get("hardware") or {}
    cores = say("machine.cores", count=say.number(int(found["cores"]))) if found.get("cores") else ""
    memory = say("machine.memory", size=say.bytes(found["memory"])) if found.get("memory") else ""
    parts = (str(found.get("name") or found.get("device") or ""), cores, memory, str(found.get("precision") or ""))
    return say("separator").join(part for part in parts if part) or say("unknown")


def _decided(material: Material, cells: Sequence[Cell], metric: str, say: Language) -> str:
    """The table where the answer is decided, with ranges to be compared and the verdicts."""
    ends = _ends(material, cells)
    tested = bool(material.contrasts)
    several = any(cell.n > 1 for cell in cells)
    columns: list[Column] = [(say("column.method"), TEXT), (metric, NUMBER)]
    columns += [(say("column.range"), SHORT)] if ends else []
    columns += [(say("column.seeds"), NUMBER)] if several else []
    columns += [(say("column.difference"), NUMBER), (say("column.verdict"), TEXT)] if tested else []
    rows: list[list[str | Made]] = []
    for cell in cells:
        row: list[str | Made] = [name_of(cell.method, say), say.score(cell.mean)]
        row += [_range(material, cell, ends, say)] if ends else []
        row += [_seeds(cell, say)] if several else []
        row += _verdict(material, cell.method, say) if tested else []
        rows.append(row)
    equal = tied(material)
    best = [at for at, cell in enumerate(cells) if cell.method in equal] if tested else []
    how = "scores.caption.seeds" if several else "scores.caption.chance" if ends else "scores.caption"
    caption = say(how, where=where(material, say))
    return table(caption, columns, rows, best) + (paragraph(say("scores.test"), "small") if tested else "")


def _others(material: Material, cells: Sequence[Cell], metric: str, say: Language) -> str:
    """All other cells: less data, shorter budgets, without a score; or all, where each stands for itself."""
    data = {} if material.comparable else data_by_method(material)
    budgets = any(cell.budget is not None for cell in cells)
    columns: list[Column] = [(say("column.method"), TEXT), (say("column.examples"), NUMBER)]
    columns[1:1] = [(say("column.data"), TEXT)] if data else []
    columns += [(say("column.budget"), SHORT)] if budgets else []
    columns += [(metric, NUMBER), (say("column.sd"), NUMBER), (say("column.seeds"), NUMBER)]
    rows = []
    for cell in cells:
        row = [name_of(cell.method, say), *([data.get(cell.method, "–")] if data else []), say.number(cell.examples)]
        row += [budget_said(cell.budget, say)] if budgets else []
        rows.append([*row, say.score(cell.mean) if cell.n else "–", say.score(cell.sd), _seeds(cell, say)])
    return table(say("scores.apart") if data else say("scores.others"), columns, rows)


def _seeds(cell: Cell, say: Language) -> str:
    """How many seeds, and what is missing."""
    lost = [say("seeds.failed", count=say.number(cell.failed))] if cell.failed else []
    lost += [say("seeds.missing", count=say.number(cell.missing))] if cell.missing else []
    return say.number(cell.n) + (say("seeds.lost", what=say.listed(lost)) if lost else "")


def _range(material: Material, cell: Cell, ends: tuple[float, float], say: Language) -> str | Made:
    found = interval(material, cell)
    if found is None:
        return "–"
    label = say("range.label", score=say.score(cell.mean), range=say.range(*found))
    return above(say.range(*found), span(found[0], cell.mean, found[1], ends, label))


def _ends(material: Material, cells: Sequence[Cell]) -> tuple[float, float] | None:
    """Between which scores ranges are drawn: those of what could be the answer, not of what is there to be compared."""
    asked = [cell for cell in cells if cell in material.contenders()] or cells
    found = [one for cell in asked if (one := interval(material, cell))]
    if not found:
        return None
    means = [cell.mean for cell in asked]
    return min([*means, *(one[0] for one in found)]), max([*means, *(one[1] for one in found)])


def _verdict(material: Material, method: str, say: Language) -> list[str | Made]:
    contrast = material.contrast(method)
    if contrast is None:
        first = material.contrasts[0].against == method
        return ["–", say("verdict.best") if first else say("verdict.baseline")]
    kind = {BETTER: "better", WORSE: "worse"}.get(contrast.verdict, "")
    words = say(f"verdict.{kind or 'none'}")
    p = say("p.small") if contrast.p < 0.001 else say("p.is", p=f"{contrast.p:.3f}")
    return [say.difference(contrast.difference), beside(marked(words, kind) if kind else words, p)]


def _trains(cell: Cell, say: Language) -> str:
    if not cell.cost.get("total") or cell.cost.get("trainable") is None:
        return "–"
    share = say.share(cell.cost["trainable"] / cell.cost["total"])
    return say("cost.count", count=say.count(cell.cost["trainable"]), share=share)


def _speed(value: float | None, say: Language) -> str:
    return say("cost.speed", count=say.count(value)) if value else "–"


def _short_spread(material: Material, cell: Cell, say: Language) -> str:
    found = interval(material, cell)
    return say("tile.range", range=say.range(*found)) if found else ""
