"""Text that a language model writes: an answer to what stands before it, token by token."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.tasks._common import labels_of
from peft_lab.tasks._next_token import next_token_losses
from pluggy_specs import Batch, Table, Task
from pluggy_specs.pieces import UNSUPERVISED

if TYPE_CHECKING:
    import torch

HIGHEST = 700.0
"""Mean loss above which the perplexity is no number any more."""


class Causal(Task):
    """Cross-entropy over the tokens of the answer; how many of them, and of whole answers, come first with the model.

    All scores but those of written answers are by teacher forcing: the model sees the true tokens before each one. An
    answer all of whose tokens come first is the one that it would write, choosing the likeliest token each time.
    """

    name = "causal"
    summary = "text that a language model writes as an answer: replies, tool calls, completions"
    auto_class = "AutoModelForCausalLM"
    headline = "token_accuracy"
    generates = True
    training = {"batch_size": 8, "eval_batch_size": 8, "max_length": 512}
    rate = 0.3

    def targets(self, train: Table) -> Mapping[str, Any]:
        """Nothing has to be known beforehand: any text may be an answer."""
        return {}

    def scores(self, targets: Mapping[str, Any]) -> Sequence[str]:
        """Those of which more is better; loss and perplexity are measured as well."""
        return ("token_accuracy", "exact_match")

    def model_settings(self, targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """The model stays as it is."""
        return {}

    def encode_labels(self, rows: Table, targets: Mapping[str, Any]) -> Sequence[str]:
        """Answers as text; the core makes tokens of them, behind what they answer."""
        return [str(label) for label in labels_of(rows)]

    def outputs(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """The loss of each token and whether it came first, [batch, token, 2]; without labels, of all tokens."""
        ids, attention = batch["input_ids"], batch["attention_mask"]
        labels = batch.get("labels")
        if labels is None:
            labels = ids.masked_fill(attention == 0, UNSUPERVISED)
        return next_token_losses(model, ids, attention, labels)

    def losses(self, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of each token and 1 for those of the answer: both [batch, token]."""
        losses = outputs[..., 0]
        labels = batch.get("labels")
        supervised = batch["attention_mask"] != 0 if labels is None else labels != UNSUPERVISED
        return losses, supervised.to(losses.dtype)

    def metrics(self, outputs: Any, labels: Sequence[Any], targets: Mapping[str, Any]) -> Mapping[str, float]:
        """Scores over all answers: of their tokens, [token, 2] for each answer, and of each as a whole."""
        tokens = np.concatenate([np.asarray(row, dtype=np.float64) for row in outputs])
        loss = float(tokens[:, 0].mean())
        return {
            "token_accuracy": float(tokens[:, 1].mean()),
            "exact_match": float(np.mean([bool((np.asarray(row)[:, 1] > 0).all()) for row in outputs])),
            "perplexity": math.exp(min(loss, HIGHEST)),
        }

    def answers(self, outputs: Any, targets: Mapping[str, Any]) -> Sequence[Sequence[tuple[str, float]]]:
        """The probability of each text, token by token multiplied; what a model writes is asked of it otherwise."""
        return [[("as given", math.exp(-float(np.nansum(np.asarray(row)[..., 0]))))] for row in outputs]
