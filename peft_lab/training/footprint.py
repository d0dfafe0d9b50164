"""Memory of a training step, measured on a handful of short rows and computed for any batch.

Every tensor that a step makes has a size that is fixed, or grows with the rows of the batch, their length, or the
square of their length. Four tiny steps tell which for each of them, and when it is made and given up. Playing that
back with other sizes gives the highest moment of a batch that was never computed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pluggy_specs.pieces import UNSUPERVISED

if TYPE_CHECKING:
    import torch

    from peft_lab.training.loop import Job
    from pluggy_specs import Batch

Shape = tuple[int, int]
"""Rows of a batch, and tokens of each row with padding."""

WIDTH = 64
"""Longest rows, in tokens, that the tiny steps compute; longer ones are computed from them."""
HOLES = 0.4
"""On a CPU, the share that is added to what a batch allocates: holes that freed tensors leave in the memory of the
process, and what libraries use inside one operation. Measured on minilm: 0.3 to 1 of it."""
KERNELS, MOST_KERNELS = 2_400_000, 200
"""On a CPU in bf16, bytes that oneDNN keeps for each different rows and width of batches, and for how many of them at
most: it prepares its products for each, and drops the oldest. Measured on minilm; in fp32 it keeps next to nothing."""
ROWS = 2
"""Rows of the smallest one. A single row may be computed in another way than several."""


@dataclass(frozen=True)
class Playback:
    """What a step makes and gives up, in order; what is given up has negative sizes."""

    fixed: np.ndarray
    """Bytes of each whatever the batch."""
    by_row: np.ndarray
    """Bytes for each row, [event, power]: times the row's tokens, with padding, to the power of 0, 1 and 2."""
    gradients: np.ndarray
    """Which of them are gradients that stay until the optimizer has used them."""

    def highest(self, rows: int, width: int) -> tuple[int, int]:
        """Bytes at the highest moment of a step on such a batch, and how many of them are kept gradients."""
        if not len(self.fixed):
            return 0, 0
        sizes = self.fixed + rows * (self.by_row @ np.array([1.0, width, width**2]))
        held = np.cumsum(sizes)
        at = int(held.argmax())
        kept = float(np.where(self.gradients, sizes, 0.0)[: at + 1].sum())
        return max(0, round(float(held[at]))), max(0, round(kept))

    def without_gradients(self) -> Playback:
        """The same step if next to nothing trained: activations are at most these."""
        stay = ~self.gradients
        return Playback(self.fixed[stay], self.by_row[stay], self.gradients[stay])


@dataclass(frozen=True)
class Footprint:
    """Memory of a training, part by part, in bytes. ``step`` and ``evaluation`` tell what a batch takes on top."""

    device: str
    weights: int
    gradients: int
    optimizer: int
    process: int
    """What the process takes besides: libraries, data, tokenizer. 0 on a GPU, where they take nothing."""
    highest: int
    """The most it took so far: loading a model may take more than training it."""
    accumulates: bool
    keeps_kernels: bool
    """Whether what is prepared for batches of one size is kept in memory for the next ones."""
    step: Playback
    evaluation: Playback

    def moving(self, first: Iterable[Shape], later: Iterable[Shape], checked: Iterable[Shape] = ()) -> int:
        """The most that training takes on top of weights and process.

        Args:
            first: batches of the first step, before which the optimizer has no state.
            later: batches of the steps behind it.
            checked: batches that are evaluated.
        """
        gathered = self.gradients if self.accumulates else 0
        more = 1 + self.holes
        highest = max(
            self.gradients + self.optimizer,
            *(gathered + more * self.step.highest(*shape)[0] for shape in first),
            *(gathered + self.optimizer + more * self.step.highest(*shape)[0] for shape in later),
            *(self.evaluating(shape) for shape in checked),
            0,
        )
        return round(highest)

    def evaluating(self, shape: Shape) -> float:
        """The most that an evaluation batch takes on top of weights and process."""
        return self.optimizer + (1 + self.holes) * self.evaluation.highest(*shape)[0]

    @property
    def holes(self) -> float:
        """The share to add to what tensors take."""
        return HOLES if self.device == "cpu" else 0.0

    def peak(self, first: Iterable[Shape], later: Iterable[Shape], checked: Iterable[Shape] = ()) -> int:
        """The highest use of the whole training."""
        first, later, checked = list(first), list(later), list(checked)
        moving = self.moving(first, later, checked) + self.kernels({*first, *later, *checked})
        return max(self.highest, self.process + self.weights + moving)

    def kernels(self, shapes: Collection[Shape]) -> int:
        """What is kept for batches of so many different sizes."""
        return KERNELS * min(len(shapes), MOST_KERNELS) if self.keeps_kernels else 0

    def activations(self, shapes: Iterable[Shape]) -> int:
        """What the largest batch holds of its own at the highest moment, without kept gradients."""
        found = [self.step.highest(*shape) for shape in shapes]
        return max((total - kept for total, kept in found), default=0)


