"""What tokens lose by their role: roles found in one run laid over the losses of the same rows in any other.

Arrays only: no model, no torch. A row is known by the digest of its tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def loss_by_role(losses: Artifact, roles: Artifact) -> dict[str, float]:
    """The mean loss of reasoning and of boilerplate tokens in the rows that both have; empty where they share none.

    Args:
        losses: ``token-losses`` of a run.
        roles: ``token-roles`` of the same or another run.
    """
    known = rows_of(roles)
    both = [
        (row.values["after"], known[digest].values["role"])
        for digest, row in rows_of(losses).items()
        if digest in known
    ]
    if not both:
        return {}
    after, role = (np.concatenate(part) for part in zip(*both, strict=True))
    return {
        name: float(np.mean(after[role == one], dtype=np.float64)) for one, name in NAMES.items() if (role == one).any()
    }


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
        mine = set(losses.arrays["digest"].labels["sample"])
        shared = [(len(mine.intersection(one.arrays["digest"].labels["sample"])), one) for one in roles]
        if shared and (scores := loss_by_role(losses, max(shared, key=lambda pair: pair[0])[1])):
            found[run.id] = scores
    return found


def _artifact(run: RunView, kind: str) -> Artifact | None:
    try:
        return run.artifact(kind)
    except PeftLabError:
        return None
