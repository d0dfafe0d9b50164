"""A study as a table: means with their spread, what was shown, and below it what that rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from peft_lab.evidence import Area, Cell, Comparison, Enough, McNemar, Summary, area_under_curve, smallest_enough
from peft_lab.evidence.summary import Place, budget_order
from peft_lab.listings.evidence_notes import LONGEST_NAME, detectable, notes, p_value, percent, said_budget, said_p
from peft_lab.present.style import DASH, count, score, seconds, share, shorten, words
from peft_lab.present.table import Table
from peft_lab.rows import StudyRows
from peft_lab.texts import evidence as texts


def study_table(rows: StudyRows, summary: Summary, comparisons: Sequence[Comparison]) -> Table:
    """A row for each method and budget, the best first; baselines last.

    Args:
        rows: the study.
        summary: of :func:`peft_lab.evidence.summarise`.
        comparisons: of :func:`peft_lab.evidence.comparisons`, on the same score; empty where nothing can be compared.
    """
    areas = {(a.method, a.budget): a for a in area_under_curve(rows, summary.metric)}
    enough = {(e.method, e.budget): e for e in smallest_enough(rows, summary.metric)}
    sizes, budgets = summary.sizes, summary.budgets
    against = comparisons[0].against if comparisons else ""
    known = {c.method: c for c in comparisons}
    columns = [texts.METHOD, *([texts.BUDGET] if len(budgets) > 1 else []), *(_size(*size) for size in sizes)]
    columns += [texts.AREA, texts.ENOUGH] if len(sizes) > 1 else []
    columns += [texts.AGAINST.format(best=shorten(against, LONGEST_NAME))] if comparisons else []
    columns += [texts.TRAINABLE, texts.TIME] + ([texts.RATE] if _rates(summary) else [])
    made = []
    for method in _in_order(summary):
        own = summary.of(method)
        first = True
        for budget in sorted({cell.budget for cell in own}, key=budget_order):
            cells = {cell.examples: cell for cell in own if cell.budget == budget}
            row = [shorten(method, LONGEST_NAME)]
            row += [said_budget(budget) if any(cells) else DASH] if len(budgets) > 1 else []
            row += [_scored(cells.get(size) or cells.get(0), len(summary.seeds)) for size, _ in sizes]
            if len(sizes) > 1:
                row += [_area(areas.get((method, budget))), _enough(enough.get((method, budget)))]
            if comparisons:
                row.append(_verdict(method, comparisons, known.get(method)) if first else "")
            last = cells[max(cells)]
            row += [_trainable(last), seconds(last.cost.get("seconds")) if max(cells) else DASH]
            row += [_rate(cells)] if _rates(summary) else []
            made.append(row)
            first = False
    title = texts.TITLE.format(name=rows.name, split=summary.split, metric=words(summary.metric))
    numbers = len(columns) - 1
    return Table(title, columns, made, " ".join(notes(rows, summary, comparisons)), "<" + "<" * numbers)


def comparisons_table(summary: Summary, comparisons: Sequence[Comparison]) -> Table:
    """Every number behind the verdicts."""
    rows = [
        [
            shorten(c.method, LONGEST_NAME),
            signed(c.difference),
            between(c.t_low, c.t_high),
            between(c.low, c.high),
            texts.SEEDS_ABOVE.format(above=c.above, seeds=c.seeds),
            p_value(c.permutation_p),
            p_value(c.t_p),
            p_value(c.corrected_p),
            _word(c.verdict),
            detectable(c, summary.widest),
        ]
        for c in comparisons
    ]
    against = comparisons[0].against if comparisons else ""
    most = max((c.seeds for c in comparisons), default=1)
    note = texts.COMPARED_NOTE.format(seeds=most, most=share(1 - 2 / 2**most))
    title = texts.COMPARED.format(
        name=summary.name, split=summary.split, metric=words(summary.metric), against=shorten(against, LONGEST_NAME)
    )
    return Table(title, texts.COMPARED_COLUMNS, rows, note if most > 1 else "")


def two_runs_table(a: str, b: str, found: McNemar) -> Table:
    """What two runs got right of the same texts, with the verdict below."""
    a, b = shorten(a, LONGEST_NAME), shorten(b, LONGEST_NAME)
    rows: list[list[str | int]] = [
        [texts.RIGHT.format(a=a), found.both, found.only_a],
        [texts.WRONG.format(a=a), found.only_b, found.neither],
    ]
    note = (texts.MCNEMAR_NOTE_FEWER if found.difference < 0 else texts.MCNEMAR_NOTE).format(
        verdict=texts.VERDICT_OF_RUNS[found.verdict].format(a=a, b=b),
        a=a,
        difference=f"{100 * abs(found.difference):.1f}",
        low=_points(found.low),
        high=_points(found.high),
        p=said_p(found.p),
        form=texts.FORMS[found.form],
        level=percent(found.level),
    )
    title = texts.MCNEMAR_TITLE.format(a=a, b=b, n=f"{found.n:,}")
    return Table(title, [name.format(b=b) for name in texts.MCNEMAR_COLUMNS], rows, note)


def _points(value: float) -> str:
    return ("−" if value < 0 else "+") + f"{100 * abs(value):.1f}"


def signed(value: float) -> str:
    """``+0.012``, ``−0.012``."""
    if math.isnan(value):
        return DASH
    return ("−" if value < 0 else "+") + score(abs(value))


def between(low: float, high: float) -> str:
    """The two ends of an interval."""
    return DASH if math.isnan(low) or math.isnan(high) else texts.RANGE.format(low=signed(low), high=signed(high))


def _in_order(summary: Summary) -> list[str]:
    """Methods by their mean over the places that all others have; baselines behind them."""
    own = {m: {c.place: c.mean for c in summary.of(m) if c.n} for m in summary.methods}
    others = [set(own[m]) for m in summary.methods if m not in summary.baselines and own[m]]
    shared: set[Place] = set.intersection(*others) if others else set()

    def mean(method: str) -> float:
        values = [value for place, value in own[method].items() if not shared or place in shared or not place[0]]
        return sum(values) / len(values) if values else -math.inf

    return sorted(summary.methods, key=lambda m: (m in summary.baselines, -mean(m)))


def _size(examples: int, asked: str) -> str:
    if asked == "all":
        return texts.ALL_ROWS.format(count=f"{examples:,}")
    return f"{asked} ({examples:,})" if "%" in asked else texts.ROWS.format(count=f"{examples:,}")


def _scored(cell: Cell | None, seeds: int) -> str:
    if cell is None:
        return DASH
    if not cell.n:
        return texts.FAILED if cell.failed else texts.WAITING
    said = score(cell.mean) if math.isnan(cell.sd) else f"{score(cell.mean)} ± {score(cell.sd)}"
    if cell.failed:
        return texts.PARTLY.format(score=said, failed=cell.failed)
    return texts.FEWER.format(score=said, n=cell.n) if cell.n < seeds else said


def _area(area: Area | None) -> str:
    if area is None or not area.n:
        return DASH
    return score(area.mean) if math.isnan(area.sd) else f"{score(area.mean)} ± {score(area.sd)}"


def _enough(one: Enough | None) -> str:
    if one is None or math.isnan(one.target):
        return DASH
    size = f"{one.examples:,}" if one.examples is not None else texts.NOT_REACHED
    if math.isnan(one.agreeing) or (one.low == one.high):
        return size
    low = f"{one.low:,}" if one.low is not None else size
    if one.high is None:
        return texts.OR_MORE.format(size=size, low=low)
    return texts.BETWEEN.format(size=size, low=low, high=f"{one.high:,}")


def _verdict(method: str, comparisons: Sequence[Comparison], own: Comparison | None) -> str:
    if own is not None:
        return f"{_word(own.verdict)} ({signed(own.difference)})"
    leads = method == comparisons[0].against and all(c.difference <= 0 for c in comparisons)
    return texts.BEST if leads else DASH


def _word(verdict: str) -> str:
    return {"better": texts.BETTER, "worse": texts.WORSE}.get(verdict, texts.NOTHING_SHOWN)


def _trainable(cell: Cell) -> str:
    trainable, total = cell.cost.get("trainable"), cell.cost.get("total")
    if trainable is None or not total:
        return DASH
    return f"{count(trainable)} ({share(trainable / total)})"


def _rates(summary: Summary) -> bool:
    return any(cell.learning_rates for cell in summary.cells)


def _rate(cells: dict[int, Cell]) -> str:
    rates = sorted({rate for cell in cells.values() for rate in cell.learning_rates})
    if not rates:
        return DASH
    first, last = f"{rates[0]:g}", f"{rates[-1]:g}"
    return first if len(rates) == 1 else texts.RANGE.format(low=first, high=last)
