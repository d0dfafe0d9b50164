"""Which parameters train, where in the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from peft_lab.present.style import count, share, three_digits
from peft_lab.texts import views as texts
from peft_lab.views.heatmap import heatmap
from pluggy_specs import Drawing, RunView, View


class TrainableMap(View):
    """Layers by module kinds: the share that trains in every cell."""

    name = "trainable-map"
    summary = "which share of each group of parameters trains, layers by module kinds"
    needs = ("trainable-by-layer",)

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw one run."""
        (run,) = runs
        arrays = run.artifact("trainable-by-layer").arrays
        trainable, total = (np.asarray(arrays[name].values, dtype=float) for name in ("trainable", "total"))
        labels = arrays["trainable"].labels
        part = np.divide(trainable, total, out=np.full_like(total, np.nan), where=total > 0)
        there = total.sum(axis=0) > 0
        kinds = [kind for kind, keep in zip(labels["kind"], there, strict=True) if keep]
        figure = heatmap(
            100 * part[:, there],
            labels["layer"],
            kinds,
            title=texts.TRAINABLE_TITLE.format(run=run.id, method=run.recipe.method),
            scale=texts.TRAINABLE_SCALE,
            number=three_digits,
            blank=texts.NO_PARAMETER,
        )
        return Drawing(self._sentence(run, trainable, total, labels), figure)

    @staticmethod
    def _sentence(run: RunView, trainable: np.ndarray, total: np.ndarray, labels: Mapping[str, Sequence[str]]) -> str:
        everything, moving = total.sum(), trainable.sum()
        numbers = {"run": run.id, "method": run.recipe.method, "count": count(moving), "total": count(everything)}
        if not everything:
            return texts.TRAINABLE_EMPTY.format(**numbers)
        numbers["share"] = share(moving / everything)
        if not moving:
            return texts.TRAINABLE_NONE.format(**numbers)
        by_kind = trainable.sum(axis=0)
        most = int(by_kind.argmax())
        kinds = int((by_kind > 0).sum())
        top = {"most": labels["kind"][most], "most_share": share(by_kind[most] / moving)}
        return texts.TRAINABLE_SAID.format(**numbers, kinds=kinds, every=len(by_kind), **top)
