"""From scores to masks: the best entries, rows or tensors within a budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from peft_lab.methods._calibration import Scores
from peft_lab.methods._text_gradients import is_conv1d
from pluggy_specs import MethodRefused

if TYPE_CHECKING:
    import torch

Granularity = Literal["entry", "row", "tensor"]


def units_along(model: torch.nn.Module) -> dict[str, int]:
    """The axis of output units for weights where it is not the first, by name: a row is one unit of a layer."""
    return {f"{path}.weight": 1 for path, module in model.named_modules() if is_conv1d(module)}


def select(
    scores: Scores, budget: int, granularity: Granularity = "entry", along: Mapping[str, int] | None = None
) -> dict[str, torch.Tensor]:
    """Flat indices by parameter name, in order: the highest scores, never more than the budget.

    What scores 0 had no part in the loss and is not chosen, even if budget is left. Rows and tensors are ranked by
    the mean of their entries; one that does not fit what is left is passed over.

    Args:
        along: see :func:`units_along`.

    Raises:
        MethodRefused: nothing fits the budget, or the scores are no numbers.
    """
    if not all(bool(score.isfinite().all()) for score in scores.values()):
        raise MethodRefused(
            "the gradients of the training texts are no numbers, so that nothing can be chosen", "Say --by magnitude"
        )
    if granularity == "entry":
        chosen = _best_entries(scores, budget)
        least = 1
    else:
        chosen, least = _best_groups(scores, budget, granularity, along or {})
    if not chosen:
        total = sum(score.numel() for score in scores.values())
        raise MethodRefused(
            f"a budget of {budget:,} entries is less than the smallest {granularity} that matters ({least:,})",
            f"Say --density {least / max(1, total):.2g} or more",
        )
    return chosen


def select_evenly(
    scores: Scores, budget: int, granularity: Granularity = "entry", along: Mapping[str, int] | None = None
) -> dict[str, torch.Tensor]:
    """As :func:`select`, but the budget is shared out to the parameters in proportion to their size.

    One whose share does not hold a single unit gets none.

    Raises:
        MethodRefused: no parameter gets any, or the scores are no numbers.
    """
    total = sum(score.numel() for score in scores.values())
    chosen: dict[str, torch.Tensor] = {}
    refusal = None
    for name, score in scores.items():
        try:
            chosen |= select({name: score}, budget * score.numel() // total, granularity, along)
        except MethodRefused as error:
            refusal = error
    if not chosen and refusal is not None:
        raise refusal
    return chosen


def _best_entries(scores: Scores, budget: int) -> dict[str, torch.Tensor]:
    import torch

    names, places, values = [], [], []
    for name, score in scores.items():
        best = score.flatten().topk(min(budget, score.numel()), sorted=False)
        there = best.values > 0
        names.append(name)
        places.append(best.indices[there])
        values.append(best.values[there])
    ends = np.cumsum([len(part) for part in places])
    together = torch.cat(values)
    if len(together) > budget:
        winners = together.topk(budget, sorted=False).indices.sort().values
    else:
        winners = torch.arange(len(together), device=together.device)
    found = {}
    for name, place, end in zip(names, places, ends, strict=True):
        start = int(end) - len(place)
        mine = winners[(winners >= start) & (winners < int(end))] - start
        if len(mine):
            found[name] = place[mine].sort().values
    return found


def _best_groups(
    scores: Scores, budget: int, granularity: Granularity, along: Mapping[str, int]
) -> tuple[dict[str, torch.Tensor], int]:
    """The chosen entries, and the size of the smallest group that scores above 0."""
    import torch

    names = list(scores)
    means, sizes, owners = [], [], []
    for number, (name, score) in enumerate(scores.items()):
        units = _by_unit(score, along.get(name, 0)) if granularity == "row" else score.reshape(1, -1)
        means.append(units.float().mean(1).cpu().numpy())
        sizes.append(np.full(len(units), units.shape[1]))
        owners.append(np.full(len(units), number))
    mean, size, owner = np.concatenate(means), np.concatenate(sizes), np.concatenate(owners)
    first = np.cumsum([0, *(len(part) for part in means)])
    some = np.flatnonzero(mean > 0)
    taken: dict[int, list[int]] = {}
    left = budget
    for group in some[np.argsort(-mean[some], kind="stable")]:
        if size[group] <= left:
            left -= int(size[group])
            taken.setdefault(int(owner[group]), []).append(int(group - first[owner[group]]))
    chosen = {}
    for number, rows in sorted(taken.items()):
        name = names[number]
        score = scores[name]
        places = torch.arange(score.numel(), device=score.device).view(score.shape)
        if granularity == "row":
            places = _by_unit(places, along.get(name, 0))[sorted(rows)]
        chosen[name] = places.flatten().sort().values
    return chosen, int(size[some].min()) if len(some) else 1


def _by_unit(values: torch.Tensor, axis: int) -> torch.Tensor:
    """Rearranged as [unit, entry]; each entry of a vector is a unit of its own."""
    return values.movedim(axis, 0).reshape(values.shape[axis], -1)
