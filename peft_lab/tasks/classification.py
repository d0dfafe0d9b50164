"""One label for each text or pair of texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pluggy_specs import Batch, Table, Task

if TYPE_CHECKING:
    import torch


class Classification(Task):
    """Cross-entropy over labels; accuracy, macro-averaged F1 and Matthews correlation."""

    name = "classification"
    summary = "one label for each text or pair of texts"
    auto_class = "AutoModelForSequenceClassification"
    headline = "accuracy"

    def targets(self, train: Table) -> Mapping[str, Any]:
        """Labels in alphabetical order, so that the same data always gives the same numbers."""
        return {"labels": sorted(set(_labels(train)))}

    def model_settings(self, targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """Number of labels and their names, kept in the model's config."""
        labels = targets["labels"]
        return {
            "num_labels": len(labels),
            "id2label": dict(enumerate(labels)),
            "label2id": {name: i for i, name in enumerate(labels)},
        }

    def encode_labels(self, rows: Table, targets: Mapping[str, Any]) -> Sequence[int]:
        """Index of each label."""
        index = {name: i for i, name in enumerate(targets["labels"])}
        return [index[label] for label in _labels(rows)]

    def outputs(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Logits, [batch, label]."""
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        return model(**inputs).logits

    def losses(self, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy of each text; a text counts as one token, so both results are [batch, 1]."""
        import torch

        losses = torch.nn.functional.cross_entropy(outputs.float(), batch["labels"], reduction="none")[:, None]
        return losses, torch.ones_like(losses)

    def metrics(self, outputs: Any, labels: Sequence[int], targets: Mapping[str, Any]) -> Mapping[str, float]:
        """Accuracy, macro F1 over the labels that occur, and Matthews correlation (0 for constant predictions)."""
        from sklearn.metrics import f1_score, matthews_corrcoef

        gold, predicted = np.asarray(labels), np.asarray(outputs).argmax(-1)
        return {
            "accuracy": float((gold == predicted).mean()),
            "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
            "matthews": float(matthews_corrcoef(gold, predicted)),
        }

    def answers(self, outputs: Any, targets: Mapping[str, Any]) -> Sequence[Sequence[tuple[str, float]]]:
        """Labels with probabilities, most probable first."""
        shifted = np.asarray(outputs, dtype=np.float64)
        shifted = np.exp(shifted - shifted.max(-1, keepdims=True))
        shares = shifted / shifted.sum(-1, keepdims=True)
        return [[(targets["labels"][i], float(row[i])) for i in np.argsort(-row)] for row in shares]


def _labels(rows: Table) -> Iterator[str]:
    """Labels in the order of the rows; a Dataset gives them in batches, without reading a text."""
    if not hasattr(rows, "select_columns"):
        yield from (str(row["label"]) for row in rows)
        return
    for batch in rows.select_columns(["label"]).iter(10_000):
        yield from map(str, batch["label"])
