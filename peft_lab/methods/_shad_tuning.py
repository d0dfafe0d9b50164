"""Tuning a change of a model lightly on some rows, and the losses of others before and after: what SHAD computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peft_lab.methods._shad_adapter import LowRank
from peft_lab.methods._shad_attention import shared_keys
from peft_lab.methods._shad_groups import Group, as_long, before_answer, cheapest, grouped
from peft_lab.methods._shad_passes import Passes
from peft_lab.methods._shad_rows import Row
from pluggy_specs import Task

if TYPE_CHECKING:
    import torch

CLIP = 1.0
KEPT_TOKENS = 16_384
"""Tokens before answers whose keys and values are kept from step to step; others are read anew."""
Change = Mapping[str, "torch.Tensor"]
Tell = Callable[[str, int, int], object]
"""Is told what is being done, how much of it is done, and of how much; what it raises ends it."""


def _nobody(doing: str, done: int, of: int) -> None:
    """Where nobody asks."""


@dataclass(frozen=True)
class Effort:
    """How much is tuned."""

    steps: int
    rate: float
    rank: int
    batch: int
    upper: float
    targets: str = "query-value"
    whole: bool = True
    """Whether a step has all rows of a batch however long they are, in several passes, or those of one pass: of long
    answers fewer tell as much."""


class Tuner:
    """A frozen model of whose own tensors none changes, and a change beside it.

    Args:
        model: a base model in eval mode.
        pad: a token to fill up with.
        seed: of where the change starts.
        tell: is told how far it is, and may raise.
        tunings: how many there will be.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        task: Task,
        pad: int,
        effort: Effort,
        seed: int,
        tell: Tell = _nobody,
        tunings: int = 1,
    ) -> None:
        import torch

        self.effort, self.tell = effort, tell
        self.steps, self.done = tunings * effort.steps, 0
        self.adapter = LowRank(model, effort.rank, effort.upper, effort.targets, torch.Generator().manual_seed(seed))
        self.start = self.adapter.state()
        self.passes = Passes(model, task, self.adapter, pad)
        self.tuned: list[Group] = []
        """Groups that were tuned on last, with what was read of them."""

    def tune(self, rows: Sequence[Row], draw: np.random.Generator) -> Change:
        """Tune a fresh change on rows, the loss being that of answer tokens, and return it."""
        import torch

        self.adapter.load(self.start)
        effort = self.effort
        if effort.whole:
            batches = [list(grouped(batch, effort.batch)) for batch in as_long(rows, effort.batch)]
        else:
            batches = [[group] for group in grouped(rows, effort.batch)]
        optimizer = torch.optim.AdamW(self.adapter.parameters, lr=effort.rate, weight_decay=0.0)
        order = _endless(len(batches), draw)
        kept = 0
        for step in range(effort.steps):
            self.tell("step", self.done, self.steps)
            for parameters in optimizer.param_groups:
                parameters["lr"] = effort.rate * (1 - step / effort.steps)
            batch = batches[next(order)]
            tokens = max(1, sum(sum(group.sizes) for group in batch))
            for group in batch:
                size = sum(len(row.ids) for row in group.rows)
                keep = group.kept is not None or kept + size <= KEPT_TOKENS
                kept += size if keep and group.kept is None else 0
                here = self.passes.read(group if keep else Group(group.rows))
                with torch.enable_grad():
                    loss = self.passes.losses(here, changed=True).sum() / tokens
                    loss.backward()
            torch.nn.utils.clip_grad_norm_(self.adapter.parameters, CLIP)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            self.done += 1
        self.tuned = [group for batch in batches for group in batch if group.kept is not None]
        return self.adapter.state()

    def losses(self, rows: Sequence[Row], *changes: Change) -> list[np.ndarray]:
        """Losses of all answer tokens, one row after another: under the model as it was, and under each change."""
        import torch

        found: list[dict[int, np.ndarray]] = [{} for _ in range(1 + len(changes))]
        self.tell("row", 0, len(rows))
        with torch.no_grad():
            for group in self._groups(rows):
                self.passes.read(group)
                for at, change in enumerate((None, *changes)):
                    if change is not None and (at == 1 or len(changes) > 1):
                        self.adapter.load(change)
                    flat = self.passes.losses(group, changed=change is not None).float().cpu().numpy()
                    for row, part in zip(group.rows, np.split(flat, np.cumsum(group.sizes)[:-1]), strict=True):
                        alone = len(row.answer) - len(part)  # a first token that nothing tells
                        found[at][row.number] = np.concatenate([np.zeros(alone, np.float32), part])
                self.tell("row", len(found[-1]), len(rows))
                group.kept = group.below = None  # keys and values of all rows would fill the memory
        return [np.concatenate([part[row.number] for row in rows]) for part in found]

    def _groups(self, rows: Sequence[Row]) -> Iterator[Group]:
        """The rows in groups; prompts that were read to tune on other answers of theirs are not read again."""
        waiting = {row.number: row for row in rows}
        for group in self.tuned:
            own = [waiting.get(row.number) for row in group.rows]
            known = [row for row in own if row is not None]
            pairs = zip(known, group.rows, strict=False)
            if len(known) == len(own) and all(np.array_equal(before_answer(a), before_answer(b)) for a, b in pairs):
                for row in known:
                    del waiting[row.number]
                yield Group(known, group.kept)
        self.tuned = []
        yield from cheapest(list(waiting.values()))


@contextmanager
def tuner(
    model: torch.nn.Module,
    task: Task,
    pad: int,
    effort: Effort,
    seed: int,
    tell: Tell = _nobody,
    tunings: int = 1,
) -> Iterator[Tuner]:
    """A tuner whose hooks and attention are gone when the block ends."""
    made = Tuner(model, task, pad, effort, seed, tell, tunings)
    try:
        with shared_keys(model):
            yield made
    finally:
        made.adapter.remove()


def _endless(many: int, draw: np.random.Generator) -> Iterator[int]:
    """Numbers up to many, all of them in a random order, and again."""
    while True:
        yield from draw.permutation(many).tolist()
