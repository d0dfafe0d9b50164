"""Curves over the number of training rows as single numbers: the area under them, and where they are good enough."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from peft_lab.evidence.resampling import quantile, resamples
from peft_lab.evidence.summary import Cell, Summary, summarise, t_interval
from peft_lab.rows import StudyRows

Curve = Mapping[int, Cell]
"""Cells of a method within a budget, by their rows."""


@dataclass(frozen=True)
class Area:
    """Area under the learning curve over the logarithm of rows, divided by its width: a mean score."""

    method: str
    budget: float | None
    sizes: tuple[int, ...]
    """Those that all methods with this budget have, baselines aside."""
    mean: float
    sd: float
    n: int
    low: float
    high: float
    """Ends of the t-interval over seeds."""


@dataclass(frozen=True)
class Enough:
    """The smallest number of rows whose mean score reaches a share of the best."""

    method: str
    budget: float | None
    examples: int | None
    """None: none of those tried."""
    asked: str
    target: float
    """The score to be reached: the share of the highest mean of any method and size, within any budget."""
    share: float
    low: int | None
    high: int | None
    """Between these in 95 % of resamples over seeds; ``high`` None: not reached at all in some of them."""
    agreeing: float
    """Share of resamples that name the same size; NaN for one seed."""


def area_under_curve(rows: StudyRows, metric: str | None = None) -> list[Area]:
    """For each method and budget: seed by seed the trapezoid of scores over ln(rows), over ln(most / fewest rows).

    With one size it is the score itself. Seeds that lack a size are left out.
    """
    summary = summarise(rows, metric)
    made = []
    for budget, curves in _by_budget(summary).items():
        trained = [set(curve) for method, curve in curves.items() if method not in summary.baselines]
        sizes = sorted(set.intersection(*(trained or [set(curve) for curve in curves.values()])))
        for method, curve in curves.items():
            areas = [
                area([curve[size].scores[seed] for size in sizes], sizes)
                for seed in summary.seeds
                if sizes and all(size in curve and seed in curve[size].scores for size in sizes)
            ]
            sd = float(np.std(areas, ddof=1)) if len(areas) > 1 else math.nan
            mean = float(np.mean(areas)) if areas else math.nan
            low, high = t_interval(areas, summary.confidence)
            made.append(Area(method, budget, tuple(sizes), mean, sd, len(areas), low, high))
    return made


def area(scores: list[float], sizes: list[int]) -> float:
    """Trapezoids over ln(size), divided by the whole width."""
    if len(sizes) == 1:
        return float(scores[0])
    at, values = np.log(np.asarray(sizes, dtype=float)), np.asarray(scores, dtype=float)
    return float((np.diff(at) * (values[1:] + values[:-1]) / 2).sum() / (at[-1] - at[0]))


def smallest_enough(rows: StudyRows, metric: str | None = None, *, share: float = 0.95) -> list[Enough]:
    """For each method and budget, the smallest number of rows whose mean reaches this share of the best mean.

    The best is the highest mean of all methods, sizes and budgets. How sure the answer is: seeds are drawn again, the
    same for all methods, and all is computed anew, the best too. No answer where the best is not above 0.
    """
    summary = summarise(rows, metric)
    cells = [cell for cell in summary.cells if cell.n and cell.examples]
    if not cells:
        return []
    best = max(cell.mean for cell in cells)
    seeds = tuple(seed for seed in summary.seeds if any(seed in cell.scores for cell in cells))
    shares, weights = resamples(len(seeds))
    drawn = {id(cell): _drawn_means(cell, seeds, shares) for cell in cells}
    tops = np.max([np.nan_to_num(means, nan=-math.inf) for means in drawn.values()], axis=0)
    several = len(seeds) > 1
    made = []
    for budget, curves in _by_budget(summary).items():
        for method, curve in curves.items():
            sizes = sorted(size for size in curve if curve[size].n)
            reached = next((s for s in sizes if best > 0 and curve[s].mean >= share * best), None)
            first = np.full(len(shares), math.inf)
            for size in reversed(sizes):
                with np.errstate(invalid="ignore"):
                    first = np.where(drawn[id(curve[size])] >= share * tops, size, first)
            first = first if best > 0 else np.full(len(shares), math.inf)
            low, high = quantile(first, weights, 0.025), quantile(first, weights, 0.975)
            same = round(float(weights[first == (math.inf if reached is None else reached)].sum()), 12)
            made.append(
                Enough(
                    method,
                    budget,
                    reached,
                    curve[reached].asked if reached is not None else "",
                    share * best if best > 0 else math.nan,
                    share,
                    int(low) if several and math.isfinite(low) else None,
                    int(high) if several and math.isfinite(high) else None,
                    same if several else math.nan,
                )
            )
    return made


def _by_budget(summary: Summary) -> dict[float | None, dict[str, Curve]]:
    found: dict[float | None, dict[str, dict[int, Cell]]] = {budget: {} for budget in summary.budgets}
    for cell in summary.cells:
        if cell.n and cell.examples:
            found[cell.budget].setdefault(cell.method, {})[cell.examples] = cell
    return {budget: dict(curves) for budget, curves in found.items() if curves}


def _drawn_means(cell: Cell, seeds: tuple[int, ...], shares: np.ndarray) -> np.ndarray:
    """Means of a cell over seeds drawn again, NaN where none of its seeds was drawn."""
    there = np.array([seed in cell.scores for seed in seeds])
    values = np.array([cell.scores.get(seed, 0.0) for seed in seeds])
    total = shares @ there
    return np.divide(shares @ values, total, out=np.full(len(shares), math.nan), where=total > 0)
