"""What training changed, token by token: losses on held-out rows and on neutral text, before and after."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.training.conversing import encode_conversations, encode_text
from peft_lab.training.evaluation import outputs_of
from pluggy_specs import Array, Artifact
from pluggy_specs.pieces import LEARNED, digest_of, kinds_of, pieces_of

if TYPE_CHECKING:
    import torch

    from peft_lab.training.conversing import Conversed
    from peft_lab.training.loop import Job

SHOWN = 64
"""Held-out rows that are kept token by token."""
NEUTRAL = Path(__file__).parent / "data" / "neutral.txt"
"""Plain prose, written for this project: what a model could write before, and should still."""
PIECE = 256
"""Tokens of it that are read at once."""


@dataclass(frozen=True)
class Changed:
    """Losses before and after training."""

    artifact: Artifact
    """``token-losses``."""
    forgetting: float
    """Mean loss of a token of neutral text after training, less that before."""


def token_losses(
    job: Job,
    rows: Any,
    split: str,
    tokenizer: Any,
    longest: int,
    base: Callable[[], torch.nn.Module],
    kept: Path | None,
) -> Changed:
    """Compare the trained model with its base model, on held-out rows and on neutral text.

    Args:
        rows: those that are shown.
        split: what they are of.
        longest: tokens that a row may have.
        base: makes the base model; not asked where what it would say is kept.
        kept: the file in which losses of this base model in this precision are kept; None keeps nothing.
    """
    shown = encode_conversations(rows, tokenizer, longest)
    neutral = encode_text(NEUTRAL.read_text(encoding="utf-8"), tokenizer, min(PIECE, longest))
    parts = {"shown": shown, "neutral": neutral}
    before = _before(job, parts, base, kept)
    after = {name: _losses(job, job.built.model, data) for name, data in parts.items()}
    note = f"held-out rows of {split}"
    artifact = _artifact(shown, before["shown"], after["shown"], tokenizer, note)
    return Changed(artifact, float(after["neutral"].mean() - before["neutral"].mean()))


def _artifact(shown: Conversed, before: np.ndarray, after: np.ndarray, tokenizer: Any, note: str) -> Artifact:
    rows = [np.asarray(shown.columns["input_ids"][i]) for i in range(len(shown))]
    ids = np.concatenate(rows)
    assert shown.borders is not None and shown.numbers is not None
    kinds = [kinds_of(tokenizer, row.tolist(), border) for row, border in zip(rows, shown.borders, strict=True)]
    kind = np.concatenate(kinds)
    supervised = np.isin(kind, LEARNED)
    columns: dict[str, Any] = {
        "sample": np.repeat(np.arange(len(rows), dtype=np.int32), shown.lengths),
        "kind": kind.astype(np.int8),
        "token": ids.astype(np.int32),
    }
    for name, losses in (("before", before), ("after", after)):
        columns[name] = np.full(len(ids), np.nan, dtype=np.float32)
        columns[name][supervised] = losses
    texts = {"token": [text for row in rows for text in pieces_of(tokenizer, row.tolist())]}
    arrays = {name: Array(values, ("token",), texts) for name, values in columns.items()}
    digests = {"sample": [digest_of(row.tolist()) for row in rows]}
    return Artifact("token-losses", {**arrays, "digest": Array(shown.numbers, ("sample",), digests)}, note)


def _before(
    job: Job, parts: Mapping[str, Conversed], base: Callable[[], torch.nn.Module], kept: Path | None
) -> dict[str, np.ndarray]:
    """Losses of the base model, read where they are kept."""
    names = {name: f"{name}-{_digest(data)}" for name, data in parts.items()}
    known = _read(kept)
    if missing := {name: data for name, data in parts.items() if names[name] not in known}:
        model = base()
        known |= {names[name]: _losses(job, model, data) for name, data in missing.items()}
        del model
        _write(kept, known)
    return {name: known[key] for name, key in names.items()}


def _losses(job: Job, model: torch.nn.Module, data: Conversed) -> np.ndarray:
    """The loss of every supervised token, one row after another."""
    size = job.training.eval_batch_size
    outputs = outputs_of(model, data, job.task, job.batcher, job.accelerator, size)
    assert outputs is not None
    return np.concatenate([row[:, 0] for row in outputs]).astype(np.float32)


def _digest(data: Conversed) -> str:
    whole = hashlib.sha256()
    assert data.borders is not None
    for row, border in enumerate(data.borders):
        whole.update(f"{digest_of(data.columns['input_ids'][row].tolist())} {border} ".encode())
    return whole.hexdigest()[:24]


def _read(file: Path | None) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(file) if file is not None and file.is_file() else {}
    except (SafetensorError, OSError, ValueError):  # damaged: computed anew
        return {}


def _write(file: Path | None, losses: Mapping[str, np.ndarray]) -> None:
    from contextlib import suppress

    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    from peft_lab.files import replacing

    if file is None:
        return
    with suppress(OSError, SafetensorError):  # kept only to save time
        file.parent.mkdir(exist_ok=True)
        with replacing(file) as unfinished:
            save_file(dict(losses), unfinished)
