"""What a model writes, and what is asked of it once it is trained: tool calls, and what it forgot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.training.conversing import prompt_ids
from peft_lab.training.rendering import Template
from peft_lab.training.token_losses import SHOWN, token_losses
from peft_lab.training.tool_calls import call_scores, calls_in
from peft_lab.training.writing import written
from pluggy_specs import Array, Artifact

if TYPE_CHECKING:
    import torch

    from peft_lab.training.preparing import Prepared

BASES = ".base"
"""Folder beside the runs that keeps what base models say without any method."""
SPARE = 16
"""Tokens that an answer may be longer than the longest that was wanted."""
KIND = "written-answers"


def write(
    model: torch.nn.Module,
    rows: Sequence[Mapping[str, Any]],
    tokenizer: Any,
    longest: int,
    most: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[str]:
    """What a model answers to rows with ``text`` and maybe ``text_pair``.

    Args:
        longest: tokens of prompt and answer together; a longer prompt loses its beginning.
        most: tokens of an answer at most.
        temperature: 0 takes the likeliest token each time.
        seed: for the draws above it.
    """
    template = Template(tokenizer)
    most = max(1, min(most, longest // 2))
    prompts = prompt_ids(template, rows, longest - most)
    ends, pad = template.ends, int(tokenizer.pad_token_id)
    ids = written(model, prompts, pad=pad, ends=ends, most=most, temperature=temperature, seed=seed)
    return [tokenizer.decode(one, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip() for one in ids]


def held_out(ready: Prepared) -> tuple[str, Any]:
    """The split that rows are shown of, test where there is one, and these rows: at most :data:`SHOWN`."""
    split = next((name for name in ("test", "validation", "train") if name in ready.splits), "train")
    rows = ready.splits[split]
    return split, rows.select(range(min(SHOWN, len(rows))))


def asked_once_trained(ready: Prepared, runs: Path, model: str) -> tuple[dict[str, float], list[Artifact]]:
    """Scores and artifacts that take more than one pass over held-out rows: written calls, losses before and after.

    Calls are those of test, or of validation where there is no test; none are written to rows that were trained on.

    Args:
        runs: the folder of runs, beside which losses of the base model are kept.
        model: fingerprint of the base model; empty where it is not known.
    """
    from peft_lab.training.hardware import precision_of

    job, tokenizer = ready.job, ready.context.tokenizer
    split, rows = held_out(ready)
    precision, device = precision_of(job.accelerator), job.accelerator.device.type
    kept = runs / BASES / f"{model[:24]}-{precision}-{device}.safetensors" if model else None
    changed = token_losses(job, rows, split, tokenizer, ready.longest, ready.context.base, kept)
    artifacts = [changed.artifact]
    scores = {"forgetting": changed.forgetting}
    if job.training.write_answers and split != "train":
        found = _written_calls(ready, split)
        if found is not None:
            artifacts.append(found[1])
            scores |= found[0]
    return scores, artifacts


def _written_calls(ready: Prepared, split: str) -> tuple[dict[str, float], Artifact] | None:
    """Tool calls that the model writes to some requests of a split; None where there are no calls in it."""
    job, tokenizer, held = ready.job, ready.context.tokenizer, ready.splits[split]
    calls = [row for row, label in enumerate(held["label"]) if calls_in(str(label)) is not None]
    if not calls:
        return None
    places = np.linspace(0, len(calls) - 1, min(job.training.write_answers, len(calls))).round().astype(int)
    rows = held.select([calls[i] for i in dict.fromkeys(places.tolist())])
    wanted = [str(label) for label in rows["label"]]
    most = max(map(len, tokenizer(wanted, add_special_tokens=False)["input_ids"])) + SPARE
    asked = [{name: row[name] for name in row if name != "label"} for row in rows]
    with job.accelerator.autocast():
        answers = write(job.built.model, asked, tokenizer, ready.longest, most)
    scores = call_scores(zip(answers, wanted, strict=True))
    right = np.array([calls_in(one) == calls_in(other) for one, other in zip(answers, wanted, strict=True)])
    numbers = np.array([calls[i] for i in dict.fromkeys(places.tolist())], dtype=np.int64)
    lengths = np.array([len(one) for one in answers], dtype=np.int32)
    arrays = {
        "row": Array(numbers, ("request",), {"request": [row["text"] for row in asked]}),
        "right": Array(right.astype(np.int8), ("wanted",), {"wanted": wanted}),
        "letters": Array(lengths, ("written",), {"written": answers}),
    }
    said = f"{len(answers)} of {len(calls)} requests of {split} that ask for a tool call"
    return scores, Artifact(KIND, arrays, said)
