"""A label for each word of a text: names in it, or parts of speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.tasks._common import labels_of, logits, names_for, noted, ranked
from pluggy_specs import Batch, Table, Task
from pluggy_specs.pieces import UNSUPERVISED

if TYPE_CHECKING:
    import torch

OUTSIDE = "O"


class Tagging(Task):
    """Cross-entropy over the first token of each word; entity F1, or accuracy where tags name no entities.

    Tags of entities are IOB2: ``B-person`` on the first word of a person, ``I-person`` on the others, ``O`` elsewhere.
    """

    name = "tagging"
    summary = "a label for each word, such as the names in a text"
    auto_class = "AutoModelForTokenClassification"
    headline = "entity_f1"
    by_word = True

    def targets(self, train: Table) -> Mapping[str, Any]:
        """Tags in alphabetical order, and whether they name entities; then each kind has its ``B-`` and its ``I-``."""
        tags = {str(tag) for row in labels_of(train) for tag in row}
        kinds = {tag[2:] for tag in tags if tag[:2] in ("B-", "I-") and tag[2:]}
        entities = bool(kinds) and tags <= {OUTSIDE, *(start + kind for kind in kinds for start in ("B-", "I-"))}
        if entities:
            tags = {OUTSIDE, *(start + kind for kind in kinds for start in ("B-", "I-"))}
        return {"labels": sorted(tags), "entities": entities}

    def scores(self, targets: Mapping[str, Any]) -> Sequence[str]:
        """By entity where tags name entities, else by word."""
        if targets["entities"]:
            return ("entity_f1", "entity_precision", "entity_recall", "accuracy")
        return ("accuracy", "macro_f1")

    def model_settings(self, targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """Number of tags and their names, kept in the model's config."""
        return names_for(targets["labels"])

    def encode_labels(self, rows: Table, targets: Mapping[str, Any]) -> Sequence[np.ndarray]:
        """Index of the tag of each word, an array for each text."""
        index = {name: i for i, name in enumerate(targets["labels"])}
        return [np.array([index[str(tag)] for tag in row], dtype=np.int64) for row in labels_of(rows)]

    def outputs(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Logits, [batch, token, tag]."""
        return logits(model, batch)

    def losses(self, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy of each token, and 1 for those that begin a word: both [batch, token]."""
        import torch

        labels = batch["labels"]
        scores = outputs.float().transpose(1, 2)
        losses = torch.nn.functional.cross_entropy(scores, labels, ignore_index=UNSUPERVISED, reduction="none")
        return losses, (labels != UNSUPERVISED).to(losses.dtype)

    def metrics(self, outputs: Any, labels: Sequence[Any], targets: Mapping[str, Any]) -> Mapping[str, float]:
        """Scores over all words. One that was cut off got no answer: it counts as outside of any entity, or as wrong.

        An entity is found where its kind, its first and its last word are right.
        """
        from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

        names = [*targets["labels"], OUTSIDE if targets["entities"] else ""]
        gold = [np.asarray(row) for row in labels]
        found = [_best(row, missing=len(names) - 1) for row in outputs]
        flat_gold, flat_found = ([names[i] for i in np.concatenate(rows)] if rows else [] for rows in (gold, found))
        scores = {"accuracy": float(np.mean(np.array(flat_gold) == np.array(flat_found)))}
        if targets["entities"]:
            told = [[[names[i] for i in row] for row in rows] for rows in (gold, found)]
            precision, recall, f1, _ = precision_recall_fscore_support(*told, average="micro", zero_division=0)
            scores = {
                "entity_f1": float(f1),
                "entity_precision": float(precision),
                "entity_recall": float(recall),
                **scores,
            }
        else:
            from sklearn.metrics import f1_score

            scores["macro_f1"] = float(f1_score(flat_gold, flat_found, average="macro", zero_division=0))
        return noted(scores, np.array(flat_found), np.array(flat_gold))

    def answers(self, outputs: Any, targets: Mapping[str, Any]) -> Sequence[Sequence[tuple[str, float]]]:
        """For each word the tags with probabilities, most probable first."""
        return ranked(outputs, targets["labels"])


def _best(outputs: Any, missing: int) -> np.ndarray:
    """The likeliest tag of each word, or ``missing`` where there is no answer."""
    rows = np.asarray(outputs)
    unanswered = np.isnan(rows).any(-1)
    return np.where(unanswered, missing, np.where(unanswered[:, None], 0, rows).argmax(-1))