def measure(job: Job) -> Footprint:
    """Measure a model that is ready to train. Costs about as much as one step on a few short texts.

    Weights, gradients, random numbers and the order of batches are left as they were.
    """
    from peft_lab.training.hardware import precision_of
    from peft_lab.training.randomness import kept_apart

    device = job.accelerator.device
    with kept_apart():
        step = _playback(job, lambda batch: _learn(job, batch))
        evaluation = _playback(job, lambda batch: _look(job, batch))
    parameters = {id(p): p for p in job.built.model.parameters()}
    weights = sum(_bytes(t) for t in (*parameters.values(), *job.built.model.buffers()))
    moving = job.built.moving()
    gradients = sum(_bytes(t) for t in moving)
    now, highest = _use(job)
    return Footprint(
        device=device.type,
        weights=weights,
        gradients=gradients,
        optimizer=2 * gradients,
        process=max(0, now - weights) if device.type != "cuda" else 0,
        highest=highest,
        accumulates=job.training.accumulate > 1,
        keeps_kernels=device.type == "cpu" and precision_of(job.accelerator) == "bf16",
        step=step,
        evaluation=evaluation,
    )


def shapes_of(batches: Iterable[np.ndarray], lengths: np.ndarray) -> list[Shape]:
    """Rows and width of batches given by their row numbers."""
    return [(len(chosen), int(lengths[chosen].max())) for chosen in batches]


# --- tiny steps ------------------------------------------------------------------------------------------------------


def _playback(job: Job, work: Callable[[Batch], None]) -> Playback:
    """Trace a few sizes of batch, and solve for what each event depends on."""
    width = _width(job)
    widths = width, width // 2, width // 4 * 3
    traces = [_trace(job, work, _small_batch(job, ROWS, w)) for w in widths]
    more = _trace(job, work, _small_batch(job, 2 * ROWS, width))
    if len({len(trace.sizes) for trace in (*traces, more)}) > 1:
        return _by_peaks(traces[0], more, width)
    sizes = np.array([trace.sizes for trace in traces], dtype=float)
    fixed = sizes[0] - (np.array(more.sizes) - sizes[0])
    powers = np.vander(np.array(widths, dtype=float), 3, increasing=True)
    by_row = np.linalg.solve(powers, (sizes - fixed) / ROWS).T
    return Playback(fixed, by_row, np.array(traces[0].kept, dtype=bool))


