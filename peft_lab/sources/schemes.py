"""How tags mark where an entity begins and ends: IOB1, IOB2, BIOES, BILOU, BMES. All are taken over as IOB2.

IOB2 marks the first word of every entity with ``B-`` and the others with ``I-``. IOB1 has ``B-`` only where an entity
follows another of its kind; the others mark last and single words as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

OUTSIDE = "O"
TAG = re.compile(r"([BIESLUM])-(.+)")
BEGINS, ENDS = "BSU", "ESLU"
SCHEMES = (("IOB2", "BI"), ("BIOES", "BIES"), ("BILOU", "BILU"), ("BMES", "BMES"))


@dataclass(frozen=True)
class Converted:
    """Tags in IOB2."""

    codes: np.ndarray
    """For each word the number of its tag in ``names``."""
    names: list[str]
    """In alphabetical order."""
    scheme: str
    """What they were; empty for tags that name no entities, which stay as they are."""
    mended: int = 0
    """Words that stood inside an entity which nothing began."""
    example: str = ""
    """The tag of the first of them."""


def to_iob2(codes: np.ndarray, ends: np.ndarray, names: Sequence[str]) -> Converted:
    """Return tags as IOB2.

    Args:
        codes: for each word the number of its tag in ``names``, one text after another.
        ends: where each text ends in it.
        names: of the tags.
    """
    import numpy as np

    used = np.unique(codes).tolist()
    parts = [TAG.fullmatch(name) for name in names]
    letters = {part[1] for part in (parts[number] for number in used) if part}
    scheme = next((name for name, known in SCHEMES if letters <= set(known)), "")
    if any(parts[number] is None and names[number] != OUTSIDE for number in used) or not scheme:
        return _in_order(codes, names)
    if not letters:  # nothing but words outside of entities
        return Converted(np.zeros(len(codes), dtype=np.int32), [OUTSIDE], "IOB2")
    kinds = sorted({part[2] for part in (parts[number] for number in used) if part})
    number_of = {name: number for number, name in enumerate(kinds)}
    kind = np.array([number_of.get(found[2], -1) if found else -1 for found in parts])[codes]
    begins = np.array([found is not None and found[1] in BEGINS for found in parts])[codes]
    closes = np.array([found is not None and found[1] in ENDS for found in parts])[codes]
    first = np.zeros(len(codes), dtype=bool)
    first[np.concatenate([[0], ends[:-1]])[np.diff(np.concatenate([[0], ends])) > 0]] = True
    after_own = np.zeros(len(codes), dtype=bool)
    after_own[1:] = (kind[1:] == kind[:-1]) & ~closes[:-1]
    after_own &= ~first & (kind >= 0)
    stray = (kind >= 0) & ~begins & ~after_own
    if scheme == "IOB2" and stray.any() and not (begins & ~after_own).any():
        scheme = "IOB1"  # B- stands only where it must: between two entities of a kind
    starts = begins | stray
    whole = sorted([OUTSIDE, *(start + name for name in kinds for start in ("B-", "I-"))])
    table = np.array([[whole.index("B-" + name), whole.index("I-" + name)] for name in kinds])
    new = np.where(kind < 0, whole.index(OUTSIDE), table[kind, np.where(starts, 0, 1)])
    if scheme == "IOB1" or not stray.any():
        return Converted(new.astype(np.int32), whole, scheme)
    example = names[int(codes[int(np.flatnonzero(stray)[0])])]
    return Converted(new.astype(np.int32), whole, scheme, int(stray.sum()), example)


def _in_order(codes: np.ndarray, names: Sequence[str]) -> Converted:
    import numpy as np

    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), dtype=np.int32)
    rank[order] = np.arange(len(names), dtype=np.int32)
    return Converted(rank[codes], sorted(names), "")
