"""Long lists of parameters and modules as the few words that mean exactly them: ``query``, ``.bias``, ``score.``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def ends(chosen: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """The fewest dotted ends (``.query.bias``) that all chosen names have and no other name has, in order of first use.

    A whole name is the end of its own, so there is always an answer. Ends are compared with ``f".{name}"``.
    """
    left = [f".{name}" for name in chosen]
    taken = {end for name in others for end in _ends_of(f".{name}")}
    found: list[str] = []
    for name in left:
        if not name.endswith(tuple(found)):
            found.append(next((end for end in _ends_of(name) if end not in taken), name))
    # A later end may have made an earlier one needless: ".key.bias" once ".bias" is there.
    return tuple(end for end in found if not any(end != more and end.endswith(more) for more in found))


def beginnings(chosen: Collection[str], names: Sequence[str]) -> tuple[str, ...]:
    """Beginnings of names (``classifier.``) that mean exactly the chosen: whole modules where all of one is chosen."""
    wanted = set(chosen)
    found: list[str] = []
    for name in names:
        if name not in wanted or name.startswith(tuple(found)):
            continue
        parts = name.split(".")
        starts = (".".join(parts[:length]) + "." for length in range(1, len(parts)))
        whole = (s for s in starts if all(other in wanted for other in names if other.startswith(s)))
        found.append(next(whole, name))
    return tuple(found)


def _ends_of(name: str) -> Iterable[str]:
    """``.c``, ``.b.c``, ``.a.b.c`` of ``.a.b.c``."""
    parts = name.split(".")[1:]
    return (f".{'.'.join(parts[-length:])}" for length in range(1, len(parts) + 1))
