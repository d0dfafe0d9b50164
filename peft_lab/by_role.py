"""What tokens lose by their role: roles found in one run laid over the losses of the same rows in any other.

Runs that found different roles are compared under those of one of them: a mean over other tokens is another number.

Arrays only: no model, no torch. A row is known by the digest of its tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pluggy_specs import Artifact, PeftLabError, RunView
from pluggy_specs.pieces import BOILERPLATE, LEARNED, REASONING

NAMES = {REASONING: "loss_reasoning", BOILERPLATE: "loss_boilerplate"}


@dataclass(frozen=True)
class Taught:
    """The supervised tokens of one row."""

    ids: np.ndarray
    before: np.ndarray
    """The token that stands before each one."""
    values: Mapping[str, np.ndarray]
    """Arrays of the artifact, by name, at these tokens."""


def rows_of(artifact: Artifact) -> dict[str, Taught]:
    """The rows of ``token-losses`` or ``token-roles`` by digest, in their order."""
    columns = {
        name: np.asarray(array.values) for name, array in artifact.arrays.items() if tuple(array.axes) == ("token",)
    }
    digests = artifact.arrays["digest"].labels["sample"]
    sample, taught = columns.pop("sample"), np.isin(columns.pop("kind"), LEARNED)
    ids = columns.pop("token")
    before = np.concatenate([[-1], ids[:-1]])
    found = {}
    for number, digest in enumerate(digests):
        at = np.flatnonzero((sample == number) & taught)
        found[digest] = Taught(ids[at], before[at], {name: values[at] for name, values in columns.items()})
    return found


@dataclass(frozen=True)
class Compared:
    """Losses by role of runs that stand beside each other."""

    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By run, where they are not those of its own roles."""
    of: str = ""
    """The run whose roles are laid over all of them, because they found different ones."""
    apart: Sequence[str] = ()
    """Runs whose roles are their own and cannot be laid over one another: they share no held-out rows."""


def loss_by_role(losses: Artifact, roles: Artifact, rows: Collection[str] | None = None) -> dict[str, float]:
    """The mean loss of reasoning and of boilerplate tokens in the rows that both have; empty where they share none.

    Args:
        losses: ``token-losses`` of a run.
        roles: ``token-roles`` of the same or another run.
        rows: digests of the rows to look at; all when not given.
    """
    known = rows_of(roles)
    both = [
        (row.values["after"], known[digest].values["role"])
        for digest, row in rows_of(losses).items()
        if digest in known and (rows is None or digest in rows)
    ]
    if not both:
        return {}
    after, role = (np.concatenate(part) for part in zip(*both, strict=True))
    return {
        name: float(np.mean(after[role == one], dtype=np.float64)) for one, name in NAMES.items() if (role == one).any()
    }


def compared_by_role(runs: Sequence[RunView]) -> Compared:
    """Losses by role that can stand in one column.

    Where runs found different roles, those of one are laid over all of them, on the rows that all have: of the first
    that found them by shuffling, else of the first. Roles by rules are there to be compared with.
    """
    losses = {run.id: one for run in runs if (one := _artifact(run, "token-losses")) is not None}
    roles = {run.id: one for run in runs if run.id in losses and (one := _artifact(run, "token-roles")) is not None}
    if _alike([losses[name] for name in roles], list(roles.values())):
        return Compared(by_run(runs))
    of = next((name for name, one in roles.items() if _by_shuffling(one)), next(iter(roles)))
    rows = _digests(roles[of]).intersection(*(_digests(losses[name]) for name in roles))
    if not rows:
        return Compared(by_run(runs), apart=tuple(roles))
    sharing = list(roles)
    for name, one in losses.items():  # a plain run with other rows must not take those of all others away
        if name not in roles and rows & _digests(one):
            rows &= _digests(one)
            sharing.append(name)
    return Compared({name: loss_by_role(losses[name], roles[of], rows) for name in sharing}, of=of)


def by_run(runs: Sequence[RunView]) -> dict[str, dict[str, float]]:
    """Losses by role of runs that found none themselves, by id: under the roles that another of them found.

    So plain fine-tuning is compared on the same tokens. The roles are those of the run that shares most rows.
    """
    found: dict[str, dict[str, float]] = {}
    roles = [one for run in runs if (one := _artifact(run, "token-roles")) is not None]
    for run in runs:
        losses = _artifact(run, "token-losses")
        if losses is None or _artifact(run, "token-roles") is not None:
            continue
        mine = _digests(losses)
        shared = [(len(mine & _digests(one)), one) for one in roles]
        if shared and (scores := loss_by_role(losses, max(shared, key=lambda pair: pair[0])[1])):
            found[run.id] = scores
    return found


def _alike(losses: Sequence[Artifact], roles: Sequence[Artifact]) -> bool:
    """Whether all found the same roles, in held-out rows that they share."""
    if len(roles) < 2:
        return True
    held_out = set.intersection(*(_digests(one) for one in (*losses, *roles)))
    first, *others = (rows_of(one) for one in roles)
    return bool(held_out) and all(
        np.array_equal(first[digest].values["role"], other[digest].values["role"])
        for digest in held_out
        for other in others
    )


def _by_shuffling(roles: Artifact) -> bool:
    """Whether differences of losses were found; rules leave none."""
    return "ld" in roles.arrays and bool(np.isfinite(roles.arrays["ld"].values).any())


def _digests(artifact: Artifact) -> set[str]:
    return set(artifact.arrays["digest"].labels["sample"])


def _artifact(run: RunView, kind: str) -> Artifact | None:
    try:
        return run.artifact(kind)
    except PeftLabError:
        return None
