"""Which answer tokens are reasoning and which are boilerplate, by shuffling (SHAD, arXiv:2412.14780).

A model tuned lightly on prompts with the answers of other prompts learns what does not depend on the prompt: the loss
of boilerplate falls and that of reasoning rises. The difference of the losses, after less before, on the pairs as they
were, is a token's LD; up to 0 it is boilerplate. Two things are ours, not the paper's. A difference that is less than
the number format of the logits rounds 1 by (0.004 in bf16) counts as 0: of a token that both models are sure of, chance
would decide otherwise. And by word the token of a word whose loss rises most tells for all of it: once ``Kyo`` is there
``to`` follows, whatever the prompt says.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.methods._shad_control import CLEAR, TUNINGS, control, mean, tried
from peft_lab.methods._shad_kinds import Kinds, kinds_of
from peft_lab.methods._shad_rows import LEAST, Row, digest_of_rows, rows_of, sample_size, shared_by, shuffled
from peft_lab.methods._shad_spans import largest_of_word, words_in
from peft_lab.methods._shad_store import load, save
from peft_lab.methods._shad_tuning import Change, Effort, Tell, Tuner, tuner
from pluggy_specs import MethodContext, Table

if TYPE_CHECKING:
    import torch

FORMAT = 6
"""Of what is kept; higher when a change of this code makes other roles."""
SHOWN = 512
"""Rows that a format is looked for in."""


@dataclass(frozen=True)
class Settings:
    """What decides roles besides model and rows."""

    rows: int | None
    effort: Effort
    seed: int
    control: bool
    by: str = "word"
    """What has one LD: a ``word`` or a ``token``."""

    @property
    def plain(self) -> dict[str, Any]:
        """What roles depend on, as JSON data; a control tells of them and changes none."""
        return {"rows": self.rows, **vars(self.effort), "seed": self.seed, "by": self.by}


@dataclass
class Differences:
    """LD of the answer tokens of some rows, and the losses of the base model."""

    ends: np.ndarray
    """Where each row ends in the arrays; a row without anything supervised takes no place."""
    ld: np.ndarray
    before: np.ndarray
    change: dict[str, np.ndarray]
    """The tuned changes, by which other rows get their LD: ``KIND/NAME``, a kind of rows by its number."""
    summary: dict[str, Any]
    again: bool = False
    """Whether they were found before, and only read now."""
    rows: list[Row] = field(default_factory=list)

    @property
    def changes(self) -> list[dict[str, np.ndarray]]:
        """The tuned change of each kind of rows."""
        found: list[dict[str, np.ndarray]] = [{} for _ in range(self.summary["kinds"])]
        for name, values in self.change.items():
            at, _, tensor = name.partition("/")
            found[int(at)][tensor] = values
        return found

    @property
    def roles(self) -> np.ndarray:
        """0 boilerplate, 1 reasoning, int8 [token]."""
        return (self.ld > 0).astype(np.int8)


class _Left(Exception):
    """Somebody asked for a stop."""


def find_differences(context: MethodContext, settings: Settings) -> Differences | None:
    """Shuffle, tune, compare; or read what was found before for this model, these rows and settings.

    Returns:
        None where somebody asked for a stop meanwhile.

    Raises:
        MethodRefused: there are too few rows, or all answers are the same.
    """
    rows = rows_of(context.sweep())
    sample_size(len(rows), settings.rows)
    model = context.base()
    key = _key(model, rows, settings)
    if (kept := load(key)) is not None and (not settings.control or "control" in kept[2]):
        arrays, change, summary = kept
        return Differences(**arrays, change=change, summary=summary, again=True, rows=rows)
    began = time.perf_counter()
    try:
        found = _found(context, model, rows, settings)
    except _Left:
        return None
    found.summary["seconds"] = time.perf_counter() - began
    save(key, {"ends": found.ends, "ld": found.ld, "before": found.before}, found.change, found.summary)
    return found


def differences_of(
    context: MethodContext, settings: Settings, known: Differences, rows: Table
) -> tuple[list[Row], np.ndarray]:
    """LD of other rows by changes that were tuned before: the rows, and LD of their answer tokens one after another."""
    import torch

    found = rows_of(context.sweep(rows))
    parts = Kinds(tuple(known.summary["first"])).split(found)
    tell = _tell(context, leave=False)  # training is over, and what it made is being kept
    with tuner(context.base(), context.task, _pad(context), settings.effort, settings.seed, tell) as tuned:
        told = []
        for part, change in zip(parts, known.changes, strict=True):
            if part:
                before, after = tuned.losses(part, {name: torch.from_numpy(values) for name, values in change.items()})
                told.append(_Told(part, before, after))
    before, after = _in_order(found, told, ("before", "after"))
    return found, _judge(context, settings, found, tuned.passes.rounding)(after - before)


@dataclass
class _Told:
    """Losses of the answer tokens of some rows, one row after another, under the base model and under changes."""

    rows: list[Row]
    before: np.ndarray
    after: np.ndarray
    sample: list[Row] = field(default_factory=list)
    """The rows that were shuffled."""
    change: Change = field(default_factory=dict)


def _in_order(rows: Sequence[Row], told: Sequence[_Told], names: Sequence[str]) -> list[np.ndarray]:
    """Arrays of several parts of some rows, as the rows stand."""
    by_name: dict[str, dict[int, np.ndarray]] = {name: {} for name in names}
    for part in told:
        cuts = np.cumsum([len(row.answer) for row in part.rows])[:-1]
        for name in names:
            pieces = np.split(getattr(part, name), cuts)
            by_name[name] |= {row.number: piece for row, piece in zip(part.rows, pieces, strict=True)}
    return [np.concatenate([by_name[name][row.number] for row in rows]) for name in names]


def _found(context: MethodContext, model: torch.nn.Module, rows: list[Row], settings: Settings) -> Differences:
    draw = np.random.default_rng(settings.seed)
    kinds = kinds_of(rows, settings.rows or LEAST)
    parts = kinds.split(rows)
    longest = max(len(row.ids) for row in rows)
    tell, tunings = _tell(context, leave=True), len(parts) * (1 + TUNINGS * settings.control)
    with tuner(model, context.task, _pad(context), settings.effort, settings.seed, tell, tunings) as tuned:
        told = [_told(tuned, part, draw, longest, settings.rows) for part in parts]
        before, after = _in_order(rows, told, ("before", "after"))
        ld = _judge(context, settings, rows, tuned.passes.rounding)(after - before)
        summary = _summary(rows, told, ld, before, settings, tuned, model) | {"first": list(kinds.first)}
        if settings.control:
            trials = [tried(tuned, one.rows, one.sample, one.change, longest, settings.seed) for one in told]
            looked_at = [row for one in trials for row in one.rows]
            summary |= control(trials, _judge(context, settings, looked_at, tuned.passes.rounding))
    arrays = {f"{at}/{name}": values.numpy() for at, one in enumerate(told) for name, values in one.change.items()}
    ends = np.cumsum([len(row.answer) for row in rows])
    return Differences(ends, ld, before, arrays, summary, rows=rows)


def _judge(
    context: MethodContext, settings: Settings, rows: Sequence[Row], rounding: float
) -> Callable[[np.ndarray], np.ndarray]:
    """Gives differences of some rows to what has one: each token keeps its own, or has the largest of its word."""

    def told(ld: np.ndarray) -> np.ndarray:
        return np.where(np.abs(ld) <= rounding, np.float32(0), ld)

    if settings.by == "token":
        return told
    words = words_in(context.tokenizer, rows)
    return lambda ld: largest_of_word(told(ld), words)


def _told(tuned: Tuner, rows: list[Row], draw: np.random.Generator, longest: int, wanted: int | None) -> _Told:
    """Shuffle some rows of one kind and tune on them; the losses of all rows of that kind before and after."""
    picked = draw.choice(len(rows), sample_size(len(rows), wanted), replace=False)
    answers = [row.answer.tobytes() for row in rows]
    if len({answers[i] for i in picked}) == 1:  # nothing could change places: one of another answer, if there is any
        picked[-1] = next((i for i, one in enumerate(answers) if one != answers[picked[0]]), picked[-1])
    sample = [rows[i] for i in np.sort(picked)]
    change = tuned.tune(shuffled(sample, draw, longest), draw)
    before, after = tuned.losses(rows, change)
    return _Told(rows, before, after, sample=sample, change=change)


def _summary(
    rows: Sequence[Row],
    told: Sequence[_Told],
    ld: np.ndarray,
    before: np.ndarray,
    settings: Settings,
    tuned: Tuner,
    model: torch.nn.Module,
) -> dict[str, Any]:
    reason = ld > 0
    return {
        "rows": len(rows),
        "kinds": len(told),
        "sample": sum(len(one.sample) for one in told),
        "steps": settings.effort.steps,
        "layers": tuned.adapter.about,
        "goes_on": bool(tuned.passes.goes_on),
        "tokens": len(ld),
        "reasoning": int(reason.sum()),
        "mean_reasoning": mean(ld[reason]),
        "mean_boilerplate": mean(ld[~reason]),
        "clear": mean(np.abs(ld) > CLEAR),
        "loss": mean(before),
        "guess": math.log(max(2, int(getattr(model.config, "vocab_size", 0)))),
        "shared": shared_by(rows[:SHOWN]),
    }


def _key(model: torch.nn.Module, rows: Sequence[Row], settings: Settings) -> str:
    """SHA-256 of all that decides the differences: weights as they are held, tokens, settings, kind of device."""
    import torch

    digest = hashlib.sha256(json.dumps([FORMAT, settings.plain], sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}:{tensor.device.type}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    digest.update(digest_of_rows(rows).encode())
    return digest.hexdigest()


def _tell(context: MethodContext, leave: bool) -> Tell:
    """Tells a person how far it is.

    Args:
        leave: end it where somebody asked for a stop.
    """

    def tell(doing: str, done: int, of: int) -> None:
        if not context.progress(f"finding roles: {doing}", done, of) and leave:
            raise _Left

    return tell


def _pad(context: MethodContext) -> int:
    pad = context.tokenizer.pad_token_id
    return int(0 if pad is None else pad)
