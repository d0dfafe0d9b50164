"""Which rows go into which split: test and validation carved out of train where there is none, limits kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem
from peft_lab.sources.repeats import Repeats
from peft_lab.sources.rows import Rows
from peft_lab.sources.splitting import apart, draw, draw_whole, in_turn, whole_in_turn

if TYPE_CHECKING:
    import datasets
    import numpy as np


class Part(NamedTuple):
    """The rows of a split: of which table they are, and which of it; None means all."""

    rows: Rows
    chosen: np.ndarray | None

    def take(self) -> datasets.Dataset:
        """The table of these rows."""
        return self.rows.take(self.chosen)

    @property
    def groups(self) -> np.ndarray | None:
        """The number of the conversation of each row, where rows belong together."""
        groups = self.rows.groups
        return groups if groups is None or self.chosen is None else groups[self.chosen]


def carve(splits: Mapping[str, Rows], repeated: Repeats, spec: DataSpec) -> tuple[dict[str, Part], list[str]]:
    """Return the rows of each split as a run uses them, and what to know about it.

    Args:
        splits: as they were found, with ``train`` among them.
        repeated: texts that stand more than once in ``train``.

    Raises:
        DataProblem: there are too few rows.
    """
    import numpy as np

    rows = splits["train"]
    left = np.arange(len(rows))
    parts = {split: Part(found, None) for split, found in splits.items() if split != "train"}
    notes: list[str] = []
    # A text that stands twice stays in train: otherwise validation would ask what training has told.
    once = repeated.once()
    if spec.test_share is not None and "test" not in splits:
        count = max(1, round(len(left) * spec.test_share))
        drawn = _apart(rows, left, once, count, spec.split_seed, "test")
        left, once = np.setdiff1d(left, drawn, assume_unique=True), np.setdiff1d(once, drawn, assume_unique=True)
        parts["test"] = Part(rows, drawn)
        notes += _about("test", rows, drawn, left)
    if "validation" not in splits:
        count = max(1, min(spec.validation_most, round(len(left) * spec.validation_share)))
        drawn = _apart(rows, left, once, count, spec.split_seed, "validation")
        left = np.setdiff1d(left, drawn, assume_unique=True)
        parts["validation"] = Part(rows, drawn)
        notes += _about("validation", rows, drawn, left)
    elif spec.validation_limit is not None and spec.validation_limit < len(splits["validation"]):
        parts["validation"], said = _limited(splits["validation"], spec)
        notes.append(said)
    if spec.limit is not None and spec.limit < len(left):
        there, left = len(left), _within_limit(rows, left, spec)
        notes.append(f"{len(left)} of {there} training rows used, as the limit says")
    parts["train"] = Part(rows, left if len(left) < len(rows) else None)
    return parts, notes


def _apart(rows: Rows, left: np.ndarray, once: np.ndarray, count: int, seed: int, split: str) -> np.ndarray:
    """Rows carved out of those that are left."""
    import numpy as np

    if rows.groups is None:
        drawn = draw(rows.codes, once, count, seed, leave=1, least=0, among=left)
    else:
        drawn = draw_whole(rows.groups, np.intersect1d(apart(rows.groups, once, count), left), count, seed)
    if not len(drawn) or len(drawn) == len(left):
        what = f"{len(left)} training rows are" if rows.groups is None else _conversations(rows.groups)
        raise DataProblem(f"{what} too few to carve out a {split} split", f"Give a file: --{split}")
    return drawn


def _about(split: str, rows: Rows, drawn: np.ndarray, left: np.ndarray) -> list[str]:
    import numpy as np

    notes = [f"{len(drawn)} of {len(rows)} training rows carved out for {split}"]
    if shared := int(np.isin(rows.keys[drawn], rows.keys[left]).sum()):
        notes.append(f"{shared} of these also {'stands' if shared == 1 else 'stand'} in train: so many begin alike")
    return notes


def _within_limit(rows: Rows, left: np.ndarray, spec: DataSpec) -> np.ndarray:
    """As many rows as the limit allows, each label in proportion; in turn, where smaller limits take some of these."""
    import numpy as np

    assert spec.limit is not None
    labels = len(rows.labels())
    if spec.limit < labels:
        raise DataProblem(f"a limit of {spec.limit} rows is too small", f"There are {labels} labels")
    if rows.groups is not None:
        if spec.subset_seed is not None:
            return whole_in_turn(rows.groups, left, spec.limit, spec.subset_seed)
        return draw_whole(rows.groups, left, spec.limit, spec.split_seed)
    if spec.subset_seed is not None:
        order = in_turn(rows.codes, left, spec.subset_seed)
        if rows.tags is not None:
            order = rows.tags.all_first(order)
        return np.sort(order[: spec.limit])
    return draw(rows.codes, left, spec.limit, spec.split_seed, leave=0, least=1)


def _limited(rows: Rows, spec: DataSpec) -> tuple[Part, str]:
    """Some rows of a validation split of one's own."""
    import numpy as np

    assert spec.validation_limit is not None
    every = np.arange(len(rows))
    if rows.groups is None:
        chosen = np.sort(in_turn(rows.codes, every, spec.split_seed)[: spec.validation_limit])
    else:
        chosen = whole_in_turn(rows.groups, every, spec.validation_limit, spec.split_seed)
    return Part(rows, chosen), f"{len(chosen)} of {len(rows)} validation rows used, as the limit says"


def _conversations(groups: np.ndarray) -> str:
    import numpy as np

    there = len(np.unique(groups))
    return "one conversation is" if there == 1 else f"{there} conversations are"
