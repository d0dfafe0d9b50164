"""What would fit into the memory there is: smaller batches with the same steps, shorter texts, a cheaper method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from peft_lab.present.style import bytes_, share
from peft_lab.training.batches import USUAL_LENGTH
from peft_lab.training.footprint import Footprint, Shape

if TYPE_CHECKING:
    from peft_lab.training.loop import Job

SAFETY = 0.9
"""Part of the free memory that a proposal may fill: libraries take some that no tensor shows."""
AFTER_FAILURE = 0.6
"""The same, once memory has run out: what was freed since lies in pieces."""
MUCH_CHEAPER = 4
"""A method is called cheaper when its gradients and optimizer take a quarter or less."""


def what_fits(job: Job, footprint: Footprint, free: int, failed: bool = False) -> str:
    """Propose what was computed to fit, as a person would type it; nothing, if nothing does.

    Args:
        free: bytes that training may take on top of what the model takes already.
        failed: the settings as they are were tried, so that they need more than was free, whatever was computed.
    """
    wishes = _Wishes(job, footprint, free)
    if failed:
        wishes.room = AFTER_FAILURE * min(free, wishes.need(job.training.batch_size))
    return next(iter(wishes.proposals()), "")


class _Wishes:
    """Settings near those asked for, and what they would need."""

    def __init__(self, job: Job, footprint: Footprint, free: int) -> None:
        self.job, self.footprint = job, footprint
        self.room = SAFETY * free
        self.lengths = job.train.lengths
        self.longest = int(self.lengths.max())
        others = [data for data in (job.validation,) if data is not None]
        self.evaluated = max((int(data.lengths.max()) for data in others), default=0)

    def proposals(self) -> Iterator[str]:
        """What fits, best first: the same training in smaller batches, then another one."""
        training = self.job.training
        evaluation, size = self._evaluation()
        together = training.batch_size * training.accumulate
        for batch in _halves(together, below=training.batch_size):
            need = self.need(batch, evaluation=size)
            if need <= self.room:
                flags = f"--batch-size {batch} --accumulate {together // batch}{evaluation}"
                yield f"{flags} fits ({self._in_all(need)}), in equal steps"
                break
        if evaluation and self.need(training.batch_size, evaluation=size) <= self.room:
            yield f"{evaluation.strip()} fits ({self._in_all(self.need(training.batch_size, evaluation=size))})"
        for batch in dict.fromkeys((training.batch_size, 1)):
            yield from self._shorter(batch, evaluation, size)
        yield from self._cheaper()

    def need(self, batch: int, length: int | None = None, evaluation: int | None = None) -> int:
        """Bytes of a training with other batches or shorter texts."""
        training = self.job.training
        length = self.longest if length is None else length
        size = training.eval_batch_size if evaluation is None else evaluation
        gathers = batch < training.batch_size * training.accumulate
        shape = min(batch, len(self.lengths)), min(length, self.longest)
        checked = [_evaluation_shape(size, min(length, self.evaluated), self.job.train.usual)] if self.evaluated else []
        return replace(self.footprint, accumulates=gathers).moving([], [shape], checked)

    def _evaluation(self) -> tuple[str, int]:
        """The flag for smaller evaluation batches, where even those are too large, and their size."""
        asked = self.job.training.eval_batch_size
        for size in (asked, *_halves(asked, below=asked)):
            shape = _evaluation_shape(size, self.evaluated, self.job.train.usual)
            if not self.evaluated or self.footprint.evaluating(shape) <= self.room:
                return (f" --eval-batch-size {size}" if size < asked else ""), size
        return " --eval-batch-size 1", 1

    def _shorter(self, batch: int, evaluation: str, size: int) -> Iterator[str]:
        for length in range((self.longest - 1) // 8 * 8, 7, -8):
            need = self.need(batch, length, size)
            if need <= self.room:
                cut = share(float(np.mean(self.lengths > length)))
                fewer = f" --batch-size {batch}" if batch != self.job.training.batch_size else ""
                flags = f"--max-length {length}{fewer}{evaluation}"
                yield f"{flags} fits ({self._in_all(need)}) and cuts {cut} of the texts"
                return

    def _cheaper(self) -> Iterator[str]:
        """Biases only, or the head only: gradients and optimizer shrink, activations at least do not grow."""
        built = self.job.built
        heads = [p.numel() for n, p in built.model.named_parameters() if built.is_head(n)]
        biases = [p.numel() for n, p in built.model.named_parameters() if n.endswith("bias") and not built.is_head(n)]
        for name, entries in (("bitfit", sum(heads) + sum(biases)), ("head", sum(heads))):
            gradients = 4 * entries
            if not (biases if name == "bitfit" else heads) or MUCH_CHEAPER * gradients > self.footprint.gradients:
                continue
            step = self.footprint.step.without_gradients()
            lighter = replace(self.footprint, gradients=gradients, optimizer=2 * gradients, step=step)
            other = _Wishes(self.job, lighter, 0)
            other.room = self.room
            evaluation, size = other._evaluation()
            for batch in (self.job.training.batch_size, *_halves(self.job.training.batch_size)):
                need = other.need(batch, evaluation=size)
                if need <= self.room:
                    fewer = f" --batch-size {batch}" if batch != self.job.training.batch_size else ""
                    yield f"{name}{fewer}{evaluation} fits ({self._in_all(need)})"
                    return

    def _in_all(self, moving: int) -> str:
        return bytes_(max(self.footprint.highest, self.footprint.process + self.footprint.weights + moving))


def _evaluation_shape(size: int, length: int, usual: int = USUAL_LENGTH) -> Shape:
    return max(1, min(size, size * usual // max(1, length))), length


def _halves(together: int, below: int | None = None) -> Iterator[int]:
    """Powers of two that divide the texts of a step, largest first."""
    batch = together & -together  # the largest power of two that divides it
    while batch:
        if below is None or batch < below:
            yield batch
        batch //= 2
