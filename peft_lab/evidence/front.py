"""What no other beats in score and cost at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from peft_lab.evidence.resampling import resamples
from peft_lab.evidence.summary import COSTS, Summary

Numbers = Sequence[float] | np.ndarray
NEEDED = {"memory": "peak_memory", "size": "bytes_on_disk"}


@dataclass(frozen=True)
class OnFront:
    """A method with its score and cost, and whether it is on the front."""

    method: str
    score: float
    cost: float
    on_front: bool
    certain: float
    """Share of resamples over seeds in which it is on the front; NaN for one seed."""


def front(scores: Numbers, costs: Numbers) -> np.ndarray:
    """Whether each is on the front: no other is cheaper or as cheap and as good or better, and one of both strictly.

    The last axis of ``scores`` goes over what is compared.
    """
    score, cost = np.asarray(scores, dtype=float), np.asarray(costs, dtype=float)
    as_good = score[..., None, :] >= score[..., :, None]
    as_cheap = cost[..., None, :] <= cost[..., :, None]
    strictly = (score[..., None, :] > score[..., :, None]) | (cost[..., None, :] < cost[..., :, None])
    return np.asarray(~(as_good & as_cheap & strictly).any(axis=-1))


def pareto(
    summary: Summary, cost: str = "trainable", *, examples: int | None = None, budget: float | None = None
) -> list[OnFront]:
    """Methods with their mean score against a mean cost, cheapest first; seeds are drawn again to see what is sure.

    Args:
        summary: the study.
        cost: one of ``trainable``, ``seconds``, ``memory``, ``size``.
        examples: of the cells with so many rows; None: the most.
        budget: of the cells with this budget.
    """
    name = NEEDED.get(cost, cost)
    if name not in COSTS:
        raise ValueError(f"{cost!r} is no cost")
    if budget is None and None not in summary.budgets:
        budget = summary.budgets[-1]
    examples = summary.sizes[-1][0] if examples is None else examples
    cells = [c for c in summary.cells if c.place == (examples, budget) and c.n and name in c.cost]
    if not cells:
        return []
    shared = [seed for seed in summary.seeds if all(seed in cell.scores for cell in cells)]
    certain = np.full(len(cells), math.nan)
    costs = [cell.cost[name] for cell in cells]
    if len(shared) > 1:
        shares, weights = resamples(len(shared))
        drawn = np.stack([shares @ np.array([cell.scores[seed] for seed in shared]) for cell in cells], axis=-1)
        certain = (weights @ front(drawn.round(12), np.broadcast_to(costs, drawn.shape))).round(12)
    there = front([cell.mean for cell in cells], costs)
    made = [
        OnFront(cell.method, cell.mean, cell.cost[name], bool(there[at]), float(certain[at]))
        for at, cell in enumerate(cells)
    ]
    return sorted(made, key=lambda one: (one.cost, -one.score))
