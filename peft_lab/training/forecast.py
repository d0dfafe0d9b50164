"""What a training will take: the batches it will see, seconds as a line over their tokens, and memory part by part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.training.batches import grouped_by_length, in_order_of_length
from peft_lab.training.footprint import Footprint, Shape, measure, shapes_of

if TYPE_CHECKING:
    from peft_lab.training.batches import Encoded
    from peft_lab.training.loop import Job

DRAWN_EPOCHS = 3
"""Epochs whose batches are drawn one by one; later ones are taken to be like these."""
WARM_UP, ENOUGH = 1, 8
"""The first step also prepares kernels, so it tells nothing; so many steps after it tell enough."""


@dataclass(frozen=True)
class Ahead:
    """The batches of a training: rows and width of each, the tokens of each step, and how often it evaluates."""

    steps: np.ndarray
    """Tokens of every step, with padding, in the order in which they will be done."""
    opening: list[np.ndarray]
    """Row numbers of the batches of the first step, the one with the longest text."""
    first: list[Shape]
    """Batches of the first step, when the optimizer has no state yet."""
    later: list[Shape]
    """Different batches of all later steps."""
    checked: list[Shape]
    """Batches of one evaluation on validation."""
    tested: list[Shape]
    """Batches of the test at the end."""
    evaluations: int

    @property
    def evaluated_tokens(self) -> int:
        """Tokens of all evaluations, with padding."""
        return self.evaluations * tokens_of(self.checked) + tokens_of(self.tested)

    @property
    def evaluated_batches(self) -> int:
        """Batches of all evaluations."""
        return self.evaluations * len(self.checked) + len(self.tested)


def look_ahead(job: Job, test: Encoded | None = None) -> Ahead:
    """Draw the batches that training will see, from a copy of its generator."""
    import torch

    from peft_lab.training.loop import Plan

    training, lengths = job.training, job.train.lengths
    plan = Plan(len(job.train), training)
    epochs = -(-plan.steps // plan.steps_an_epoch)
    generator = torch.Generator(device=job.generator.device)
    generator.set_state(job.generator.get_state())
    drawn = [grouped_by_length(lengths, training.batch_size, generator) for _ in range(min(epochs, DRAWN_EPOCHS))]
    groups = [group for batches in drawn for group in _in_groups(shapes_of(batches, lengths), training.accumulate)]
    tokens = [float(tokens_of(group)) for group in groups]
    missing = max(0, plan.steps - len(tokens))
    more = tokens[-plan.steps_an_epoch :]
    steps = np.array(tokens + more * -(-missing // len(more)))[: plan.steps]

    def evaluation(data: Encoded | None) -> list[Shape]:
        if data is None:
            return []
        return shapes_of(in_order_of_length(data, training.eval_batch_size), data.lengths)

    return Ahead(
        steps=steps,
        opening=drawn[0][: training.accumulate],
        first=groups[0],
        later=sorted({shape for group in groups[1 : plan.steps] for shape in group}),
        checked=evaluation(job.validation),
        tested=evaluation(test),
        evaluations=epochs if job.validation is not None else 0,
    )


def tokens_of(shapes: Iterable[Shape]) -> int:
    """Tokens of batches, with padding."""
    return sum(rows * width for rows, width in shapes)


@dataclass(frozen=True)
class Line:
    """Seconds of a batch: ``start`` + ``slope`` x tokens, neither below zero."""

    start: float
    slope: float

    def total(self, batches: int, tokens: float) -> float:
        """Seconds of many batches."""
        return batches * self.start + tokens * self.slope


def line_through(points: Sequence[tuple[float, float]]) -> Line:
    """The line through (tokens, seconds) by medians, so that one step that was held up counts for nothing."""
    pairs = [(one, other) for one, other in combinations(points, 2) if one[0] != other[0]]
    slopes = [(other[1] - one[1]) / (other[0] - one[0]) for one, other in pairs]
    slope = max(0.0, float(np.median(slopes))) if slopes else 0.0
    start = float(np.median([seconds - slope * tokens for tokens, seconds in points]))
    if start < 0 or not slopes:  # batches of one size, or a slope that noise made too steep: in proportion
        return Line(0.0, float(np.median([seconds / tokens for tokens, seconds in points])))
    return Line(start, slope)


class FirstSteps:
    """Tells from the first steps of a training how long the rest will take.

    Args:
        tokens: of every step, with padding, in order; see :attr:`Ahead.steps`.
    """

    def __init__(self, tokens: np.ndarray) -> None:
        self.tokens = tokens
        self.so_far = np.concatenate([[0], np.cumsum(tokens)])
        self.seen: list[tuple[float, float]] = []
        self.line: Line | None = None

    def observe(self, step: int, seconds: float) -> bool:
        """Take note of a step, counted from 1, and of its seconds; true once, when the rest can be told."""
        if self.line is not None:
            return False
        self.seen.append((float(self.tokens[step - 1]), seconds))
        if len(self.seen) < WARM_UP + ENOUGH:
            return False
        self.line = line_through(self.seen[WARM_UP:])
        return True

    def left(self, step: int) -> float | None:
        """Seconds that training takes after a step; None while that is not known."""
        if self.line is None:
            return None
        return self.line.total(len(self.tokens) - step, float(self.so_far[-1] - self.so_far[step]))


@dataclass(frozen=True)
class Forecast:
    """What a training is expected to take, as it is kept in a run: bytes, seconds, steps."""

    source: str
    """``plan``, or ``start of the run``."""
    steps: int
    memory: dict[str, int]
    """``weights``, ``gradients``, ``optimizer``, ``activations``, ``process``, and ``peak``, the highest moment."""
    seconds: float | None = None
    """Of training."""
    eval_seconds: float | None = None

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Forecast:
        """Out of JSON."""
        return cls(**{**data, "memory": dict(data["memory"])})


def highest_use(footprint: Footprint, ahead: Ahead) -> int:
    """Bytes at the highest moment of the whole training."""
    return footprint.peak(ahead.first, ahead.later, [*ahead.checked, *ahead.tested])


def memory_parts(footprint: Footprint, ahead: Ahead, peak: int | None = None) -> dict[str, int]:
    """Memory by part. Activations and gradients need not be there at once, so that the peak may be below the sum.

    Args:
        peak: as it was measured; computed when not given.
    """
    return {
        "weights": footprint.weights,
        "gradients": footprint.gradients,
        "optimizer": footprint.optimizer,
        "activations": footprint.activations([*ahead.first, *ahead.later]),
        "process": footprint.process,
        "peak": highest_use(footprint, ahead) if peak is None else peak,
    }


@dataclass(frozen=True)
class Start:
    """What is known of a run when its first step is about to be done."""

    ahead: Ahead
    footprint: Footprint
    forecast: Forecast
    first: FirstSteps

    @property
    def moving(self) -> int:
        """The most that training will take on top of what there is now."""
        return self.footprint.moving(self.ahead.first, self.ahead.later, [*self.ahead.checked, *self.ahead.tested])


def forecast_for(job: Job, test: Encoded | None = None, before: Mapping[str, Any] | None = None) -> Start:
    """Forecast a run that is ready to train, at the cost of a few short texts.

    Args:
        test: the split that will be scored at the end.
        before: a forecast that was made already, by a plan of the same recipe or when the run began; it stands.
    """
    ahead = look_ahead(job, test)
    footprint = measure(job)
    if before:
        forecast = Forecast.read(before)
    else:
        forecast = Forecast("start of the run", len(ahead.steps), memory_parts(footprint, ahead))
    return Start(ahead, footprint, forecast, FirstSteps(ahead.steps))


def _in_groups(shapes: Sequence[Shape], size: int) -> list[list[Shape]]:
    return [list(shapes[at : at + size]) for at in range(0, len(shapes), size)]
