"""One label for each text or pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.tasks._common import labels_of, logits, names_for, noted, ranked
from pluggy_specs import Batch, Table, Task

if TYPE_CHECKING:
    import torch

POSITIVE = frozenset("1 true yes y positive pos same equivalent duplicate entailment acceptable relevant spam".split())  # noqa: SIM905
DENIALS = ("not_", "not ", "no_", "no ", "non_", "non-", "non ", "un", "in", "dis")


class Classification(Task):
    """Cross-entropy over labels; accuracy, macro-averaged F1, Matthews correlation, and F1 of one of two labels."""

    name = "classification"
    summary = "one label for each text or pair of texts"
    auto_class = "AutoModelForSequenceClassification"
    headline = "accuracy"

    def targets(self, train: Table) -> Mapping[str, Any]:
        """Labels in alphabetical order, so that the same data always gives the same numbers.

        Of two labels ``positive`` is the one whose F1 is measured.
        """
        labels = sorted(set(map(str, labels_of(train))))
        return {"labels": labels, **({"positive": positive_of(labels)} if len(labels) == 2 else {})}

    def scores(self, targets: Mapping[str, Any]) -> Sequence[str]:
        """Accuracy counts, unless the data is judged by another of them."""
        return ("accuracy", "macro_f1", "matthews", *(("f1",) if "positive" in targets else ()))

    def model_settings(self, targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """Number of labels and their names, kept in the model's config."""
        return names_for(targets["labels"])

    def encode_labels(self, rows: Table, targets: Mapping[str, Any]) -> Sequence[int]:
        """Index of each label."""
        index = {name: i for i, name in enumerate(targets["labels"])}
        return [index[str(label)] for label in labels_of(rows)]

    def outputs(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Logits, [batch, label]."""
        return logits(model, batch)

    def losses(self, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy of each text; a text counts as one token, so both results are [batch, 1]."""
        import torch

        losses = torch.nn.functional.cross_entropy(outputs.float(), batch["labels"], reduction="none")[:, None]
        return losses, torch.ones_like(losses)

    def metrics(self, outputs: Any, labels: Sequence[int], targets: Mapping[str, Any]) -> Mapping[str, float]:
        """Accuracy, macro F1 over the labels that occur, Matthews correlation (0 for constant answers), maybe F1."""
        from sklearn.metrics import f1_score, matthews_corrcoef

        gold, predicted = np.asarray(labels), np.asarray(outputs).argmax(-1)
        scores = {
            "accuracy": float((gold == predicted).mean()),
            "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
            "matthews": float(matthews_corrcoef(gold, predicted)) if np.ptp(gold) and np.ptp(predicted) else 0.0,
        }
        if "positive" in targets:
            positive = targets["labels"].index(targets["positive"])
            scores["f1"] = float(f1_score(gold == positive, predicted == positive, zero_division=0))
        return noted(scores, predicted, gold)

    def answers(self, outputs: Any, targets: Mapping[str, Any]) -> Sequence[Sequence[tuple[str, float]]]:
        """Labels with probabilities, most probable first."""
        return ranked(outputs, targets["labels"])


def positive_of(labels: Sequence[str]) -> str:
    """Which of two labels is what is looked for: by its name, or else the second in alphabetical order.

    By its name means a word such as ``yes`` or ``1``, or that the other label denies it: ``not_equivalent``.
    """
    first, second = labels
    for one, other in ((first, second), (second, first)):
        if any(other.casefold() == denial + one.casefold() for denial in DENIALS):
            return one
    named = [label for label in labels if label.casefold() in POSITIVE]
    return named[0] if len(named) == 1 else second
