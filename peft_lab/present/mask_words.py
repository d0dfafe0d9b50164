"""What masks come to, in sentences: of a whole model, and of two compared."""

from __future__ import annotations

import numpy as np

from peft_lab.present.masks import Mask, by_chance
from peft_lab.present.style import count, share


def whole_words(mask: Mask) -> str:
    """How much trains of the whole model, and where most."""
    chosen, total = mask.chosen, mask.total
    part = np.divide(chosen, total, out=np.full(total.shape, np.nan), where=total > 0)
    row, column = divmod(int(np.nanargmax(part)), part.shape[1])
    everything = int(total.sum())
    return (
        f"{mask.title}: {int(chosen.sum()):,} of the {count(everything)} weights outside the head train "
        f"({share(chosen.sum() / everything)}), in {len(mask.tensors)} tensors; "
        f"densest in {place_words(mask, row, column)} ({share(part[row, column])})."
    )


def pair_words(one: Mask, other: Mask) -> str:
    """How much two masks on one model have in common, and where they differ most."""
    mine, theirs = one.chosen, other.chosen
    with np.errstate(invalid="ignore"):
        difference = np.where(one.total > 0, np.abs(mine - theirs) / one.total, np.nan)
    row, column = divmod(int(np.nanargmax(difference)), difference.shape[1])
    said = overlap_words(int(one.common(other).sum()), int(mine.sum()), int(theirs.sum()), int(one.total.sum()))
    return (
        f"{said}. They differ most in {place_words(one, row, column)}: "
        f"{share(mine[row, column] / one.total[row, column])} against "
        f"{share(theirs[row, column] / one.total[row, column])}."
    )


def overlap_words(both: int, one: int, other: int, total: int) -> str:
    """How many entries two masks share, and how many two random ones would."""
    either = one + other - both
    chance = by_chance(one / total, other / total)
    return (
        f"of {either:,} entries that either trains, both train {both:,} "
        f"({share(both / either if either else 0.0)}, Jaccard; random masks of these sizes: {share(chance)})"
    )


def place_words(mask: Mask, row: int, column: int) -> str:
    """A group of parameters: ``attention query of layer 3``."""
    layer = f"layer {mask.layers[row]}" if mask.layers[row].isdigit() else f"the {mask.layers[row]}"
    return f"{mask.kinds[column]} of {layer}"
