"""How tokens are marked: two channels for what a token is, the strength of the tint for how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from peft_lab.errors import BadOption
from peft_lab.present.style import TINTS
from peft_lab.present.tokens.reading import Kept, Sample
from peft_lab.texts import tokens as texts

ALPHAS = (0.12, 0.2, 0.28, 0.36, 0.45)
"""Tints from weak to strong; above .45 text on a dark page would be hard to read."""
MIDDLE = 2
NATS = (0.1, 0.5, 1.5, 4.0)
"""Where a difference of losses counts as more, the same in every picture so that pictures can be compared."""
SAME = 0.05
"""A change of loss, in nats, that counts as none."""
UNMARKED = -1


@dataclass(frozen=True)
class Mark:
    """What a token can be. The line and the sign say it where there is no colour."""

    key: str
    colour: str
    line: str
    sign: str = ""

    @property
    def name(self) -> str:
        """As people read it."""
        return texts.MARKS[self.key]

    def opening(self, strength: int, lean: bool = False) -> tuple[str, str]:
        """The tags around a token; ``lean`` is for pages that would be too long: only solid lines are drawn."""
        colour = background(self.colour, strength)
        if lean:
            tag = "u" if self.line == "solid" else "tt"
            return f'<{tag} style="background:{colour}">', f"</{tag}>"
        line = f";border-bottom:2px {self.line};padding-bottom:2px" if self.line else ""
        return f'<span style="background:{colour}{line}">', "</span>"


@dataclass(frozen=True)
class Marking:
    """The marks of a picture, what gives them their strength, and which token has which."""

    marks: tuple[Mark, ...]
    about: str
    edges: tuple[float, ...]
    unit: str
    strength: Callable[[Sample], np.ndarray]
    number: Callable[[Sample], np.ndarray]

    def __call__(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """For each token the number of its mark, or -1, and its strength from 0 to 4."""
        number = self.number(sample)
        number = np.where(sample.learned & (number < len(self.marks)), number, UNMARKED)
        if not self.edges:
            return number, np.full(len(number), MIDDLE)
        return number, np.digitize(np.nan_to_num(self.strength(sample), nan=0.0, posinf=np.inf), self.edges)

    @property
    def steps(self) -> dict[int, str]:
        """The strengths that are used, and what each means."""
        if not self.edges:
            return {MIDDLE: texts.LIKE_THIS}
        low, *_, high = edges = [f"{edge:.3g}" for edge in self.edges]
        between = [texts.BETWEEN.format(low=one, high=other) for one, other in pairwise(edges)]
        above = (texts.FROM_UNIT if self.unit else texts.FROM).format(high=high, unit=self.unit)
        return dict(enumerate((texts.BELOW.format(low=low), *between, above)))


def background(colour: str, strength: int) -> str:
    """A tint as ``#rrggbbaa``: the shortest form, and a page may hold thousands."""
    return f"{TINTS[colour]}{round(255 * ALPHAS[strength]):02x}".lower()


ROLE_MARKS = (Mark("boilerplate", "orange", "dotted"), Mark("reasoning", "blue", "solid"))
"""At the places that are the numbers of the roles."""
CHANGE_MARKS = (Mark("fell", "green", "dotted", "▼"), Mark("rose", "vermilion", "solid", "▲"))
LOSS_MARKS = (Mark("loss", "purple", ""),)


def known_to(kept: Kept) -> list[str]:
    """What tokens can be marked by, the most telling first."""
    known = [name for name in ("ld", "weight") if kept.has_roles and kept.knows(name)]
    known += ["role"] if kept.has_roles else []
    known += ["change"] if kept.knows("before") and kept.knows("after") else []
    return [*known, *(["loss"] if kept.knows("after") else [])]


def marking(kept: Kept, by: str, run: str, threshold: float = 0.0) -> Marking:
    """How the tokens of a run are marked, by ``role``, ``ld``, ``weight``, ``loss`` or ``change``.

    ``auto`` is the most telling that is known: LD, weight or role, and without roles the change of loss or the loss.

    Args:
        threshold: the LD that parts the roles.

    Raises:
        BadOption: the run does not know what was asked for.
    """
    known = known_to(kept)
    if by == "auto":
        by = known[0] if known else "loss"
    elif by not in known:
        nothing = {"ld": "LD", "weight": "weight", "role": "role"}.get(by, "loss")
        raise BadOption(f"{run} knows no {nothing} of its tokens", f"--by {', '.join(known)}" if known else "", "by")
    if by == "change":
        return change(kept)
    if by == "role":
        return Marking(ROLE_MARKS, texts.BY_ROLE, (), "", _role, _role)
    if by == "ld":
        sign = "-" if threshold > 0 else "+"
        said = texts.BY_LD_FROM if threshold else texts.BY_LD
        about = said.format(sign=sign, size=f"{abs(threshold):g}", threshold=f"{threshold:g}", ld=texts.LD)
        return Marking(ROLE_MARKS, about, NATS, texts.NATS, lambda s: np.abs(s["ld"] - threshold), _role)
    if by == "loss":
        marks, number = (ROLE_MARKS, _role) if kept.has_roles else (LOSS_MARKS, _known_loss)
        return Marking(marks, texts.BY_LOSS, NATS, texts.NATS, lambda s: s["after"], number)
    weights = kept.all("weight")
    largest = float(np.max(weights[np.isfinite(weights)])) or 1.0
    edges = tuple(largest * part / 5 for part in range(1, 5))
    about = texts.BY_WEIGHT.format(largest=f"{largest:.3g}")
    return Marking(ROLE_MARKS, about, edges, "", lambda s: s["weight"], _role)


def change(kept: Kept) -> Marking:
    """Marks for the change from ``before`` to ``after``."""
    before, after = kept.names
    about = texts.BY_CHANGE.format(before=before, after=after, least=SAME)
    return Marking(CHANGE_MARKS, about, NATS, texts.NATS, lambda s: np.abs(_change(s)), _direction)


def _change(sample: Sample) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(sample["after"] - sample["before"])


def _direction(sample: Sample) -> np.ndarray:
    moved = np.nan_to_num(_change(sample), nan=0.0, posinf=np.inf, neginf=-np.inf)
    return np.where(np.abs(moved) < SAME, UNMARKED, (moved > 0).astype(int))


def _role(sample: Sample) -> np.ndarray:
    return sample.role


def _known_loss(sample: Sample) -> np.ndarray:
    return np.where(np.isfinite(sample["after"]), 0, UNMARKED)
