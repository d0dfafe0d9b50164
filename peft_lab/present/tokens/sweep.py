"""What any LD threshold would make of the tokens, so that one can be chosen by what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from peft_lab.present.style import number, share, tint
from peft_lab.present.tokens.reading import Kept
from pluggy_specs.pieces import REASONING

BARS, HEIGHT = 48, 44
"""Bars of the picture, and pixels of one."""
MARGIN = 8
"""Percent of the width at either end where there is no room for a 0 beside the number of the end."""
STEPS = 400
"""Places of a slider."""
OUTLIERS = 0.05
"""Of the tokens at either end, which a slider does not reach for: few far ones would leave no room to the others."""


@dataclass(frozen=True)
class Reach:
    """From which threshold to which, and in what steps."""

    low: float
    high: float
    step: float

    def place(self, threshold: float) -> float:
        """Where a threshold is, in percent of the way; one that is out of reach is at the end."""
        return 100 * (min(max(threshold, self.low), self.high) - self.low) / (self.high - self.low)

    def places(self, count: int = BARS) -> np.ndarray:
        """Thresholds at equal distances, from one end to the other."""
        return np.linspace(self.low, self.high, count)


def reach(kept: Kept) -> Reach | None:
    """Where thresholds make a difference, in round numbers, with 0 inside; None where no token has an LD."""
    ld = kept.all("ld")
    ld = ld[np.isfinite(ld)]
    if not kept.has_roles or not len(ld):
        return None
    low, high = min(0.0, float(np.quantile(ld, OUTLIERS))), max(0.0, float(np.quantile(ld, 1 - OUTLIERS)))
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    unit = 10.0 ** np.floor(np.log10((high - low) / STEPS))
    step = next(float(unit * size) for size in (1, 2, 5, 10) if unit * size >= (high - low) / STEPS)
    return Reach(
        *(round(float(value), 9) for value in (np.floor(low / step) * step, np.ceil(high / step) * step, step))
    )


def reasoning(kept: Kept, thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """The share of learned tokens that are reasoning at each threshold. At 0 the method's own roles count."""
    ld, role = kept.all("ld"), kept.role
    if not len(ld):
        return np.full(len(thresholds), np.nan)
    known = np.isfinite(ld)
    ordered = np.sort(ld[known])
    above = len(ordered) - np.searchsorted(ordered, np.asarray(thresholds, ld.dtype), side="right")
    found = (above + int((role[~known] == REASONING).sum())) / len(ld)
    return np.where(np.asarray(thresholds) == 0, float((role == REASONING).mean()), found)


def bars(kept: Kept, within: Reach, threshold: float) -> str:
    """A bar for each threshold: reasoning below the line, boilerplate above it; the present threshold is pointed at."""
    drawn = []
    for part in reasoning(kept, within.places()):
        below = round(HEIGHT * float(part))
        drawn.append(
            f'<span style="display:inline-block;width:{100 / BARS:.3g}%;vertical-align:bottom">'
            f'<span style="display:block;height:{HEIGHT - below}px;background:{tint("orange", 0.28)}"></span>'
            f'<span style="display:block;height:{below}px;border-top:2px solid;background:{tint("blue", 0.36)}"></span>'
            "</span>"
        )
    place, zero = (within.place(value) for value in (threshold, 0.0))
    here = f"{number(threshold)}: {share(float(reasoning(kept, [threshold])[0]))}"
    side = f"margin-left:{place:.3g}%" if place < 60 else f"margin-right:{100 - place:.3g}%;text-align:right"
    pointed = f"▲ {here}" if place < 60 else f"{here} ▲"
    low = f'<span style="display:inline-block;width:{zero:.3g}%">{number(within.low)}</span>0'
    low = low if MARGIN < zero < 100 - MARGIN else number(within.low)
    ends = f'<span style="float:right">{number(within.high)}</span>{low}'
    return (
        f'<div style="white-space:nowrap;overflow:hidden;line-height:0">{"".join(drawn)}</div>'
        f'<div style="{side};line-height:1.3;white-space:nowrap"><b>{pointed}</b></div>'
        f'<div style="line-height:1.3;font-size:90%">{ends}</div>'
    )
