"""What the view of constructs draws, as an artifact: the constructs with their statistic, and texts they stand in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from peft_lab.methods._constructs import Constructs
from pluggy_specs import Array, Artifact

MOST_EXAMPLES = 24
LONGEST_EXAMPLE = 60
"""Tokens of an example that are kept."""


def constructs_artifact(constructs: Constructs) -> Artifact:
    """Arrays over ``construct`` (its label, kind, texts inside and in all, z, p), ``label``, and ``piece`` of examples.

    ``kind`` is how many words stand side by side, and 0 for two apart.
    ``piece_mark`` is 2 where a token belongs to a construct of the text's own label, 1 where to another's.
    """
    found, words = constructs.found, constructs.words
    said = [words.text(one.ids) if one.kind else " … ".join(words.text([i]) for i in one.ids) for one in found]
    columns = {
        "label": np.array([one.label for one in found], dtype=np.int32),
        "kind": np.array([words.many(one.ids) if one.kind else 0 for one in found], dtype=np.int8),
        "inside": np.array([one.inside for one in found], dtype=np.int32),
        "having": np.array([one.having for one in found], dtype=np.int32),
        "z": np.array([one.z for one in found]),
        "adjusted": np.array([one.adjusted for one in found]),
        "chi_square": np.array([one.chi_square for one in found]),
    }
    arrays = {name: Array(values, ("construct",), {"construct": said}) for name, values in columns.items()}
    labelled = constructs.labels.of_texts.sum(0).astype(np.int32)
    arrays["labelled"] = Array(labelled, ("label",), {"label": list(constructs.labels.names)})
    totals = np.array([constructs.texts, constructs.tested], dtype=np.int64)
    arrays["totals"] = Array(totals, ("number",), {"number": ["texts", "tested"]})
    pieces: list[str] = []
    examples: list[int] = []
    marks: list[int] = []
    labels: list[int] = []
    for label, shown, marked in _examples(constructs):
        examples += [len(labels)] * len(shown)
        labels.append(label)
        pieces += shown
        marks += marked
    arrays["piece_example"] = Array(np.array(examples, dtype=np.int32), ("piece",), {"piece": pieces})
    arrays["piece_mark"] = Array(np.array(marks, dtype=np.int8), ("piece",), {"piece": pieces})
    arrays["example_label"] = Array(np.array(labels, dtype=np.int32), ("example",))
    return Artifact("constructs", arrays)


def _examples(constructs: Constructs) -> Iterator[tuple[int, list[str], list[int]]]:
    """For each label the training text with the most tokens in its constructs: pieces of text, and their marks."""
    for label in sorted({one.label for one in constructs.found})[:MOST_EXAMPLES]:
        own = [one for one in constructs.found if one.label == label]
        best: tuple[int, list[str], list[int]] = (0, [], [])
        for tokens, labels in constructs.examples:
            rows = np.flatnonzero(labels[:, label])
            if not len(rows):
                continue
            these = type(tokens)(tokens.ids[rows], tokens.usable[rows])
            marked = constructs.marked(these, own)
            row = int(marked.sum(1).argmax())
            if (much := int(marked[row].sum())) <= best[0]:
                continue
            every = np.flatnonzero(these.usable[row])
            at = every[:LONGEST_EXAMPLE]
            alone = type(tokens)(these.ids[row : row + 1], these.usable[row : row + 1])
            either = constructs.marked(alone, constructs.found)[0, at].astype(int) + marked[row, at]
            pieces = constructs.words.pieces(these.ids[row, at].tolist())
            rest = [" …"] * (len(every) > len(at))
            best = much, pieces + rest, either.tolist() + [0] * len(rest)
        if best[0]:
            yield label, best[1], best[2]
