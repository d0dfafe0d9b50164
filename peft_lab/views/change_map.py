"""How far each group of parameters moved from where it started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.errors import RunProblem
from peft_lab.present.style import three_digits
from peft_lab.views.heatmap import heatmap
from pluggy_specs import Drawing, RunView, View

MOST_KINDS = 12
SCALES = {"relative": "change, % of the size before", "rms": "root mean square of the change"}


class ChangeMap(View):
    """Layers by module kinds: the size of the change in every cell."""

    name = "change-map"
    summary = "how far each group of parameters moved, layers by module kinds"
    needs = ("parameter-change",)

    class Options(pluggy_specs.Options):
        """What is measured."""

        measure: Literal["relative", "rms"] = Field(
            "relative", description="relative: size of the change over size before; rms: root mean square of the change"
        )

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw one run."""
        (run,) = runs
        arrays = run.artifact("parameter-change").arrays
        measure, notes = self.options.measure, []
        relative, rms = (np.asarray(arrays[name].values, dtype=float) for name in ("relative", "rms"))
        from_zero = int((~np.isfinite(relative) & (rms > 0)).sum())
        if from_zero and measure == "relative":
            if not (np.isfinite(relative) & (relative > 0)).any():
                measure = "rms"
                notes.append("Everything that moved started at zero, so the root mean square of the change is shown.")
            else:
                groups = "1 group" if from_zero == 1 else f"{from_zero} groups"
                notes.append(f"{groups} started at zero: no relative change, see --measure rms.")
        values = 100 * relative if measure == "relative" else rms
        values = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        if np.isnan(values).all():
            raise RunProblem(f"{run.id} has no parameter that moved", f"See %peft show trainable-map {run.id}")

        labels = arrays[measure].labels
        layers, kinds = list(labels["layer"]), list(labels["kind"])
        alt = f"{run.id}, {run.recipe.method}: {_most(values, layers, kinds, measure)}"
        moved = np.isfinite(values).any(axis=0)
        if len(kinds) > MOST_KINDS and not moved.all():
            notes.append(f"{int((~moved).sum())} of {len(kinds)} module kinds did not move and are left out.")
            values, kinds = values[:, moved], [kinds[at] for at in np.flatnonzero(moved)]
        title = f"{run.id}, {run.recipe.method}: how far the parameters moved"
        figure = heatmap(
            values, layers, kinds, title=title, scale=SCALES[measure], number=three_digits, blank="nothing moved"
        )
        return Drawing(" ".join((alt, *notes)), figure)


def _most(values: np.ndarray, layers: Sequence[str], kinds: Sequence[str], measure: str) -> str:
    """Which group moved most, and how far a usual one moved."""
    row, column = divmod(int(np.nanargmax(values)), values.shape[1])
    place = f"layer {layers[row]}" if layers[row].isdigit() else f"the {layers[row]}"
    top, usual = (
        f"{three_digits(value)} % of its size" if measure == "relative" else f"by {value:.2g} (root mean square)"
        for value in (values[row, column], np.nanmedian(values))
    )
    return f"{kinds[column]} of {place} moved most, {top}; the median group that moved, {usual}."
