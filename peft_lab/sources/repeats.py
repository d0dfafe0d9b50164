"""Texts that stand more than once: within a split, in two splits, or with two labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from peft_lab.sources.rows import Rows


class Repeats:
    """The rows of a split in the order of their texts, seventeen bytes each.

    Args:
        keys: a number for each row, equal for equal texts.
    """

    def __init__(self, keys: np.ndarray) -> None:
        import numpy as np

        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self._again = np.zeros(len(keys), dtype=bool)
        self._again[1:] = self._keys[1:] == self._keys[:-1]

    def again(self) -> int:
        """How many rows have a text that stands in an earlier row."""
        return int(self._again.sum())

    def once(self) -> np.ndarray:
        """Numbers of the rows whose text stands nowhere else, ascending."""
        import numpy as np

        alone = ~self._again
        alone[:-1] &= ~self._again[1:]
        return np.sort(self._order[alone])

    def shared(self, keys: np.ndarray) -> int:
        """How many of other rows have a text that stands here."""
        import numpy as np

        places = np.searchsorted(self._keys, keys)
        places[places == len(self._keys)] = 0
        return int((self._keys[places] == keys).sum())

    def contradictions(self, codes: np.ndarray) -> int:
        """How many texts stand with more than one label."""
        import numpy as np

        labels = codes[self._order]
        differs = np.flatnonzero(self._again[1:] & (labels[1:] != labels[:-1])) + 1
        return len(np.unique(self._keys[differs]))


def notes(splits: Mapping[str, Repeats], rows: Mapping[str, Rows]) -> list[str]:
    """Return what to know about texts that stand more than once, in one split or in two."""
    said = []
    for split, repeated in splits.items():
        again, codes = repeated.again(), rows[split].codes
        if again:
            said.append(f"{again} {'row' if again == 1 else 'rows'} in {split} with a text that stands there already")
        torn = repeated.contradictions(codes) if again and codes is not None else 0
        if torn:
            said.append(f"{torn} {'text' if torn == 1 else 'texts'} of {split} with more than one label")
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        if first in splits and second in splits and (shared := splits[first].shared(rows[second].keys)):
            said.append(f"{shared} {second} {'row also stands' if shared == 1 else 'rows also stand'} in {first}")
    return said
