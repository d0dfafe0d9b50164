"""Which texts of the test split a run got right, read from the artifact ``test-answers``."""

from __future__ import annotations

import numpy as np

from pluggy_specs import Artifact

KIND = "test-answers"


def correct_answers(artifact: Artifact) -> np.ndarray | None:
    """True for each text whose highest output is its label; None where answers are not right or wrong text by text.

    So of numbers that are predicted, and of words: those of one text are not independent of each other.
    """
    known = artifact.arrays
    if not {"outputs", "label"} <= set(known):
        return None
    outputs, label = np.asarray(known["outputs"].values), np.asarray(known["label"].values)
    if outputs.ndim != 2 or outputs.shape[1] < 2 or label.ndim != 1 or len(label) != len(outputs):
        return None
    if known["outputs"].axes[0] != "text" or not np.equal(np.mod(label, 1), 0).all():
        return None
    return np.asarray(np.nan_to_num(outputs, nan=-np.inf).argmax(axis=1) == label)


def same_texts(one: Artifact, other: Artifact) -> bool:
    """Whether two runs have answered the same texts in the same order, as far as rows and labels tell."""
    return all(_same(one, other, name) for name in ("label", "row"))


def _same(one: Artifact, other: Artifact, name: str) -> bool:
    found = [np.asarray(artifact.arrays[name].values) for artifact in (one, other) if name in artifact.arrays]
    return not found or (len(found) == 2 and np.array_equal(found[0], found[1]))
