"""Which parameters train, where in the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from peft_lab.present.style import count, share, three_digits
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
            title=f"{run.id}, {run.recipe.method}: what trains",
            scale="trainable, % of the group",
            number=three_digits,
            blank="no such parameter",
        )
        return Drawing(self._sentence(run, trainable, total, labels), figure)

    @staticmethod
    def _sentence(run: RunView, trainable: np.ndarray, total: np.ndarray, labels: Mapping[str, Sequence[str]]) -> str:
        everything, moving = total.sum(), trainable.sum()
        start = f"{run.id}, {run.recipe.method}: {count(moving)} of {count(everything)} parameters train"
        start += f" ({share(moving / everything)})" if everything else ""
        if not moving:
            return start + "."
        by_kind = trainable.sum(axis=0)
        most = int(by_kind.argmax())
        kinds = int((by_kind > 0).sum())
        top = f"{labels['kind'][most]} ({share(by_kind[most] / moving)})"
        return f"{start}, in {kinds} of {len(by_kind)} module kinds; most in {top}."
