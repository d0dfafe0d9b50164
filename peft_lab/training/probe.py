"""A very short training, to be thrown away: seconds and memory of real steps on the longest batch and on usual ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peft_lab.training.forecast import Ahead, Line, line_through

if TYPE_CHECKING:
    import torch

    from peft_lab.training.batches import Encoded
    from peft_lab.training.loop import Job
    from pluggy_specs import Batch

LONG_ENOUGH = 10.0
"""Seconds after which no further usual step is tried."""
USUAL = (0.5, 0.99, 0.1, 0.95, 0.85, 0.3)
"""Which steps are tried: places among all steps, sorted by tokens, the most telling first. Long ones are among them,
because batches of other sizes do not quite fit into the memory that the longest one has left."""
FEWEST = 2


@dataclass(frozen=True)
class Probed:
    """What was measured."""

    peak: int
    """Bytes at the highest moment, loading included."""
    step: Line
    """Seconds of a step by its tokens."""
    evaluation: Line
    """Seconds of an evaluation batch by its tokens."""
    longest: float
    """Seconds of the first step, in which kernels are prepared."""


def probe(job: Job, ahead: Ahead, test: Encoded | None = None) -> Probed:
    """Train a few steps in earnest and evaluate a few batches. The model is changed by it."""
    from peft_lab.training.loop import make_optimizer

    until = time.perf_counter() + LONG_ENOUGH
    job.built.model.train()
    optimizer = make_optimizer(job.built, job.training)
    longest, _ = _step(job, optimizer, ahead.opening)
    points = []
    for number, place in enumerate(USUAL[: len(ahead.steps) - 1]):
        if number >= FEWEST and time.perf_counter() > until:
            break
        group = _like(job, ahead, place)
        _step(job, optimizer, group)  # the first step of a shape prepares it, and is no measure of the others
        points.append(_step(job, optimizer, group)[::-1])
    if len(ahead.steps) > len(job.train) / (job.training.batch_size * job.training.accumulate):
        seconds, tokens = _step(job, optimizer, ahead.opening)  # met again, now with the optimizer's state
        points.append((tokens, seconds))
    evaluation = _evaluation(job, [data for data in (job.validation, test) if data is not None])
    job.memory.sample()
    step = line_through(points) if points else Line(longest, 0.0)
    return Probed(job.memory.read(), step, evaluation, longest)


def _step(job: Job, optimizer: torch.optim.Optimizer, chosen: Sequence[np.ndarray]) -> tuple[float, float]:
    """One step as the loop does it; returns seconds and tokens."""
    from peft_lab.training.loop import backward, clip, move

    began = _now(job)
    group = [job.batcher.batch(job.train, rows) for rows in chosen]
    backward(job, group)
    clip(job, optimizer)
    move(job, optimizer)
    job.memory.sample()
    return _now(job) - began, float(sum(batch["input_ids"].numel() for batch in group))


def _like(job: Job, ahead: Ahead, place: float) -> list[np.ndarray]:
    """Batches of rows of neighbouring length, with about as many tokens as the step at that place among all."""
    training, lengths = job.training, job.train.lengths
    order = np.argsort(lengths, kind="stable")
    wanted = float(np.quantile(ahead.steps, place))
    size = min(training.batch_size, len(order))
    width = wanted / training.accumulate / size
    end = int(np.clip(np.searchsorted(lengths[order], width, side="right"), size, len(order)))
    return [order[end - size : end]] * training.accumulate


def _evaluation(job: Job, splits: Sequence[Encoded]) -> Line:
    """Seconds of evaluation batches: the longest, one from the middle and the last one."""
    import torch

    from peft_lab.training.batches import in_order_of_length

    job.built.model.eval()
    points = []
    for data in splits[:1]:
        batches = list(in_order_of_length(data.lengths, job.training.eval_batch_size))
        chosen = dict.fromkeys((0, len(batches) // 2, len(batches) - 1))
        for number in chosen:
            for _ in range(2):
                began = _now(job)
                batch = job.batcher.batch(data, batches[number])
                with torch.inference_mode(), job.accelerator.autocast():
                    _answer(job, batch)
                seconds = _now(job) - began
            points.append((float(batch["input_ids"].numel()), seconds))
    return line_through(points) if points else Line(0.0, 0.0)


def _answer(job: Job, batch: Batch) -> None:
    raw = job.task.outputs(job.built.model, batch)
    losses, supervised = job.task.losses(raw, batch)
    float((losses * supervised).sum())
    raw.float().cpu().numpy()


def _now(job: Job) -> float:
    """The time, once the device has done what it was given."""
    if job.accelerator.device.type == "cuda":
        import torch

        torch.cuda.synchronize(job.accelerator.device)
    return time.perf_counter()
