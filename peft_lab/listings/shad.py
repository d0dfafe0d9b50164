"""``%peft shad``: which answer tokens of data are reasoning and which boilerplate, found and shown without training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.errors import RunProblem
from peft_lab.present.stack import Stack
from peft_lab.present.style import share
from peft_lab.present.table import Table
from peft_lab.texts import tables as texts
from peft_lab.texts import tokens
from pluggy_specs import Artifact
from pluggy_specs.pieces import BOILERPLATE, REASONING

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.recipe import Recipe
    from peft_lab.training.progress import Progress

METHOD = "shad"
MOST = 8
"""Phrases and tokens that are listed."""
LONGEST = 60


@dataclass(frozen=True)
class Found:
    """Roles of data, for views: like a run that left one artifact."""

    recipe: Recipe
    artifact_found: Artifact
    notes: tuple[str, ...]
    id = METHOD
    path = Path()

    @property
    def artifacts(self) -> list[str]:
        """Its only kind."""
        return [self.artifact_found.kind]

    def artifact(self, kind: str) -> Artifact:
        """The roles.

        Raises:
            RunProblem: another kind is asked for.
        """
        if kind != self.artifact_found.kind:
            raise RunProblem(f"roles without training have no {kind}", "Train for more: %peft train lora+rft")
        return self.artifact_found


def found(recipe: Recipe, host: Host, progress: Progress) -> Found:
    """Find the roles of the training rows of a recipe that names ``shad``, as training would, and stop there.

    Args:
        progress: is told how far it is. A stop is not asked for through it: there is nothing to keep.

    Raises:
        PeftLabError: what training would raise before its first step.
    """
    from peft_lab.training.cost import give_back
    from peft_lab.training.installed import must_be_installed
    from peft_lab.training.plan import Draft
    from peft_lab.training.preparing import prepare
    from peft_lab.training.randomness import kept_apart

    must_be_installed()
    draft = Draft(recipe)
    try:
        with host.blaming(), kept_apart():
            ready = prepare(recipe, host, draft, progress)
            built = ready.job.built
            method = next(one for one in built.methods if one.name == METHOD)
            (artifact,) = method.artifacts(built.model, ready.context)
    finally:
        give_back()
    return Found(recipe, artifact, tuple(dict.fromkeys(draft.notes)))


def shown(host: Host, roles: Found, name: str) -> Stack:
    """Counts and phrases as tables, and the tokens themselves."""
    from peft_lab.listings.results import drawn

    parts: list[Any] = [counts(roles, name), phrases(roles.artifact_found)]
    if "tokens" in host.offers("views"):
        parts.append(drawn(host, "tokens", host.find("views", "tokens")(), [roles]))
    return Stack(tuple(parts))


def counts(roles: Found, name: str) -> Table:
    """How many tokens have which role in the rows that are shown, and what else was found."""
    arrays = {n: np.asarray(a.values) for n, a in roles.artifact_found.arrays.items()}
    rows: list[list[Any]] = []
    for name_of_role, role in (("reasoning", REASONING), ("boilerplate", BOILERPLATE)):
        here = arrays["role"] == role
        ld = float(np.nanmean(arrays["ld"][here])) if here.any() else float("nan")
        known = not np.isnan(ld)
        rows.append(
            [
                tokens.ROLES[name_of_role],
                int(here.sum()),
                share(here.sum() / max(1, (arrays["role"] >= 0).sum())),
                f"{ld:+.2f}" if known else None,
            ]
        )
    many = int(arrays["sample"].max()) + 1
    title = texts.ROLES_TITLE.format(data=name, model=roles.recipe.model, count=many)
    note = " ".join(texts.NOTE.format(note=said) for said in roles.notes)
    return Table(title, texts.ROLES_COLUMNS, rows, note=note)


def phrases(artifact: Artifact) -> Table:
    """Boilerplate that stands in most rows, and reasoning whose loss rose most."""
    common = Counter(text for texts in _runs(artifact) for text in texts)
    boilerplate, reasoning = (tokens.ROLES[name] for name in ("boilerplate", "reasoning"))
    rows: list[list[Any]] = [
        [boilerplate, text, texts.IN_ROWS.format(count=many)] for text, many in common.most_common(MOST)
    ]
    rows += [[reasoning, text, texts.HAS_LD.format(ld=f"{ld:+.2f}")] for text, ld in _highest(artifact)]
    return Table(texts.PHRASES_TITLE, texts.PHRASES_COLUMNS, rows)


def _runs(artifact: Artifact) -> Iterator[set[str]]:
    """Stretches of boilerplate in each row, as texts."""
    role, sample = (np.asarray(artifact.arrays[name].values) for name in ("role", "sample"))
    pieces = artifact.arrays["role"].labels["token"]
    for number in range(int(sample.max()) + 1):
        at = np.flatnonzero((sample == number) & (role == BOILERPLATE))
        stretches = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if len(at) else []
        texts = ("".join(pieces[i] for i in stretch).strip() for stretch in stretches)
        yield {text[:LONGEST] for text in texts if text}


def _highest(artifact: Artifact) -> Iterator[tuple[str, float]]:
    """Tokens that are reasoning, with the highest differences, each text once."""
    role, ld = (np.asarray(artifact.arrays[name].values) for name in ("role", "ld"))
    pieces = artifact.arrays["role"].labels["token"]
    at = np.flatnonzero((role == REASONING) & ~np.isnan(ld))
    seen: dict[str, float] = {}
    for place in at[np.argsort(-ld[at], kind="stable")]:
        if text := pieces[place].strip():
            seen.setdefault(text[:LONGEST], float(ld[place]))
        if len(seen) == MOST:
            break
    yield from seen.items()
