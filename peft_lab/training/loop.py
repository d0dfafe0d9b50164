"""The training loop: read it from top to bottom.

For each batch: forward, per-token losses, weights from the methods, penalty, backward; for each step: clip, move, decay
the rate; for each epoch: evaluate, keep the best state. Device, precision and gradient clipping are accelerate's.
Where it stands is a :class:`Position`; with a checkpoint of it the loop goes on as if it had never ended. Several
processes go through it in step, see :mod:`peft_lab.training.together`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peft_lab.asking import asking, gave
from peft_lab.errors import NothingLearned
from peft_lab.training.answers import must_be_finite, usable_penalty, usable_weights
from peft_lab.training.checkpoint import Pace, moment_now
from peft_lab.training.cost import PeakMemory, close_holes
from peft_lab.training.evaluation import CONSTANT, evaluate
from peft_lab.training.progress import Progress
from peft_lab.training.proof import Proof
from peft_lab.training.together import Together
from peft_lab.training.told import answers_artifact

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from peft_lab.recipe import Training
    from peft_lab.training.batches import Batcher, Encoded
    from peft_lab.training.books import Books
    from peft_lab.training.build import Built
    from peft_lab.training.checkpoint import Moment, Position
    from peft_lab.training.forecast import FirstSteps
    from peft_lab.training.masks import Steering
    from pluggy_specs import Artifact, Batch, Method, Task


HOLES_EVERY = 8
"""Steps; closing the holes takes about half a per cent of the time and keeps memory near what a step needs."""


@dataclass
class Job:
    """All that the loop needs."""

    built: Built
    task: Task
    targets: Mapping[str, Any]
    headline: str
    """The score that chooses the best state."""
    training: Training
    train: Encoded
    validation: Encoded | None
    batcher: Batcher
    accelerator: Accelerator
    generator: torch.Generator
    progress: Progress
    memory: PeakMemory
    books: Books
    seed: int = 0
    first: FirstSteps | None = None
    """Tells from the first steps how long the rest will take."""


@dataclass
class Outcome:
    """How training went."""

    at: Position
    planned: int
    proof: Proof
    stopped: bool = False
    told: Artifact | None = None
    """What the best state answered on validation; None where it was reached before the run was gone on with."""


class Plan:
    """How many batches and steps there will be."""

    def __init__(self, texts: int, training: Training) -> None:
        self.steps_an_epoch = math.ceil(math.ceil(texts / training.batch_size) / training.accumulate)
        self.steps = training.max_steps or max(1, round(training.epochs * self.steps_an_epoch))


def fit(job: Job) -> Outcome:
    """Train until the planned steps are done, the time is spent or a stop is asked for; always on a step boundary."""
    training = job.training
    plan = Plan(len(job.train), training)
    proof = Proof(job.built)
    optimizer = make_optimizer(job.built, training)
    together = Together.of(job.accelerator)
    at, moment = job.books.go_on(optimizer)
    together.must_be_alike(job.built.moving(), "what trains")
    if at.proof:
        proof.go_on(at.proof)
    outcome = Outcome(at, plan.steps, proof)
    loop = _Loop(job, plan, outcome, optimizer, moment)
    try:
        while not outcome.stopped and (at.unmeasured or not loop.done):
            if not at.unmeasured:
                loop.epoch()
            if not outcome.stopped:
                loop.measure()
    except BaseException:
        with suppress(OSError):  # what failed first is what is told
            loop.keep_place()  # as it was before the step that failed
        raise
    if outcome.stopped:
        loop.keep_place()
    proof.finish()
    together.must_be_alike(job.built.moving(), "what was trained")
    together.leave()
    return outcome


class _Loop:
    """The parts of the loop, and what they share."""

    def __init__(
        self, job: Job, plan: Plan, outcome: Outcome, optimizer: torch.optim.Optimizer, moment: Moment | None
    ) -> None:
        self.job, self.plan, self.outcome, self.optimizer = job, plan, outcome, optimizer
        self.at, self.proof = outcome.at, outcome.proof
        self.together = Together.of(job.accelerator)
        self.rate = schedule(job.training, plan.steps)
        self.pace = Pace()
        self.moment = moment
        """Random numbers of the last step boundary; None while weights and optimizer are between two."""

    @property
    def done(self) -> bool:
        """Whether no step is to follow: all are done, or the time budget is spent."""
        most = self.job.training.max_seconds
        return self.at.steps >= self.plan.steps or (most is not None and self.at.train_seconds >= most)

    def epoch(self) -> None:
        """What is left of an epoch, or of all steps."""
        job, at, training = self.job, self.at, self.job.training
        job.built.model.train()
        began = job.generator.get_state()
        batches = job.batcher.epoch(
            job.train,
            training.batch_size,
            job.generator,
            skip=at.done * training.accumulate,
            share=self.together.share,
        )
        if at.done and self.moment is not None:  # a method may have drawn from the generator since the epoch began
            job.generator.set_state(self.moment.order)
        self.moment = moment_now(began, job.generator)
        self.close_holes()  # the longest batch comes first, and should find no holes of shorter ones beside it
        clock = time.perf_counter()
        for group in gathered(batches, training.accumulate):
            if self.together.as_main_says(job.progress.stopping()):
                self.outcome.stopped = True
                return
            if self.pace.due():
                self.keep_place()
            loss = self.step(group)
            now = time.perf_counter()
            seconds, clock = now - clock, now
            at.train_seconds = self.together.as_main_says(at.train_seconds + seconds)
            self.tell(loss, seconds)
            self.moment = moment_now(began, job.generator)
            if self.done:
                break
        at.epoch, at.done, at.unmeasured = at.epoch + 1, 0, True
        began = job.generator.get_state()
        self.moment = moment_now(began, job.generator)

    def step(self, group: list[Batch]) -> float:
        """One step of the optimizer; returns the loss before it."""
        job, at = self.job, self.at
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = self.rate(at.steps) * parameters["factor"]
        self.together.own_chance(job.seed, at.steps)
        loss = backward(job, group)
        if not math.isfinite(loss):
            raise NothingLearned(f"the loss is {loss} at step {at.steps + 1}", "Lower --learning-rate")
        if self.proof.watching:
            self.proof.after_backward()
        clip(job, self.optimizer)
        self.moment = None
        move(job, self.optimizer)
        at.steps, at.done = at.steps + 1, at.done + 1
        at.texts += self.together.total(sum(len(batch["input_ids"]) for batch in group if batch))
        at.shown_loss = loss if at.shown_loss is None else 0.9 * at.shown_loss + 0.1 * loss
        if self.proof.watching:
            self.proof.after_step()
        if at.steps % HOLES_EVERY == 0:
            self.close_holes()
        job.memory.sample()
        return loss

    def close_holes(self) -> None:
        """Give back what lies free between tensors, where they lie in the memory of the process."""
        if self.job.accelerator.device.type == "cpu":
            close_holes()

    def tell(self, loss: float, seconds: float) -> None:
        """Say where the training is, on disk and to whoever watches."""
        at, planned, first = self.at, self.plan.steps, self.job.first
        most = self.job.training.max_seconds or math.inf
        left = first.left(at.steps) if first else None
        if left is None:
            left = at.train_seconds / at.steps * (planned - at.steps)
        if first and first.observe(at.steps, seconds):
            self.job.books.foretell(min(most, at.train_seconds + (first.left(at.steps) or 0.0)))
        epoch = at.steps / self.plan.steps_an_epoch
        self.job.progress.update(
            step=at.steps,
            steps=planned,
            epoch=epoch,
            loss=at.shown_loss,
            seconds=at.train_seconds,
            left_seconds=max(0.0, min(left, most - at.train_seconds)),
            texts_per_second=at.texts / at.train_seconds if at.train_seconds else 0.0,
        )
        rate = self.rate(at.steps - 1)
        self.log(step=at.steps, epoch=epoch, split="train", loss=loss, learning_rate=rate)

    def measure(self) -> None:
        """Evaluate, and keep the state if it is the best so far."""
        job, at = self.job, self.at
        clock = time.perf_counter()
        epoch = at.steps / self.plan.steps_an_epoch
        best = False
        if job.validation is not None:
            job.progress.update(phase="evaluating")
            validation, heard = job.validation, list[Any]()
            scores = self.together.by_main(lambda: score(job, validation, heard.append))
            if self.together.as_main_says(scores is None):
                self.outcome.stopped = True
                return
            if scores is None:  # main has them
                at.unmeasured = False
                job.progress.update(phase="training")
                return
            told = {name: value for name, value in scores.items() if name != CONSTANT}
            self.log(step=at.steps, epoch=epoch, split="validation", seconds=at.train_seconds, **told)
            if not isinstance(scores.get(job.headline), (int, float)):
                wanted = "one: it chooses the best state"
                raise gave("tasks", job.task.name, "metrics", f"no number for {job.headline!r}", wanted)
            best = at.best_scores is None or scores[job.headline] > at.best_scores[job.headline]
            if best:
                at.best_step, at.best_scores = at.steps, scores
                self.outcome.told = answers_artifact("validation", heard[0], job.validation, job.task, job.targets)
        at.unmeasured = False
        at.eval_seconds += time.perf_counter() - clock
        if best:
            # The checkpoint first: it holds the same weights, so that a crash between the two loses neither.
            if self.pace.due():
                self.keep_place()
            job.books.keep_best(at, epoch)
        job.progress.update(phase="training")

    def log(self, **point: Any) -> None:
        """A metric point, counted."""
        self.job.books.log(**point)
        self.at.points += 1

    def keep_place(self) -> None:
        """Write a checkpoint of the last step boundary, where there was one."""
        if self.moment is None or not self.at.steps:
            return
        began = time.perf_counter()
        self.at.proof = self.proof.state()
        self.job.books.keep_place(self.optimizer, self.at, self.moment)
        self.pace.took(time.perf_counter() - began)


def backward(job: Job, group: Iterable[Batch]) -> float:
    """Gradients of one step, over one batch or several gathered ones; returns the mean loss.

    The loss is a sum of weighted token losses over the sum of their weights. With gathered batches, and with several
    processes, that sum is known only at the end, so gradients of plain sums are added up and divided once: a short
    batch then counts for as many tokens as it has.
    """
    import torch

    batches = [batch for batch in group if batch]  # of a short batch there may be nothing for this process
    together = Together.of(job.accelerator)
    at_once = len(batches) == 1 and not together.several
    sums = _Sums(job)
    penalty = error = None
    try:
        for batch in batches:
            sums.add(batch, at_once)
        if together.several:
            penalty = _penalty(job)
    except Exception as failure:
        if not together.several:
            raise
        error = failure
    moving = job.built.moving()
    if together.several:
        sums.losses, sums.weights, some = together.counted(
            sums.losses, sums.weights, moving, penalised=penalty is not None, error=error
        )
        if penalty is not None:  # once in all: the mean of what the processes say, each of which may see its share only
            job.accelerator.backward(penalty * (sums.weights / together.size).to(penalty.dtype))
        together.add_up(some)
    if not at_once:
        torch._foreach_div_([g for p in moving if (g := p.grad) is not None], sums.weights)
    if not together.several and (penalty := _penalty(job)) is not None:
        job.accelerator.backward(penalty)
    loss = float(sums.losses / sums.weights)
    if sums.given and not math.isfinite(loss):
        must_be_finite(sums.given, float(sums.weights))
    return loss


class _Sums:
    """Weighted losses and their weights, added up over batches, with their gradients."""

    def __init__(self, job: Job) -> None:
        import torch

        self.job = job
        self.given: list[tuple[Method, torch.Tensor]] = []
        self.losses = self.weights = torch.zeros((), device=job.accelerator.device)

    def add(self, batch: Batch, at_once: bool) -> None:
        """Forward, weigh, backward. ``at_once``: the gradient of the mean, not of the sum."""
        job = self.job
        with job.accelerator.autocast():
            outputs = job.task.outputs(job.built.model, batch)
        losses, weights = job.task.losses(outputs, batch)
        for method in job.built.methods:
            with asking("methods", method.name, "weigh_tokens"):
                extra = method.weigh_tokens(losses, batch)
            if (usable := usable_weights(method, extra, losses)) is not None:
                self.given.append((method, usable.detach()))
                weights = weights * usable
        total = (losses * weights).sum()
        scale = weights.sum()
        job.accelerator.backward(total / scale if at_once else total)
        self.losses = self.losses + total.detach()
        self.weights = self.weights + scale.detach()


def _penalty(job: Job) -> torch.Tensor | None:
    """The sum of what methods add to the loss; None where none adds anything."""
    import torch

    penalties = []
    for method in job.built.methods:
        with asking("methods", method.name, "penalty"):
            penalty = method.penalty(job.built.model)
        if (one := usable_penalty(method, penalty)) is not None:
            penalties.append(one)
    return torch.stack(penalties).sum() if penalties else None


def clip(job: Job, optimizer: torch.optim.Optimizer) -> None:
    """Shorten the gradients where their norm is more than the settings allow."""
    if job.training.clip:
        moving = [p for group in optimizer.param_groups for p in group["params"]]
        job.accelerator.clip_grad_norm_(moving, job.training.clip)


def move(job: Job, optimizer: torch.optim.Optimizer) -> None:
    """Let the optimizer act, put masked entries into the model, and forget the gradients."""
    if job.built.pull:
        job.built.pull.act(optimizer)
    optimizer.step()
    if job.built.masked:
        job.built.masked.write()
    optimizer.zero_grad(set_to_none=True)


def make_optimizer(built: Built, training: Training) -> torch.optim.Optimizer:
    """AdamW over what trains; decay on matrices only, as is usual for transformers, and rates as the methods ask."""
    import torch

    alike: dict[Steering, list[torch.nn.Parameter]] = {}
    partial = built.masked.names if built.masked else set()
    for name, parameter in built.trainable().items():
        if name not in partial and parameter.numel():
            alike.setdefault(built.steering(name, parameter), []).append(parameter)
    if built.masked:
        for way, values in zip(built.masked.steering, built.masked.values, strict=True):
            alike.setdefault(way, []).append(values)
    groups = [
        {"params": alike[way], "weight_decay": training.weight_decay if way[0] else 0.0, "factor": way[1]}
        for way in sorted(alike, reverse=True)
    ]
    # One fused kernel over all tensors: five times as fast as a loop on a CPU. MPS has its own default.
    fused = True if next(built.model.parameters()).device.type in ("cpu", "cuda") else None
    return torch.optim.AdamW(groups, lr=training.learning_rate, fused=fused)


def schedule(training: Training, planned: int) -> Callable[[int], float]:
    """Learning rate at a step, counted from 0: linear warm-up that starts above zero, then decay to zero."""
    warm = max(1, round(training.warmup * planned)) if training.warmup else 0

    def rate(step: int) -> float:
        if step < warm:
            return training.learning_rate * (step + 1) / warm
        gone = (step - warm) / max(1, planned - warm)
        shapes = {"linear": 1 - gone, "cosine": 0.5 * (1 + math.cos(math.pi * gone)), "constant": 1.0}
        return training.learning_rate * shapes[training.schedule]

    return rate


def gathered(batches: Iterable[Batch], size: int) -> Iterable[list[Batch]]:
    """Groups of ``size`` batches; the last one may be smaller."""
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def score(job: Job, data: Encoded, keep: Callable[[Any], None] = lambda outputs: None) -> dict[str, float] | None:
    """Metrics and loss of a split for the state as it is; None when a stop was asked for half-way.

    ``keep`` is given the raw outputs.
    """
    return evaluate(
        job.built.model,
        data,
        task=job.task,
        targets=job.targets,
        batcher=job.batcher,
        accelerator=job.accelerator,
        size=job.training.eval_batch_size,
        stop=job.progress.stopping,
        keep=keep,
    )
