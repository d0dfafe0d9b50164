"""Which labels each training text has, for any task whose batches hold labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pluggy_specs import MethodContext, MethodRefused


@dataclass(frozen=True)
class Labels:
    """Names of the labels, and which text has which, 0 or 1, [text, label]."""

    names: Sequence[str]
    of_texts: np.ndarray


def read_labels(given: Sequence[np.ndarray | None], config: Any) -> Labels:
    """Labels of texts, of their tokens (a text has all that one of its tokens has), or halves of numbers.

    Args:
        given: labels of each batch: [text], [text, token] with negative ones where nothing is labelled, or numbers.
        config: the model's, which knows their names.

    Raises:
        MethodRefused: there are none.
    """
    known = [part for part in given if part is not None]
    named = getattr(config, "id2label", None) or {}
    names = [str(named[number]) for number in sorted(named)]
    if not known or len(known) < len(given):
        raise _no_labels()
    if known[0].dtype.kind == "f":
        return _halves(np.concatenate([part.reshape(len(part), -1)[:, 0] for part in known]))
    rows = []
    for part in known:
        part = part.reshape(len(part), -1)
        if part.max(initial=0) >= len(names):
            raise _no_labels()
        has = np.zeros((len(part), len(names) + 1), dtype=np.float32)
        np.put_along_axis(has, np.where(part < 0, len(names), part), 1, axis=1)
        rows.append(has[:, :-1])
    return Labels(names, np.concatenate(rows))


def must_have_labels(context: MethodContext) -> None:
    """Refuse a task whose answers are text: there is nothing that words could tell apart.

    Raises:
        MethodRefused: it is one.
    """
    if context.task.generates:
        raise MethodRefused(
            "words that tell labels apart are looked for, and what a model writes has no labels",
            "Choose weights without them: sparse --by fisher",
        )


def labels_of(given: Sequence[Any]) -> Labels:
    """Labels as they stand in the data: a name for each text, a number, or the tags of its words.

    Raises:
        MethodRefused: there are none.
    """
    if not given or any(one is None for one in given):
        raise _no_labels()
    if isinstance(given[0], float):
        return _halves(np.array(given))
    each = [set(map(str, one)) if isinstance(one, list | tuple) else {str(one)} for one in given]
    names = sorted(set().union(*each))
    return Labels(names, np.array([[name in one for name in names] for one in each], dtype=np.float32))


def _halves(numbers: np.ndarray) -> Labels:
    middle = float(np.median(numbers))
    high = numbers > middle
    return Labels(["lower half", "upper half"], np.stack([~high, high], axis=1).astype(np.float32))


def _no_labels() -> MethodRefused:
    return MethodRefused("words that tell labels apart are looked for, and this task has no labels", "Say --by fisher")
