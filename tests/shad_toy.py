"""A model of two layers that was taught to copy digits into any frame, and data with one frame: roles are known."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from peft_lab.host import Host
from peft_lab.methods._shad_rows import Row, padded

PAD, START, ASK, END = 0, 1, 2, 3
DIGITS = range(4, 14)
FRAMES = range(14, 26)
FRAME = (14, 19, 22, 16, 25)
"""The frame of the data; while it was taught, the model met a random one in every row."""
ROLES = np.array([0, 0, 1, 1, 0, 1, 1, 0, 0, 0])
"""Of an answer: frame, frame, two digits, frame, two digits, frame, frame, the end."""
BORDER = 6
STEPS = 300


def answer(digits: np.ndarray, frame: Any, end: int = END) -> np.ndarray:
    a, b, c, d, e = frame
    return np.array([a, b, digits[0], digits[1], c, digits[2], digits[3], d, e, end])


def rows(many: int, seed: int, frame: Any = FRAME) -> list[Row]:
    """Prompts of four digits, with answers; a random frame for each where none is given."""
    draw = np.random.default_rng(seed)
    found = []
    for number in range(many):
        digits = draw.choice(DIGITS, 4)
        made = (
            answer(digits, frame)
            if frame is not None
            else answer(digits, draw.choice(FRAMES, 5), draw.choice((END, ASK)))
        )
        ids = np.concatenate([[START], digits, [ASK], made]).astype(np.int32)
        found.append(Row(number, ids, BORDER))
    return found


def untaught() -> torch.nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        size = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 32, "vocab_size": 26}
        config = GPT2Config(**size, bos_token_id=START, eos_token_id=END, pad_token_id=PAD)
        return GPT2LMHeadModel(config).eval().requires_grad_(False)


@cache
def _taught() -> torch.nn.Module:
    model = untaught().requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(STEPS):
        batch = padded(rows(32, 1000 + step, None), PAD, torch.device("cpu"))
        logits = model(input_ids=batch["input_ids"]).logits[:, :-1]
        labels = batch["labels"][:, 1:]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return model.eval().requires_grad_(False)


def taught() -> torch.nn.Module:
    """A copy of the model that copies."""
    return copy.deepcopy(_taught())


class Tokenizer:
    """Reads numbers."""

    pad_token_id = PAD
    all_special_ids = (PAD, START, END)

    def decode(self, ids: list[int], **_: Any) -> str:
        return "".join(f"{one} " for one in ids)


class Context(SimpleNamespace):
    """What a method sees of a training on some rows."""

    def __init__(self, model: torch.nn.Module, train: list[Row], **more: Any) -> None:
        task = Host(entry_points=False).find("tasks", "causal")()
        super().__init__(
            model=model,
            train=train,
            task=task,
            tokenizer=Tokenizer(),
            device=torch.device("cpu"),
            held_out=None,
            rehearsal=False,
            **more,
        )
        self.notes: list[str] = []
        self.told: list[tuple[str, int, int]] = []
        self.stop_at = 0
        """How often progress is told before somebody asks for a stop; never with 0."""
        self.bases: list[torch.nn.Module] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, doing: str, done: int, of: int) -> bool:
        self.told.append((doing, done, of))
        return len(self.told) != self.stop_at

    def sweep(self, table: Any = None) -> Iterator[dict[str, torch.Tensor]]:
        every = self.train if table is None else table
        for at in range(0, len(every), 16):
            yield padded(every[at : at + 16], PAD, self.device)

    def base(self) -> torch.nn.Module:
        self.bases.append(copy.deepcopy(self.model))
        return self.bases[-1]
