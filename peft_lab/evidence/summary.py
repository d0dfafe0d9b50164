"""What a study came to in each of its cells: mean, spread and interval over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from peft_lab.errors import RunProblem
from peft_lab.rows import FAILED, FINISHED, UNTRAINED, Row, StudyRows

COSTS = ("trainable", "total", "seconds", "load_seconds", "eval_seconds", "peak_memory", "bytes_on_disk")
Place = tuple[int, float | None]
"""Training rows, and seconds of training allowed."""


@dataclass(frozen=True)
class Cell:
    """One method on so many rows within one budget, over its seeds. NaN where seeds are too few."""

    method: str
    examples: int
    asked: str
    budget: float | None
    scores: Mapping[int, float] = field(default_factory=dict)
    """Of runs that finished, by seed."""
    mean: float = math.nan
    sd: float = math.nan
    """Sample standard deviation."""
    low: float = math.nan
    high: float = math.nan
    """Ends of the t-interval of the mean."""
    failed: int = 0
    missing: int = 0
    """Runs that wait, go on or were stopped."""
    errors: tuple[str, ...] = ()
    cost: Mapping[str, float] = field(default_factory=dict)
    """Means over seeds of what they cost; only what is known of all of them."""
    learning_rates: tuple[float, ...] = ()

    @property
    def n(self) -> int:
        """Seeds with a score."""
        return len(self.scores)

    @property
    def place(self) -> Place:
        """Where it stands in the grid."""
        return self.examples, self.budget


@dataclass(frozen=True)
class Summary:
    """All cells of a study, by method in the order asked, then budget, then size."""

    name: str
    metric: str
    split: str
    """``test``, or ``validation`` where no run has a score on test: then scores also chose the states and flatter."""
    confidence: float
    cells: tuple[Cell, ...]
    methods: tuple[str, ...]
    baselines: tuple[str, ...]
    """Methods among them that are there to be compared with."""
    sizes: tuple[tuple[int, str], ...]
    """Training rows, and how they were asked for. Without training there are none: that is no size."""
    budgets: tuple[float | None, ...]
    seeds: tuple[int, ...]

    def at(self, method: str, examples: int, budget: float | None = None) -> Cell | None:
        """One cell; None where there is none."""
        found = (c for c in self.cells if c.method == method and c.place == (examples, budget))
        return next(found, None)

    def of(self, method: str) -> list[Cell]:
        """The cells of a method."""
        return [cell for cell in self.cells if cell.method == method]

    @property
    def widest(self) -> float:
        """The largest difference that there can be, as far as scores tell: 1 for shares, 2 for correlations."""
        scores = [value for cell in self.cells for value in cell.scores.values()]
        if not scores or max(scores) > 1 or min(scores) < -1:
            return math.inf
        return 1.0 if min(scores) >= 0 else 2.0

    @property
    def best(self) -> Cell | None:
        """The cell with the highest mean."""
        scored = [cell for cell in self.cells if cell.n]
        return max(scored, key=lambda cell: cell.mean) if scored else None


def summarise(rows: StudyRows, metric: str | None = None, *, confidence: float = 0.95) -> Summary:
    """Mean, standard deviation, number of seeds and t-interval of the mean for each method, size and budget.

    Raises:
        RunProblem: no run has this score.
    """
    metric, split = scored_by(rows, metric)
    gathered: dict[tuple[str, Place], list[Row]] = {}
    for row in rows.rows:
        gathered.setdefault((row.method, (row.examples, row.budget)), []).append(row)
    methods = tuple(dict.fromkeys(row.method for row in rows.rows))
    cells = [_cell(members, metric, split, confidence) for members in gathered.values()]
    cells.sort(key=lambda c: (methods.index(c.method), budget_order(c.budget), c.examples))
    sizes = {cell.examples: cell.asked for cell in reversed(cells) if cell.examples}
    return Summary(
        rows.name,
        metric,
        split,
        confidence,
        tuple(cells),
        methods,
        tuple(m for m in methods if is_baseline(rows, m)),
        tuple(sorted(sizes.items())),
        tuple(sorted({cell.budget for cell in cells if cell.examples}, key=budget_order)),
        tuple(sorted({row.seed for row in rows.rows})),
    )


def scored_by(rows: StudyRows, metric: str | None = None) -> tuple[str, str]:
    """The score that decides, and the split it is read from.

    Raises:
        RunProblem: no run has it.
    """
    done = [row for row in rows.rows if row.status == FINISHED]
    if metric is None:
        metric = next((row.headline for row in done if row.headline), "")
    for split in ("test", "validation"):
        if any(_number(getattr(row, split).get(metric)) for row in done):
            return metric, split
    if not done:
        raise RunProblem(f"the study {rows.name} has no finished run yet", "Let it go on, or look at its failures")
    known = sorted({name for row in done for name in (*row.test, *row.validation)})
    raise RunProblem(f"no run of the study {rows.name} has the score {metric!r}", f"There is: {', '.join(known)}")


def score_of(row: Row, metric: str, split: str) -> float | None:
    """The score of a finished run; None where it has none."""
    value = getattr(row, split).get(metric) if row.status == FINISHED else None
    return float(value) if value is not None and _number(value) else None


def is_baseline(rows: StudyRows, method: str) -> bool:
    """Whether a method is there to be compared with only. One that was asked for is not."""
    asked = rows.plan.get("methods") or ()
    names = [asked] if isinstance(asked, str) else list(asked)
    return method in rows.baselines and (method == UNTRAINED or method not in names)


def budget_order(budget: float | None) -> float:
    """Budgets from short to long; none at all is longest."""
    return math.inf if budget is None else budget


def t_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Ends of the t-interval of a mean; NaN for fewer than two values."""
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    half = t_quantile(0.5 + confidence / 2, n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    mean = float(np.mean(values))
    return mean - half, mean + half


@lru_cache(maxsize=256)
def t_quantile(probability: float, freedom: float) -> float:
    """A quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def _cell(rows: Sequence[Row], metric: str, split: str, confidence: float) -> Cell:
    scores = {row.seed: value for row in rows if (value := score_of(row, metric, split)) is not None}
    scores = dict(sorted(scores.items()))
    values = list(scores.values())
    failed = [row for row in rows if row.status == FAILED]
    scored = [row for row in rows if row.seed in scores and row.status == FINISHED]
    cost = {
        name: float(np.mean([float(row.cost[name]) for row in scored]))
        for name in COSTS
        if scored and all(_number(row.cost.get(name)) for row in scored)
    }
    low, high = t_interval(values, confidence)
    return Cell(
        rows[0].method,
        rows[0].examples,
        rows[0].asked,
        rows[0].budget,
        scores,
        float(np.mean(values)) if values else math.nan,
        float(np.std(values, ddof=1)) if len(values) > 1 else math.nan,
        low,
        high,
        len(failed),
        len({row.seed for row in rows}) - len(scores) - len(failed),
        tuple(dict.fromkeys(row.error for row in failed if row.error)),
        cost,
        tuple(sorted({row.learning_rate for row in rows if row.learning_rate is not None})),
    )


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
