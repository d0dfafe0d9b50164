"""What a run answered on a split, read from the artifact that it left: labels with probabilities, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from peft_lab.errors import RunProblem
from pluggy_specs import Artifact, PeftLabError, RunView

CLASSES, NUMBERS, OTHER = "classes", "numbers", "other"


@dataclass(frozen=True)
class Answers:
    """Raw outputs of a split beside what would have been right; one item is a text, or a word."""

    outputs: np.ndarray
    """[item, label], fp32."""
    label: np.ndarray
    row: np.ndarray
    """Number of the text of each item in its split."""
    names: tuple[str, ...] = ()
    """Labels in the order of the outputs."""
    place: np.ndarray | None = None
    """Of words, which of its text each one is."""
    note: str = ""

    @property
    def kind(self) -> str:
        """``classes``: one of several labels for each item. ``numbers``: a number for each. ``other``: neither."""
        if self.outputs.ndim != 2 or self.label.ndim != 1:
            return OTHER
        if self.outputs.shape[1] > 1 and np.issubdtype(self.label.dtype, np.integer):
            inside = not len(self.label) or (self.label.min() >= 0 and self.label.max() < self.outputs.shape[1])
            return CLASSES if inside else OTHER
        return NUMBERS if self.outputs.shape[1] == 1 else OTHER

    @property
    def by_word(self) -> bool:
        """Whether an item is a word."""
        return self.place is not None

    @cached_property
    def answered(self) -> Answers:
        """Those items that got an answer: a word that was cut off, or that the tokenizer does not read, got none."""
        there = np.isfinite(self.outputs).all(-1)
        if there.all():
            return self
        place = None if self.place is None else self.place[there]
        return Answers(self.outputs[there], self.label[there], self.row[there], self.names, place, self.note)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of each label for each item, as the model says them."""
        return softmax(self.outputs)

    @property
    def answer(self) -> np.ndarray:
        """The label that each item got; of equally likely ones the first, as scores count it."""
        found: np.ndarray = self.outputs.argmax(-1)
        return found

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the answer that was given."""
        found: np.ndarray = self.probabilities.max(-1)
        return found

    @property
    def correct(self) -> np.ndarray:
        """Whether each item got the right label."""
        return np.asarray(self.answer == self.label)

    def __len__(self) -> int:
        return len(self.label)


def softmax(outputs: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities of raw outputs, in fp64; a temperature above 1 makes them less sure."""
    shifted = np.asarray(outputs, dtype=np.float64) / temperature
    shifted = np.exp(shifted - shifted.max(-1, keepdims=True))
    found: np.ndarray = shifted / shifted.sum(-1, keepdims=True)
    return found


def answers_in(artifact: Artifact) -> Answers:
    """The answers in ``test-answers`` or ``validation-answers``."""
    arrays = artifact.arrays
    names: Sequence[str] = arrays["outputs"].labels.get("label", ())
    place = np.asarray(arrays["place"].values) if "place" in arrays else None
    outputs, label, row = (np.asarray(arrays[name].values) for name in ("outputs", "label", "row"))
    return Answers(outputs, label, row, tuple(names), place, artifact.note)


def kept_answers(run: RunView, split: str = "test") -> Answers | None:
    """What a run answered on a split; None where it kept nothing."""
    try:
        return answers_in(run.artifact(f"{split}-answers"))
    except (PeftLabError, KeyError):
        return None


def classes_of(run: RunView, split: str = "test") -> Answers:
    """The answers of a run that chooses among labels, of those items that got one.

    Raises:
        RunProblem: it kept none, or its answers are no labels.
    """
    found = kept_answers(run, split)
    if found is None:
        raise RunProblem(f"{run.id} has kept no answers on {split}", "Train again to the end, with a test split")
    if found.kind != CLASSES:
        raise RunProblem(f"{run.id} gives no label with a probability", "Its task has none: see docs/judging.md")
    return found.answered
