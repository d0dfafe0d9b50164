"""What a model writes, and what is asked of it once it is trained: tool calls, and what it forgot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.training.conversing import prompt_ids
from peft_lab.training.rendering import Template
from peft_lab.training.token_losses import SHOWN, token_losses
from peft_lab.training.told import spread
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


@dataclass(frozen=True)
class Written:
    """What a model answered to some rows, and how far they fitted."""

    answers: list[str]
    tokens: list[int]
    """Of each answer."""
    prompts: list[int]
    """Tokens of each prompt, before anything was left out."""
    room: int | None
    """Tokens of a prompt and its answer together; None where any number fits."""
    most: int
    """Tokens that an answer could have."""

    @property
    def lost(self) -> list[int]:
        """Tokens of each prompt that were left out, at its beginning."""
        return [0 if self.room is None else max(0, size + self.most - self.room) for size in self.prompts]


def write(
    model: torch.nn.Module,
    rows: Sequence[Mapping[str, Any]],
    tokenizer: Any,
    room: int | None,
    most: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
) -> Written:
    """What a model answers to rows with ``text`` and maybe ``text_pair``.

    Args:
        room: tokens of prompt and answer together. Where that is too few for all, answers may have half of it, or what
            the longest prompt leaves if that is more, and prompts lose their beginning.
        most: tokens of an answer at most.
        temperature: 0 takes the likeliest token each time.
        seed: for the draws above it.
    """
    template = Template(tokenizer)
    prompts = prompt_ids(template, rows)
    sizes = [len(prompt) for prompt in prompts]
    if room is not None:
        most = max(1, min(most, max(room // 2, room - max(sizes, default=0))))
        prompts = [prompt[max(0, len(prompt) + most - room) :] for prompt in prompts]
    ends, pad = template.ends, int(tokenizer.pad_token_id)
    ids = written(model, prompts, pad=pad, ends=ends, most=most, temperature=temperature, seed=seed)
    plain: dict[str, Any] = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    answers = [tokenizer.decode(one, **plain).strip() for one in ids]
    return Written(answers, [len(one) for one in ids], sizes, room, most)


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
    places = spread(len(calls), 1, job.training.write_answers)
    rows = held.select([calls[i] for i in places.tolist()])
    wanted = [str(label) for label in rows["label"]]
    most = max(map(len, tokenizer(wanted, add_special_tokens=False)["input_ids"])) + SPARE
    asked = [{name: row[name] for name in row if name != "label"} for row in rows]
    with job.accelerator.autocast():
        told = write(job.built.model, asked, tokenizer, ready.longest, most)
    answers = told.answers
    for note in _did_not_fit(told, most, ready.longest):
        ready.context.note(note)
    scores = call_scores(zip(answers, wanted, strict=True))
    right = np.array([calls_in(one) == calls_in(other) for one, other in zip(answers, wanted, strict=True)])
    numbers = np.array([calls[i] for i in places.tolist()], dtype=np.int64)
    lengths = np.array([len(one) for one in answers], dtype=np.int32)
    arrays = {
        "row": Array(numbers, ("request",), {"request": [row["text"] for row in asked]}),
        "right": Array(right.astype(np.int8), ("wanted",), {"wanted": wanted}),
        "letters": Array(lengths, ("written",), {"written": answers}),
    }
    said = f"{len(answers)} of {len(calls)} requests of {split} that ask for a tool call"
    return scores, Artifact(KIND, arrays, said)


def _did_not_fit(told: Written, wanted: int, longest: int) -> Iterator[str]:
    """What a person should know about scores of calls for which there was too little room."""
    if cut := sum(lost > 0 for lost in told.lost):
        have = "is" if cut == 1 else "are"
        yield (
            f"{cut} of {len(told.prompts)} requests that calls were written to {have} too long for {longest} tokens "
            "with the answer, and lost the beginning (a system message, tools or first messages)"
        )
    if told.most < wanted:
        yield f"Calls were written with {told.most} tokens at most, as {longest} have to hold the request, too"
