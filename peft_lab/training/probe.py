"""A very short training, to be thrown away: seconds and memory of real steps on the longest batch and on usual ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peft_lab.training.cost import close_holes
from peft_lab.training.forecast import Ahead, Line, line_through

if TYPE_CHECKING:
    import torch

    from peft_lab.training.batches import Encoded
    from peft_lab.training.loop import Job
    from pluggy_specs import Batch

LONG_ENOUGH = 5.0
"""Seconds after which no further kind of usual step is tried. Each is then done once more."""
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
    new_step: float
    """Seconds that a step takes more where batches of its rows and width are met for the first time."""
    new_evaluation: float
    """The same of an evaluation batch."""
    holes: float
    """Seconds that it takes to close holes, and for the step behind it to fill memory again."""
    longest: float
    """Seconds of the first step, in which kernels are prepared."""


def probe(job: Job, ahead: Ahead, test: Encoded | None = None) -> Probed:
    """Train a few steps in earnest and evaluate a few batches. The model is changed by it."""
    from peft_lab.training.loop import make_optimizer

    until = time.perf_counter() + LONG_ENOUGH
    job.built.model.train()
    optimizer = make_optimizer(job.built, job.training)
    longest, _ = _step(job, optimizer, ahead.opening)
    groups, firsts = [], []
    for number, place in enumerate(USUAL[: len(ahead.steps) - 1]):
        if number >= FEWEST and time.perf_counter() > until:
            break
        groups.append(_like(job, ahead, place))
        firsts.append(_step(job, optimizer, groups[-1])[0])
    # Each again, behind another one as in training: a step that follows its like finds memory cut to its measure.
    points = [_step(job, optimizer, group)[::-1] for group in groups]
    new = [max(0.0, first - seconds) for first, (_, seconds) in zip(firsts, points, strict=True)]
    holes = _holes(job, optimizer, groups[0], points[0][1]) if groups else 0.0
    if len(ahead.steps) > len(job.train) / (job.training.batch_size * job.training.accumulate):
        seconds, tokens = _step(job, optimizer, ahead.opening)  # met again, now with the optimizer's state
        points.append((tokens, seconds))
    evaluation, new_evaluation = _evaluation(job, [data for data in (job.validation, test) if data is not None])
    job.memory.sample()
    return Probed(
        peak=job.memory.read(),
        step=line_through(points) if points else Line(longest, 0.0),
        evaluation=evaluation,
        new_step=float(np.median(new)) if new else 0.0,
        new_evaluation=new_evaluation,
        holes=holes,
        longest=longest,
    )


def _holes(job: Job, optimizer: torch.optim.Optimizer, group: Sequence[np.ndarray], usual: float) -> float:
    """What closing holes costs, with the step behind it against the same step without."""
    if job.accelerator.device.type != "cpu":
        return 0.0
    began = _now(job)
    close_holes()
    _step(job, optimizer, group)
    return max(0.0, _now(job) - began - usual)


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


def _evaluation(job: Job, splits: Sequence[Encoded]) -> tuple[Line, float]:
    """Seconds of evaluation batches: the longest, one from the middle and the last one; and more for new ones."""
    import torch

    from peft_lab.training.batches import in_order_of_length

    job.built.model.eval()
    points, new = [], []
    for data in splits[:1]:
        batches = list(in_order_of_length(data, job.training.eval_batch_size))
        chosen = dict.fromkeys((0, len(batches) // 2, len(batches) - 1))
        taken: dict[int, list[float]] = {number: [] for number in chosen}
        for number in (*chosen, *chosen):
            began = _now(job)
            batch = job.batcher.batch(data, batches[number])
            with torch.inference_mode(), job.accelerator.autocast():
                _answer(job, batch)
            taken[number].append(_now(job) - began)
        for number, (first, second) in taken.items():
            points.append((float(len(batches[number]) * data.lengths[batches[number]].max()), second))
            new.append(max(0.0, first - second))
    return (line_through(points), float(np.median(new))) if points else (Line(0.0, 0.0), 0.0)


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
