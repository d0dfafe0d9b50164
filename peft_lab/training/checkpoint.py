"""Everything a training needs to go on exactly where it was, in one file: weights, optimizer, random numbers, place.

One file and one rename: a crash leaves the old checkpoint or the new one, never a mixture. Tensors are safetensors,
the rest is JSON in the file's header.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import RunProblem
from peft_lab.training.randomness import set_states, states, torch_states
from peft_lab.training.weights import kept_tensors, put_tensors, read_header, read_tensors, write_tensors

if TYPE_CHECKING:
    import torch

    from peft_lab.training.build import Built

CHECKPOINT = "checkpoint.safetensors"
OPTIMIZER, RANDOM = "optimizer::", "random::"

EVERY = 20.0
"""Seconds of training that a crash may cost."""
SHARE = 0.01
"""Of the time, what writing checkpoints may take."""


COUNTED = ("steps", "epoch", "done", "texts", "points")


@dataclass
class Position:
    """How far a training is, in plain data."""

    steps: int = 0
    epoch: int = 0
    done: int = 0
    """Steps done in the present epoch."""
    unmeasured: bool = False
    """Whether the split for validation has still to be evaluated for the present state."""
    texts: int = 0
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    best_step: int | None = None
    best_scores: dict[str, float] | None = None
    shown_loss: float | None = None
    points: int = 0
    """Metric points written so far."""
    proof: dict[str, Any] = field(default_factory=dict)


@dataclass
class Moment:
    """Random numbers at a step boundary: the loop's own order, and what dropout draws from (``torch``, ``cuda``)."""

    epoch: torch.Tensor
    """Of the order's generator, when the epoch began."""
    order: torch.Tensor
    sources: dict[str, torch.Tensor]


def write(file: Path, built: Built, optimizer: torch.optim.Optimizer, position: Position, moment: Moment) -> None:
    """Write a checkpoint atomically.

    Raises:
        OSError: there is no room, or the folder cannot be written to; the checkpoint before it is still there.
    """
    tensors = dict(kept_tensors(built))
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"{OPTIMIZER}{number}::{name}": value for name, value in values.items()}
    tensors |= {f"{RANDOM}epoch": moment.epoch, f"{RANDOM}order": moment.order}
    sources = states() | moment.sources
    tensors |= {f"{RANDOM}source::{name}": value for name, value in sources.items()}
    write_tensors(tensors, file, {"position": json.dumps(asdict(position))})


def read_position(file: Path) -> Position:
    """How far the checkpoint's training was.

    Raises:
        RunProblem: the file is missing or damaged.
    """
    header = read_header(file)
    try:
        position = Position(**json.loads(header["position"]))
        wrong = [n for n in COUNTED if not isinstance(getattr(position, n), int) or getattr(position, n) < 0]
        if wrong:
            raise ValueError(f"{wrong[0]} is {getattr(position, wrong[0])!r}")
        return position
    except (KeyError, ValueError, TypeError) as error:
        raise RunProblem(f"{file} is no checkpoint of this version ({error})", "Train anew") from None


def read(file: Path, built: Built, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> Moment:
    """Put weights, optimizer and random numbers back; the generator stands where the epoch began.

    Raises:
        RunProblem: the file is missing, damaged, or does not fit the model.
    """
    found = read_tensors(file)
    rest = {n: t for n, t in found.items() if n.startswith((OPTIMIZER, RANDOM))}
    put_tensors(built, {n: t for n, t in found.items() if n not in rest}, file.name)
    sources = {n.removeprefix(f"{RANDOM}source::"): t for n, t in rest.items() if n.startswith(f"{RANDOM}source::")}
    try:
        _put_optimizer(optimizer, rest, file.name)
        set_states(sources)
        generator.set_state(rest[f"{RANDOM}epoch"])
        return Moment(rest[f"{RANDOM}epoch"], rest[f"{RANDOM}order"], sources)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise RunProblem(f"{file} is damaged ({said})", f"Delete {file.name}, and the run begins again") from error


def _put_optimizer(optimizer: torch.optim.Optimizer, found: Mapping[str, torch.Tensor], file: str) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in found.items():
        if name.startswith(OPTIMIZER):
            number, _, what = name.removeprefix(OPTIMIZER).partition("::")
            state.setdefault(int(number), {})[what] = tensor
    blank = optimizer.state_dict()
    known = {number for group in blank["param_groups"] for number in group["params"]}
    if state.keys() - known:
        raise RunProblem(f"{file} has optimizer state for {len(state)} tensors, the model trains {len(known)}")
    optimizer.load_state_dict({"state": state, "param_groups": blank["param_groups"]})


def moment_now(epoch: torch.Tensor, generator: torch.Generator) -> Moment:
    """The random numbers as they stand."""
    return Moment(epoch, generator.get_state(), torch_states())


class Pace:
    """Says when the next checkpoint is due: not oftener than is worth it, seldom enough to cost little."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.cost = 0.0

    def due(self) -> bool:
        """Whether enough would be lost."""
        return time.perf_counter() - self.last >= max(EVERY, self.cost / SHARE)

    def took(self, seconds: float) -> None:
        """Count from now on, knowing what one costs."""
        self.last, self.cost = time.perf_counter(), seconds
