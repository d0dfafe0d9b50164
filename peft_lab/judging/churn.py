"""How many answers change where nothing but the seed does: the part of a result that is chance, text by text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Churn:
    """Share of items whose answer differs between two runs, over all pairs."""

    runs: int
    mean: float
    lowest: float
    highest: float
    agreement: float
    """Share of items on which all runs say the same."""


def churn(answers: Sequence[np.ndarray]) -> Churn | None:
    """How far several runs agree on the same items; None for fewer than two."""
    if len(answers) < 2:
        return None
    apart = [float(np.mean(one != other)) for one, other in combinations(answers, 2)]
    together = np.all([one == answers[0] for one in answers], axis=0)
    return Churn(len(answers), float(np.mean(apart)), min(apart), max(apart), float(together.mean()))


@dataclass(frozen=True)
class Spread:
    """How far the numbers that several runs answer lie apart."""

    runs: int
    difference: float
    """Mean over pairs and items of the absolute difference."""
    correlation: float
    """Lowest rank correlation of a pair; NaN where one answers always the same."""


def spread(answers: Sequence[np.ndarray]) -> Spread | None:
    """The same for runs that answer numbers."""
    from scipy import stats

    if len(answers) < 2:
        return None
    pairs = list(combinations(answers, 2))
    ranks = [
        float(stats.spearmanr(one, other).statistic) if np.ptp(one) and np.ptp(other) else float("nan")
        for one, other in pairs
    ]
    return Spread(len(answers), float(np.mean([np.abs(one - other).mean() for one, other in pairs])), min(ranks))


def siblings(run: Any, others: Iterable[Any]) -> list[Any]:
    """Finished runs that differ from a run in nothing but the seed, with at most one for each seed.

    In a study a seed also draws the rows that are trained on: another draw of as many belongs to another seed.
    """
    own = _but_the_seed(run)
    found: dict[int, Any] = {}
    for other in others:
        if other.path == run.path or other.status != "finished" or _but_the_seed(other) != own:
            continue
        if other.recipe.seed != run.recipe.seed:
            found.setdefault(other.recipe.seed, other)
    return [found[seed] for seed in sorted(found)]


def _but_the_seed(run: Any) -> str:
    prints = run.record.get("fingerprints", {})
    recipe = run.recipe.model_dump(mode="json", exclude={"seed": True, "data": {"subset_seed"}})
    same = [prints.get("data"), prints.get("model"), recipe]
    return json.dumps(same, sort_keys=True)
