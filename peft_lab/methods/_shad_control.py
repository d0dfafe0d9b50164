"""Whether roles found by shuffling mean anything: what other tunings, and the prompts of other rows, say of them.

Tokens that one tuning chose are never judged by that tuning: whatever it moved by chance would speak for it. Some rows
are tuned on twice, with their own answers and with answers that changed places, and rows that neither saw are looked
at. Behind the prompt of another row, the model that learned from unshuffled pairs must foresee answers worse. Where
prompts tell nothing it does so as often as not, whatever tuning did by chance: an interval over rows is a test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from peft_lab.methods._shad_rows import Row, behind_other_prompts, shuffled
from peft_lab.methods._shad_tuning import Change, Tuner

CLEAR = 0.05
"""A difference of losses below this is near to chance: the token's probability changes by less than 5 %."""
TRIED = 64
"""Rows of a kind that are looked at."""
SURE = 0.99
"""How sure it must be that prompts tell anything."""
TUNINGS = 2
"""That a control takes for each kind of rows."""


@dataclass
class Trial:
    """Losses of the answer tokens of some rows, one row after another."""

    rows: list[Row]
    tuned_on: int
    """Rows that the two changes were tuned on."""
    before: np.ndarray
    after: np.ndarray
    """Under the change whose roles are judged."""
    unshuffled: np.ndarray
    """Under a change that was tuned on other rows as they are."""
    anew: np.ndarray
    """Under a change that was tuned on the same rows, shuffled."""
    worse: np.ndarray
    """How much higher than with its own prompt under the unshuffled one, each answer behind the prompt of another row;
    NaN where that has the same answer."""


def tried(tuned: Tuner, rows: Sequence[Row], sample: Sequence[Row], change: Change, longest: int, seed: int) -> Trial:
    """Tune twice more, on as many rows as were shuffled but half of them at most, and look at others.

    Args:
        rows: all of one kind.
        sample: those of them that the change whose roles are judged was tuned on. Others are tuned on as far as there
            are any.
    """
    draw = np.random.default_rng([tuned.effort.steps, len(rows), 1, seed])
    known = {row.number for row in sample}
    fresh = sorted((rows[i] for i in draw.permutation(len(rows))), key=lambda row: row.number in known)
    others = fresh[: min(len(sample), len(rows) // 2)]
    if not _differ(others):  # these could not change places
        others = list(sample)
    seen = {row.number for row in others}
    looked_at = ([row for row in fresh if row.number not in seen] or fresh)[:TRIED]
    order = [tuned.effort.steps, len(rows), 2, seed]  # of both, so that only the prompts are different
    unshuffled = tuned.tune(others, np.random.default_rng(order))
    anew = tuned.tune(shuffled(others, draw, longest), np.random.default_rng(order))
    before, after, own, second = tuned.losses(looked_at, change, unshuffled, anew)
    worse = np.full_like(own, np.nan)
    if _differ(looked_at):
        mine, theirs, differ = behind_other_prompts(looked_at, draw, longest)
        cut = any(one.border != row.border for one, row in zip(mine, looked_at, strict=True))
        led = tuned.losses(mine, unshuffled)[1] if cut else own
        _, misled = tuned.losses(theirs, unshuffled)
        told = np.repeat(differ, [len(row.answer) for row in looked_at])
        worse[told] = (misled - led)[told]
    return Trial(looked_at, len(others), before, after, own, second, worse)


def control(trials: Sequence[Trial], judge: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    """What the trials of all kinds of rows say.

    Args:
        judge: gives the differences of their tokens to what has one, such as a word.
    """
    ld, unshuffled, anew = (
        judge(np.concatenate([getattr(one, name) - one.before for one in trials]))
        for name in ("after", "unshuffled", "anew")
    )
    reason, clear = ld > 0, np.abs(ld) > CLEAR
    same = reason == (anew > 0)
    return {
        "control": {
            "rows": sum(len(one.rows) for one in trials),
            "tuned_on": sum(one.tuned_on for one in trials),
            "reasoning": [mean(anew[reason]), mean(unshuffled[reason])],
            "boilerplate": [mean(anew[~reason]), mean(unshuffled[~reason])],
        },
        "prompts": _prompts(trials, reason),
        "agreement": {"all": mean(same), "clear": mean(same[clear]) if clear.any() else None},
    }


def mean(values: np.ndarray) -> float:
    """The mean, 0 of nothing."""
    return float(values.mean()) if len(values) else 0.0


def _prompts(trials: Sequence[Trial], reason: np.ndarray) -> dict[str, Any]:
    """How much worse answers are foreseen behind the prompt of another row: by role, and for all tokens the mean over
    rows with what it is at least.

    The test is of all tokens: which are reasoning was told from rows with their own prompts, and where a prompt fits by
    chance a token comes out as reasoning.
    """
    from scipy.stats import t

    worse = np.concatenate([one.worse for one in trials])
    known = ~np.isnan(worse)
    cuts = np.cumsum([len(row.answer) for one in trials for row in one.rows])[:-1]
    rows = np.array([part.mean() for part in np.split(worse, cuts) if not np.isnan(part).any()])
    least = None
    if len(rows) > 1:
        least = float(rows.mean() - t.ppf(SURE, len(rows) - 1) * rows.std(ddof=1) / len(rows) ** 0.5)
    by_role = {"reasoning": mean(worse[known & reason]), "boilerplate": mean(worse[known & ~reason])}
    return {"rows": len(rows), "all": mean(rows), "least": least, **by_role}


def _differ(rows: Sequence[Row]) -> bool:
    """Whether answers can change places."""
    return len({row.answer.tobytes() for row in rows}) > 1