def _width(job: Job) -> int:
    """Of the widest tiny step: three quarters and a half of it are whole numbers."""
    return max(4, min(WIDTH, int(job.train.lengths.max())) // 4 * 4)


def _by_peaks(few: _Trace, many: _Trace, width: int) -> Playback:
    """Where steps of other sizes go another way, the peaks alone have to do: in proportion to the tokens."""
    low, high = (float(max(np.cumsum(trace.sizes), default=0)) for trace in (few, many))
    a_row = max(high - low, low / 2) / ROWS
    by_row = np.array([[0.0, a_row / width, 0.0]])
    return Playback(np.array([max(0.0, low - ROWS * a_row)]), by_row, np.zeros(1, dtype=bool))


def _small_batch(job: Job, rows: int, width: int) -> Batch:
    """The longest text several times, cut to a width; one that is too short begins again. One row has padding.

    Without any padding, models leave out the mask of attention and what comes of it.
    """
    longest = int(job.train.lengths.argmax())
    whole = int(job.train.lengths[longest])
    columns = np.arange(width) % whole
    batch = job.batcher.batch(job.train, np.full(rows, longest))
    cut = {n: t[:, columns] if t.ndim > 1 and t.shape[1] == whole else t for n, t in batch.items()}
    cut["attention_mask"][0, 0 if job.batcher.left else -1] = 0
    if job.task.generates:
        answer = _answer(job, width)
        cut["labels"] = cut["input_ids"].clone()
        cut["labels"][:, : width - 1 - answer] = UNSUPERVISED
        cut["labels"][:, -1] = UNSUPERVISED  # where the padding is
    return cut


def _answer(job: Job, width: int) -> int:
    """Tokens of a row that are supervised where models write: logits take memory by these.

    As a share of the row they are the most that any batch of rows of like length has, as a share of the largest batch;
    rounded up so that they are in proportion to each width that is tried.
    """
    lengths, borders = job.train.lengths, job.train.borders
    assert borders is not None
    size = min(job.training.batch_size, len(lengths))
    order = np.argsort(lengths, kind="stable")
    most = np.convolve((lengths - borders)[order], np.ones(size), mode="valid").max()
    parts = _width(job) // 4
    taken = min(parts - 1, int(np.ceil(parts * most / (size * lengths.max()))))
    return max(1, width * taken // parts)


def _learn(job: Job, batch: Batch) -> None:
    job.built.model.train()
    with job.accelerator.autocast():
        outputs = job.task.outputs(job.built.model, batch)
    losses, supervised = job.task.losses(outputs, batch)
    total, weight = (losses * supervised).sum(), supervised.sum()
    del outputs, losses
    # Weights and penalties of methods are left out: they take little, and some methods count how often they are asked.
    job.accelerator.backward(total / weight.clamp(min=1))


def _look(job: Job, batch: Batch) -> None:
    import torch

    job.built.model.eval()
    with torch.inference_mode(), job.accelerator.autocast():
        job.task.losses(job.task.outputs(job.built.model, batch), batch)
    job.built.model.train()


@dataclass
class _Trace:
    sizes: list[int] = field(default_factory=list)
    """Bytes made (positive) and given up (negative), in order."""
    kept: list[bool] = field(default_factory=list)
    """Whether it is a gradient that stays."""
    of: list[int] = field(default_factory=list)
    """Which storage it is about."""


def _trace(job: Job, work: Callable[[Batch], None], batch: Batch) -> _Trace:
    """Run a tiny step and note each storage as it is made and given up."""
    model = job.built.model
    known = [*model.parameters(), *model.buffers(), *batch.values(), *job.built.moving()]
    with _watched(known, job.accelerator.device.type) as trace:
        work(batch)
        gradients = {_address(g) for p in job.built.moving() if (g := p.grad) is not None}
    last = {address: number for number, address in enumerate(trace.addresses) if trace.trace.sizes[number] > 0}
    stays = {trace.trace.of[last[address]] for address in gradients if address in last}
    found = trace.trace
    found.kept = [storage in stays for storage in found.of]
    model.zero_grad(set_to_none=True)
    for parameter in job.built.moving():
        parameter.grad = None
    return found


@dataclass
class _Watched:
    trace: _Trace = field(default_factory=_Trace)
    addresses: list[int] = field(default_factory=list)


@contextmanager
def _watched(known: Iterable[torch.Tensor], device: str) -> Iterator[_Watched]:
    """Note storages made by any operation inside, and their end, until the block ends."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.weak import WeakIdKeyDictionary, weakref

    found = _Watched()
    trace = found.trace
    open_ = True
    numbers: Any = WeakIdKeyDictionary()
    watchers: dict[int, Any] = {}
    for tensor in known:
        numbers[tensor.untyped_storage()] = -1

    def note(number: int, size: int, address: int) -> None:
        trace.sizes.append(size)
        trace.of.append(number)
        found.addresses.append(address)

    def made(tensor: torch.Tensor) -> None:
        if tensor.device.type != device or tensor.layout != torch.strided:
            return  # a sparse tensor has no memory of its own, its parts have
        storage = tensor.untyped_storage()
        size = storage.nbytes()
        if not size or storage in numbers:
            return
        number = len(watchers)
        numbers[storage] = number
        note(number, size, storage.data_ptr())

        def ended(_: Any) -> None:
            if open_:
                note(number, -size, 0)

        watchers[number] = weakref.ref(storage, ended)

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            for leaf in tree_leaves(result):
                if isinstance(leaf, torch.Tensor):
                    made(leaf)
            return result

    try:
        with Watch():
            yield found
    finally:
        open_ = False


# --- what there is already -------------------------------------------------------------------------------------------


def _use(job: Job) -> tuple[int, int]:
    """Memory in use now, and the most so far."""
    if job.accelerator.device.type == "cuda":
        import torch

        return int(torch.cuda.memory_allocated(job.accelerator.device)), job.memory.read()
    now = int(job.memory.process.memory_info().rss)
    return now, max(now, job.memory.read())


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
