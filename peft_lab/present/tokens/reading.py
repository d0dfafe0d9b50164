"""Samples of tokens out of the artifacts of runs: what is read, what is learned, roles, weights and losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import TypeVar

import numpy as np

from peft_lab.errors import RunProblem
from peft_lab.texts import tokens as texts
from pluggy_specs import Array, Artifact, PeftLabError, RunView
from pluggy_specs.pieces import BOILERPLATE, LEARNED, NO_ROLE, REASONING, digest_of

T = TypeVar("T")
ROLES, LOSSES = "token-roles", "token-losses"
ROLE_KEYS = {REASONING: "reasoning", BOILERPLATE: "boilerplate", NO_ROLE: "none"}
NUMBERS = {ROLES: ("ld", "weight"), LOSSES: ("before", "after")}


@dataclass(frozen=True)
class Sample:
    """One text of a run, token by token. Numbers that nobody knows are NaN."""

    key: str
    pieces: tuple[str, ...]
    kind: np.ndarray
    role: np.ndarray
    held_out: bool
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)
    """``ld``, ``weight``, ``before`` and ``after`` for each token."""

    @cached_property
    def learned(self) -> np.ndarray:
        """Whether each token is learned."""
        return np.isin(self.kind, LEARNED)

    def blocks(self) -> Iterator[tuple[bool, int, int]]:
        """Its parts in turn: whether it is learned, its first token, and the one after its last."""
        learned = self.learned.tolist()
        for key, group in groupby(range(len(learned)), key=learned.__getitem__):
            tokens = list(group)
            yield key, tokens[0], tokens[-1] + 1

    def at(self, threshold: float) -> Sample:
        """The same tokens: those with an LD above the threshold are reasoning, others that have one boilerplate."""
        known = self.learned & np.isfinite(self["ld"])
        role = np.where(self["ld"] > threshold, REASONING, BOILERPLATE)
        return _with(self, "learned", replace(self, role=np.where(known, role, self.role).astype(np.int8)))

    def __getitem__(self, name: str) -> np.ndarray:
        found = self.numbers.get(name)
        return np.full(len(self.pieces), np.nan) if found is None else found


@dataclass(frozen=True)
class Kept:
    """All samples of a run, those it did not train on first, and what the makers of its artifacts say of them."""

    samples: tuple[Sample, ...]
    has_roles: bool
    has_losses: bool
    notes: tuple[str, ...]
    names: tuple[str, str] = field(default_factory=lambda: (texts.BASE, texts.TRAINED))
    """Whose losses ``before`` and ``after`` are."""

    def all(self, name: str) -> np.ndarray:
        """A number of every learned token, one after another."""
        if name not in self._known:
            parts = [sample[name][sample.learned] for sample in self.samples]
            self._known[name] = np.concatenate(parts or [np.zeros(0)])
        return self._known[name]

    def knows(self, name: str) -> bool:
        """Whether any learned token has this number."""
        return bool(np.isfinite(self.all(name)).any())

    def only(self, place: int) -> Kept:
        """One sample alone."""
        return replace(self, samples=(self.samples[place],))

    def at(self, threshold: float) -> Kept:
        """The same samples with roles by an LD threshold; 0 leaves them as the method gave them."""
        if not threshold:
            return self
        return _with(self, "_known", replace(self, samples=tuple(one.at(threshold) for one in self.samples)))

    @cached_property
    def _known(self) -> dict[str, np.ndarray]:
        """Numbers that were asked for; a threshold changes none of them."""
        return {}

    @cached_property
    def role(self) -> np.ndarray:
        """The role of every learned token."""
        return np.concatenate([sample.role[sample.learned] for sample in self.samples] or [np.zeros(0, np.int8)])


def _with(known: T, name: str, other: T) -> T:
    """The other one, which need not find again what the first one has."""
    vars(other)[name] = getattr(known, name)
    return other


def role_name(role: int) -> str:
    """A role as people read it; empty where there is none."""
    return texts.ROLES[ROLE_KEYS[role]] if role in ROLE_KEYS else ""


def read(run: RunView) -> Kept:
    """The samples of a run.

    Raises:
        RunProblem: it has neither roles nor losses of tokens, or they are damaged.
    """
    roles, losses = _artifact(run, ROLES), _artifact(run, LOSSES)
    if roles is None and losses is None:
        raise RunProblem(f"{run.id} has no tokens to show", "Train with the task causal; %peft tokens cuts any text")
    named = ((texts.NOTE_OF_ROLES, roles), (texts.NOTE_OF_LOSSES, losses))
    found: dict[str, Sample] = {}
    for _, artifact in named:
        for sample in _samples(run, artifact) if artifact else ():
            known = found.get(sample.key)
            found[sample.key] = _joined(run, known, sample) if known else sample
    return Kept(
        tuple(sorted(found.values(), key=lambda sample: not sample.held_out)),
        roles is not None,
        losses is not None,
        tuple(said.format(note=artifact.note.rstrip(".")) for said, artifact in named if artifact and artifact.note),
    )


def in_common(one: Kept, other: Kept, names: tuple[str, str]) -> Kept:
    """The same rows in two runs: ``before`` and ``after`` are what they lose on them once trained; roles are of either.

    Raises:
        RunProblem: they share no row, or have no losses.
    """
    for kept, name in zip((one, other), names, strict=True):
        if not kept.has_losses:
            raise RunProblem(f"{name} has no losses of tokens to compare", "Train it with the task causal")
    first = {sample.key: sample for sample in one.samples}
    both = [(first[sample.key], sample) for sample in other.samples if sample.key in first]
    both = [pair for pair in both if all("after" in sample.numbers for sample in pair)]
    if not both:
        raise RunProblem(f"{names[0]} and {names[1]} have no row in common", "Compare runs on the same data")
    samples = tuple(
        replace(
            theirs,
            role=theirs.role if (theirs.role != NO_ROLE).any() else mine.role,
            numbers={"before": mine["after"], "after": theirs["after"]},
        )
        for mine, theirs in both
    )
    return Kept(samples, one.has_roles or other.has_roles, True, other.notes[-1:], names)


def _joined(run: RunView, one: Sample, other: Sample) -> Sample:
    """The same row out of two artifacts; of two ways to write its pieces the one that has whole characters."""
    if len(one.pieces) != len(other.pieces):
        raise RunProblem(f"{LOSSES} and {ROLES} of {run.id} hold other tokens for the same row", "Train again")
    pieces = min((one.pieces, other.pieces), key=lambda them: sum("\ufffd" in piece for piece in them))
    return replace(one, pieces=pieces, numbers={**one.numbers, **other.numbers})


def _artifact(run: RunView, kind: str) -> Artifact | None:
    try:
        return run.artifact(kind)
    except PeftLabError:
        if kind in getattr(run, "artifacts", ()):
            raise  # it is there, and damaged
        return None


def _samples(run: RunView, artifact: Artifact) -> list[Sample]:
    """The samples of one artifact, in its order."""
    arrays = artifact.arrays
    wanted = ("sample", "kind", "token", *NUMBERS[artifact.kind], *(("role",) if artifact.kind == ROLES else ()))
    for name in wanted:
        if name not in arrays:
            raise _damaged(run, artifact, f"it has no {name}")
    values = {name: np.asarray(arrays[name].values).reshape(-1) for name in wanted}
    pieces = _labels(arrays[wanted[0]], "token")
    if len({len(pieces), *(len(column) for column in values.values())}) > 1:
        raise _damaged(run, artifact, "its arrays differ in length")
    sample = values["sample"]
    held_out = np.asarray(arrays["held_out"].values).astype(bool) if "held_out" in arrays else None
    digests = _labels(arrays["digest"], "sample") if "digest" in arrays else ()
    found = []
    for number in dict.fromkeys(sample.tolist()):
        at = np.flatnonzero(sample == number)
        key = digests[number] if 0 <= number < len(digests) else digest_of(values["token"][at].tolist())
        found.append(
            Sample(
                key,
                tuple(pieces[place] for place in at.tolist()),
                values["kind"][at],
                values["role"][at] if "role" in values else np.full(len(at), NO_ROLE, np.int8),
                bool(held_out[number]) if held_out is not None and 0 <= number < len(held_out) else True,
                {name: values[name][at].astype(float) for name in NUMBERS[artifact.kind]},
            )
        )
    return found


def _labels(array: Array, axis: str) -> Sequence[str]:
    return [str(label) for label in array.labels.get(axis, ())]


def _damaged(run: RunView, artifact: Artifact, why: str) -> RunProblem:
    return RunProblem(f"the artifact {artifact.kind!r} of {run.id} is damaged ({why})", "Train again")
