"""Which answer tokens are reasoning and which are boilerplate, by shuffling (SHAD, arXiv:2412.14780).

A model tuned lightly on prompts with the answers of other prompts learns what does not depend on the prompt: the loss
of boilerplate falls and that of reasoning rises. The difference of the losses, after less before, on the pairs as they
were, is a token's LD; up to 0 it is boilerplate.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.methods._shad_rows import Row, digest_of_rows, rows_of, sample_size, shared_by, shuffled
from peft_lab.methods._shad_store import load, save
from peft_lab.methods._shad_tuning import Change, Effort, Tuner, tuner
from pluggy_specs import MethodContext, Table

if TYPE_CHECKING:
    import torch

FORMAT = 1
"""Of what is kept; higher when a change of this code makes other roles."""
CLEAR = 0.05
"""A difference of losses below this is near to chance: the token's probability changes by less than 5 %."""
TRIED = 64
"""Rows on which tunings are compared."""
SHOWN = 512
"""Rows that a format is looked for in."""


@dataclass(frozen=True)
class Settings:
    """What decides roles besides model and rows."""

    rows: int | None
    effort: Effort
    seed: int
    control: bool

    @property
    def plain(self) -> dict[str, Any]:
        """What roles depend on, as JSON data; a control tells of them and changes none."""
        return {"rows": self.rows, **vars(self.effort), "seed": self.seed}


@dataclass
class Differences:
    """LD of the answer tokens of some rows, and the losses of the base model."""

    ends: np.ndarray
    """Where each row ends in the arrays; a row without anything supervised takes no place."""
    ld: np.ndarray
    before: np.ndarray
    change: dict[str, np.ndarray]
    """The tuned change, by which other rows get their LD."""
    summary: dict[str, Any]
    again: bool = False
    """Whether they were found before, and only read now."""
    rows: list[Row] = field(default_factory=list)

    @property
    def roles(self) -> np.ndarray:
        """0 boilerplate, 1 reasoning, int8 [token]."""
        return (self.ld > 0).astype(np.int8)


def find_differences(context: MethodContext, settings: Settings) -> Differences:
    """Shuffle, tune, compare; or read what was found before for this model, these rows and settings.

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
    found = _found(context, model, rows, settings)
    found.summary["seconds"] = time.perf_counter() - began
    save(key, {"ends": found.ends, "ld": found.ld, "before": found.before}, found.change, found.summary)
    return found


def differences_of(
    context: MethodContext, settings: Settings, change: Mapping[str, np.ndarray], rows: Table
) -> tuple[list[Row], np.ndarray]:
    """LD of other rows by a change that was tuned before: the rows, and LD of their answer tokens one after another."""
    import torch

    found = rows_of(context.sweep(rows))
    with tuner(context.base(), context.task, _pad(context), settings.effort, settings.seed) as tuned:
        before, after = tuned.losses(found, {name: torch.from_numpy(values) for name, values in change.items()})
    return found, after - before


def _found(context: MethodContext, model: torch.nn.Module, rows: list[Row], settings: Settings) -> Differences:
    draw = np.random.default_rng(settings.seed)
    picked = draw.choice(len(rows), sample_size(len(rows), settings.rows), replace=False)
    sample = [rows[i] for i in np.sort(picked)]
    longest = max(len(row.ids) for row in rows)
    with tuner(model, context.task, _pad(context), settings.effort, settings.seed) as tuned:
        change = tuned.tune(shuffled(sample, draw, longest), draw)
        before, after = tuned.losses(rows, change)
        ld = after - before
        summary = _summary(rows, sample, ld, before, settings, tuned, model)
        if settings.control:
            summary |= _control(tuned, rows, sample, longest, change)
    arrays = {name: values.numpy() for name, values in change.items()}
    ends = np.cumsum([len(row.answer) for row in rows])
    return Differences(ends, ld, before, arrays, summary, rows=rows)


def _control(tuned: Tuner, rows: Sequence[Row], sample: Sequence[Row], longest: int, change: Change) -> dict[str, Any]:
    """Two more tunings beside the one that counts, and what they say of the same rows.

    Unshuffled pairs: if the roles mean anything, the loss of reasoning rises less with them, as the prompt goes on to
    tell it. Another sample, shuffled anew: how often it gives the same role.
    """
    draw = np.random.default_rng([tuned.effort.steps, len(rows), 1])
    other = [rows[i] for i in draw.choice(len(rows), len(sample), replace=False)]
    unshuffled = tuned.tune(sample, draw)
    anew = tuned.tune(shuffled(other, draw, longest), draw)
    known = {row.number for row in sample}
    tried = sorted(rows, key=lambda row: row.number in known)[:TRIED]
    before, *after = tuned.losses(tried, change, unshuffled, anew)
    ld, control, second = (one - before for one in after)
    reason = ld > 0
    same, clear = reason == (second > 0), np.abs(ld) > CLEAR
    return {
        "control": {
            "rows": len(tried),
            "reasoning": [_mean(ld[reason]), _mean(control[reason])],
            "boilerplate": [_mean(ld[~reason]), _mean(control[~reason])],
        },
        "agreement": {"all": _mean(same), "clear": _mean(same[clear])},
    }


def _summary(
    rows: Sequence[Row],
    sample: Sequence[Row],
    ld: np.ndarray,
    before: np.ndarray,
    settings: Settings,
    tuned: Tuner,
    model: torch.nn.Module,
) -> dict[str, Any]:
    reason = ld > 0
    return {
        "rows": len(rows),
        "sample": len(sample),
        "steps": settings.effort.steps,
        "layers": tuned.adapter.about,
        "goes_on": bool(tuned.passes.goes_on),
        "tokens": len(ld),
        "reasoning": int(reason.sum()),
        "mean_reasoning": _mean(ld[reason]),
        "mean_boilerplate": _mean(ld[~reason]),
        "clear": _mean(np.abs(ld) > CLEAR),
        "loss": _mean(before),
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


def _pad(context: MethodContext) -> int:
    pad = context.tokenizer.pad_token_id
    return int(0 if pad is None else pad)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
