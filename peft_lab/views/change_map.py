"""How far each group of parameters moved from where it started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.errors import RunProblem
from peft_lab.present.mask_words import layer_words
from peft_lab.present.style import three_digits
from peft_lab.texts import views as texts
from peft_lab.views.heatmap import heatmap
from pluggy_specs import Drawing, RunView, View

MOST_KINDS = 12


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
                notes.append(texts.ALL_FROM_ZERO)
            else:
                notes.append(texts.SOME_FROM_ZERO.format(from_zero, str(from_zero)))
        values = 100 * relative if measure == "relative" else rms
        values = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        if np.isnan(values).all():
            raise RunProblem(f"{run.id} has no parameter that moved", f"See %peft show trainable-map {run.id}")

        labels = arrays[measure].labels
        layers, kinds = list(labels["layer"]), list(labels["kind"])
        said = _most(values, layers, kinds, measure)
        alt = texts.CHANGE_SAID[measure].format(run=run.id, method=run.recipe.method, **said)
        moved = np.isfinite(values).any(axis=0)
        if len(kinds) > MOST_KINDS and not moved.all():
            notes.append(texts.KINDS_LEFT_OUT.format(count=int((~moved).sum()), every=len(kinds)))
            values, kinds = values[:, moved], [kinds[at] for at in np.flatnonzero(moved)]
        figure = heatmap(
            values,
            layers,
            kinds,
            title=texts.CHANGE_TITLE.format(run=run.id, method=run.recipe.method),
            scale=texts.CHANGE_SCALES[measure],
            number=three_digits,
            blank=texts.NOTHING_MOVED,
        )
        return Drawing(" ".join((alt, *notes)), figure)


def _most(values: np.ndarray, layers: Sequence[str], kinds: Sequence[str], measure: str) -> dict[str, str]:
    """Which group moved most, and how far a usual one moved."""
    row, column = divmod(int(np.nanargmax(values)), values.shape[1])
    top, usual = (
        three_digits(value) if measure == "relative" else f"{value:.2g}"
        for value in (values[row, column], np.nanmedian(values))
    )
    return {"kind": kinds[column], "place": layer_words(layers[row]), "most": top, "usual": usual}
