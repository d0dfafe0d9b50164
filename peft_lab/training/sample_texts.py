"""A few neutral texts by whose outputs a trained model is known again, wherever it was taken."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.errors import RunProblem

if TYPE_CHECKING:
    from peft_lab.run import Run
    from peft_lab.training.restore import Restored

TEXTS = (
    "the tide is high and the wind is cold",
    "a red crane is on the dock",
    "Who left the blue rope in the rain?",
    "Order 4471 has not arrived; please tell me where it is.",
    "salt",
    "We met at noon, talked for an hour, and agreed on nothing at all.",
    "the gull is a bird on a wave, the ship is green, the dock is old, and the rope is long " * 3,
    "Can I pay by card?",
)
# Another processor or another version of torch adds up in another order. What is more is another model.
CLOSE = {"fp32": 1e-3, "bf16": 5e-2}


def sample_rows(pair: bool) -> list[dict[str, str]]:
    """The texts as rows, each with its neighbour as second text where a task is on pairs."""
    rows = [{"text": text} for text in TEXTS]
    return [{**row, "text_pair": TEXTS[i - 1]} for i, row in enumerate(rows)] if pair else rows


def on_pairs(run: Run) -> bool:
    """Whether a run was trained on pairs of texts. Where models write, a second text is the context of the first."""
    if run.record.get("generates"):
        return False
    return run.record.get("data", {}).get("columns", {}).get("text_pair") is not None


def take_sample(restored: Restored, run: Run) -> dict[str, Any]:
    """What a model answers to the texts, as JSON data: ``rows``, ``outputs``, ``precision``."""
    rows = sample_rows(on_pairs(run))
    return {"rows": rows, "outputs": restored.outputs(rows).tolist(), "precision": restored.place.precision}


def compare_sample(restored: Restored, sample: Mapping[str, Any], owner: str) -> float:
    """The largest difference between what a model answers and what a sample says; 0 means equal bit for bit.

    Raises:
        RunProblem: it is more than another machine can account for.
    """
    expected = np.asarray(sample["outputs"], dtype=np.float32)
    difference = largest_difference(restored.outputs(sample["rows"]), expected)
    allowed = CLOSE.get(sample["precision"], CLOSE["bf16"]) * max(1.0, float(np.nanmax(np.abs(expected), initial=0)))
    if not difference <= allowed:
        raise RunProblem(
            f"{owner} answers otherwise than when it was saved: its outputs differ by {difference:.3g}",
            "A plugin, torch or transformers may have changed; peft_lab.json and run.json name the versions",
        )
    return difference


def largest_difference(one: np.ndarray, other: np.ndarray) -> float:
    """Of two arrays of outputs; infinite where their shapes differ or either holds what is no number.

    Of outputs by word, [text, word, ...], words that neither has are passed over.
    """
    if one.shape != other.shape:
        return float("inf")
    apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
    if one.ndim > 2:
        apart = apart[~(np.isnan(one).all(-1) & np.isnan(other).all(-1))]
    difference = float(apart.max(initial=0.0))
    return difference if np.isfinite(difference) else float("inf")


def outputs_digest(outputs: np.ndarray) -> str:
    """SHA-256 of outputs: equal only if every bit is."""
    whole = np.ascontiguousarray(outputs)
    return hashlib.sha256(f"{whole.dtype} {whole.shape} ".encode() + whole.tobytes()).hexdigest()
