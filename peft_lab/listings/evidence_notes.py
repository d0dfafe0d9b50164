"""What stands under the table of a study: who cannot be told apart, what that rests on, what failed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from peft_lab.evidence import Cell, Comparison, Summary, smallest_enough
from peft_lab.evidence.comparing import NO_TEST, T_ALONE
from peft_lab.evidence.signs import least_p
from peft_lab.present.style import DASH, score, seconds, shorten
from peft_lab.rows import StudyRows
from peft_lab.texts import evidence as texts

LONGEST_NAME = 32
MOST_NAMED = 6
SMALLEST = 0.0005
"""Under it a difference is written as 0.000: all seeds came out the same, and do not tell how far they would differ."""


def notes(rows: StudyRows, summary: Summary, comparisons: Sequence[Comparison]) -> Iterator[str]:
    """What a person must know to read the table, in sentences."""
    most = max((cell.n for cell in summary.cells), default=0)
    yield texts.MEANS.format(seeds=most) if most > 1 else texts.MEANS_ONE
    if summary.split != "test":
        yield texts.ON_VALIDATION
    if most > 1:
        yield from tested(comparisons, len({c.method for c in summary.cells} - set(summary.baselines)), summary.widest)
    if len(summary.sizes) > 1:
        yield texts.AREA_SAYS
        targets = [e.target for e in smallest_enough(rows, summary.metric) if not math.isnan(e.target)]
        if targets:
            yield texts.ENOUGH_SAYS.format(target=score(targets[0]))
    if failed := [cell for cell in summary.cells if cell.failed]:
        told = [_failure(cell, len(summary.budgets) > 1) for cell in failed[:MOST_NAMED]]
        yield texts.FAILURES.format(what="; ".join([*told, *(["..."] if len(failed) > MOST_NAMED else [])]))
    if missing := sum(cell.missing for cell in summary.cells):
        every = sum(cell.n + cell.failed + cell.missing for cell in summary.cells)
        yield texts.MISSING.format(count=missing, all=every)
    if any(row.swept for row in rows.rows):
        yield texts.SWEPT
    if most > 1 and str(rows.plan.get("subsets", "")) not in ("by seed", ""):
        yield texts.SAME_ROWS


def tested(comparisons: Sequence[Comparison], methods_compared: int, widest: float = math.inf) -> Iterator[str]:
    """Who cannot be told from the best, what would be needed for it, and what the verdicts rest on."""
    tried = [c for c in comparisons if c.rests_on != NO_TEST]
    if not tried:
        return
    best = shorten(tried[0].against, LONGEST_NAME)
    alike = [c for c in comparisons if not c.differs]
    if alike:
        methods = ", ".join(shorten(c.method, LONGEST_NAME) for c in alike)
        yield texts.ALIKE.format(best=best, methods=methods)
        yield from _would_show(alike, widest)
    else:
        yield texts.NONE_ALIKE.format(best=best)
    if ahead := [c for c in alike if c.corrected_p <= c.level]:
        methods = ", ".join(shorten(c.method if c.difference > 0 else c.against, LONGEST_NAME) for c in ahead)
        yield texts.HELD_BACK.format(methods=methods)
    weakest = min(tried, key=lambda c: (c.rests_on != T_ALONE, c.blocks))
    how = texts.TESTS[weakest.rests_on].format(
        blocks=weakest.blocks,
        seeds=weakest.seeds,
        least=said_p(least_p(weakest.blocks)),
        needed=weakest.seeds_needed,
    )
    family = weakest.family
    pairs = family == methods_compared * (methods_compared - 1) // 2 and family > len(comparisons)
    said = said_family(family, every=pairs)
    what = texts.WHAT["rows" if weakest.sizes > 1 else "seed"]
    yield texts.TESTED.format(best=best, what=what, tests=how, family=said, level=percent(weakest.level))


def _would_show(alike: Sequence[Comparison], widest: float) -> Iterator[str]:
    """The difference that such a study shows, and the seeds that it would take to show the largest one seen."""
    sizes = [c.detectable for c in alike if not math.isnan(c.detectable)]
    if sizes and max(sizes) >= SMALLEST:
        smallest = max(sizes)
        yield texts.WOULD_SHOW.format(smallest=score(smallest)) if smallest <= widest else texts.WOULD_SHOW_NONE
    largest = max(alike, key=lambda c: abs(c.difference) if not math.isnan(c.detectable) else -1.0)
    if not math.isnan(largest.detectable) and largest.corrected_p > largest.level and largest.difference:
        needed, name = largest.seeds_to_show, shorten(largest.method, LONGEST_NAME)
        yield (texts.MORE_SEEDS if needed else texts.MANY_SEEDS).format(method=name, seeds=needed)


def detectable(comparison: Comparison, widest: float) -> str:
    """The difference that such a study shows; a dash where seeds do not tell, or where it is more than there can be."""
    return score(comparison.detectable) if SMALLEST <= comparison.detectable <= widest else DASH


def said_family(count: int, *, every: bool) -> str:
    """How many comparisons the correction is over, and whether they are every pair of methods."""
    return texts.ONE_PAIR if count == 1 else (texts.PAIRS if every else texts.NAMED).format(count=count)


def p_value(p: float) -> str:
    """``0.031``, ``< 0.001``."""
    return DASH if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def said_p(p: float) -> str:
    """``p = 0.031``, ``p < 0.001``."""
    said = p_value(p)
    return f"p {said}" if said.startswith("<") else f"p = {said}"


def percent(part: float) -> str:
    """``5 %`` of 0.05."""
    return f"{100 * part:g} %"


def said_budget(budget: float | None) -> str:
    """``30 s``, or that all steps were done."""
    return texts.NO_BUDGET if budget is None else seconds(budget)


def _failure(cell: Cell, budgets: bool) -> str:
    said = (texts.FAILURE_WITHIN if budgets else texts.FAILURE).format(
        cell.failed,
        f"{cell.failed}",
        method=shorten(cell.method, LONGEST_NAME),
        rows=f"{cell.examples:,}",
        budget=said_budget(cell.budget),
    )
    return texts.FAILURE_SAID.format(failure=said, error=shorten(cell.errors[0], 60)) if cell.errors else said
