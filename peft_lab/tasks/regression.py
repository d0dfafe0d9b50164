"""A number for each text or pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.present.style import number
from peft_lab.tasks._common import CONSTANT, labels_of, logits
from pluggy_specs import Batch, Table, Task

if TYPE_CHECKING:
    import torch

SAME = 1e-5
"""Answers that differ by less than this share of the labels' deviation are one answer and rounding."""


class Regression(Task):
    """Squared error; Pearson and Spearman correlation.

    The model learns standardised labels (mean 0, deviation 1 over the training rows), because a fresh head answers near
    0 and learning rates are made for losses near 1: prices would not be reached in any number of steps. Scores and
    answers are in the units of the data.
    """

    name = "regression"
    summary = "a number for each text or pair of texts"
    auto_class = "AutoModelForSequenceClassification"
    headline = "pearson"

    def targets(self, train: Table) -> Mapping[str, Any]:
        """Mean and deviation of the labels: an answer is the model's output times ``deviation`` plus ``mean``."""
        labels = np.fromiter(map(float, labels_of(train)), dtype=np.float64)
        return {"mean": float(labels.mean()), "deviation": float(labels.std()) or 1.0}

    def scores(self, targets: Mapping[str, Any]) -> Sequence[str]:
        """Those of which more is better; the squared error is measured as well."""
        return ("pearson", "spearman")

    def model_settings(self, targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """One output."""
        return {"num_labels": 1, "problem_type": "regression"}

    def encode_labels(self, rows: Table, targets: Mapping[str, Any]) -> Sequence[float]:
        """Standardised labels."""
        return [(float(label) - targets["mean"]) / targets["deviation"] for label in labels_of(rows)]

    def outputs(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Standardised answers, [batch, 1]."""
        return logits(model, batch)

    def losses(self, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Squared error of each text, standardised; both results are [batch, 1]."""
        import torch

        losses = (outputs.float()[:, 0] - batch["labels"]).square()[:, None]
        return losses, torch.ones_like(losses)

    def metrics(self, outputs: Any, labels: Sequence[float], targets: Mapping[str, Any]) -> Mapping[str, float]:
        """Correlations, 0 where answers or labels are all the same, and ``mse`` in squared units of the data."""
        from scipy import stats

        answers, gold = np.asarray(outputs, dtype=np.float64)[:, 0], np.asarray(labels, dtype=np.float64)
        differ, apart = float(np.ptp(answers)) >= SAME, bool(np.ptp(gold))
        scores = {"pearson": 0.0, "spearman": 0.0}
        if differ and apart:
            scores["pearson"] = float(stats.pearsonr(answers, gold).statistic)
            scores["spearman"] = float(stats.spearmanr(answers, gold).statistic)
        scores["mse"] = float(np.square(answers - gold).mean() * targets["deviation"] ** 2)
        return {**scores, CONSTANT: 1.0} if apart and not differ else scores

    def answers(self, outputs: Any, targets: Mapping[str, Any]) -> Sequence[Sequence[tuple[str, float]]]:
        """The number in the units of the data, which no probability goes with."""
        values = np.asarray(outputs, dtype=np.float64)[:, 0] * targets["deviation"] + targets["mean"]
        return [[(number(float(value)), float("nan"))] for value in values]
