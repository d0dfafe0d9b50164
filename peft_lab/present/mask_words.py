"""What masks come to, in sentences: of a whole model, and of two compared."""

from __future__ import annotations

import numpy as np

from peft_lab.present.masks import Mask, by_chance
from peft_lab.present.style import count, share
from peft_lab.texts import masks as texts
from peft_lab.texts import views


def whole_words(mask: Mask) -> str:
    """How much trains of the whole model, and where most."""
    chosen, total = mask.chosen, mask.total
    part = np.divide(chosen, total, out=np.full(total.shape, np.nan), where=total > 0)
    row, column = divmod(int(np.nanargmax(part)), part.shape[1])
    everything = int(total.sum())
    return texts.WHOLE.format(
        title=mask.title,
        count=f"{int(chosen.sum()):,}",
        total=count(everything),
        share=share(chosen.sum() / everything),
        tensors=len(mask.tensors),
        group=place_words(mask, row, column),
        densest=share(part[row, column]),
    )


def pair_words(one: Mask, other: Mask, title: str) -> str:
    """How much two masks on one model have in common, and where they differ most."""
    mine, theirs = one.chosen, other.chosen
    with np.errstate(invalid="ignore"):
        difference = np.where(one.total > 0, np.abs(mine - theirs) / one.total, np.nan)
    row, column = divmod(int(np.nanargmax(difference)), difference.shape[1])
    said = overlap_words(int(one.common(other).sum()), int(mine.sum()), int(theirs.sum()), int(one.total.sum()))
    return texts.PAIR.format(
        title=title,
        overlap=said,
        group=place_words(one, row, column),
        one=share(mine[row, column] / one.total[row, column]),
        other=share(theirs[row, column] / one.total[row, column]),
    )


def overlap_words(both: int, one: int, other: int, total: int) -> str:
    """How many entries two masks share, and how many two random ones would."""
    either = one + other - both
    chance = by_chance(one / total, other / total)
    part = share(both / either if either else 0.0)
    return texts.OVERLAP.format(either=f"{either:,}", both=f"{both:,}", share=part, chance=share(chance))


def place_words(mask: Mask, row: int, column: int) -> str:
    """A group of parameters: ``attention query of layer 3``."""
    kind, layer = mask.kinds[column], mask.layers[row]
    if layer.isdigit():
        return texts.GROUP_IN_LAYER.format(kind=kind, layer=layer)
    return texts.GROUP_IN_PART.format(kind=kind, part=layer)


def layer_words(layer: str) -> str:
    """``layer 3``, or ``the embeddings``."""
    return views.LAYER.format(number=layer) if layer.isdigit() else views.PART.format(name=layer)
