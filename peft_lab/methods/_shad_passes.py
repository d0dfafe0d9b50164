"""Losses of answers under a model with and without a change that counts from the last token before the answer on.

What stands before is read once, as it is the same for both: its keys and values are kept, and only the few tokens of
the answers are computed again; of these, only what the layers from the lowest changed one on make of them. Where the
prompts of a group begin alike, as those of one conversation do, that beginning is read once for all. A model that
cannot go on from kept keys and values reads everything each time; the numbers are the same.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.methods._shad_adapter import LowRank
from peft_lab.methods._shad_rows import Row, padded
from pluggy_specs import Task
from pluggy_specs.pieces import UNSUPERVISED

if TYPE_CHECKING:
    import torch

SAME = 0.05
"""Mean difference of losses up to which going on from kept keys gives what reading everything gives: bf16 rounds."""
TOKENS, ANSWERS, ROWS = 4096, 1024, 32
"""Most tokens, answer tokens and rows of one pass, with padding."""
BEGIN = 32
"""Tokens that could be computed in the time it takes to begin a pass."""
CANNOT = (RuntimeError, TypeError, ValueError, KeyError, IndexError, AttributeError)
"""What models raise that do not take what is tried."""
AT_ONCE = 256
"""Tokens whose logits are held in fp32 at a time."""


@dataclass
class Group:
    """Rows of one pass, and what was read before their answers, where it is kept."""

    rows: Sequence[Row]
    kept: Any = None
    below: Any = None
    """What the layers below the change made of the answers, once that is known."""

    @property
    def sizes(self) -> list[int]:
        """Tokens of the answers, without one that nothing stands before."""
        return [len(row.ids) - max(1, row.border) for row in self.rows]


class Passes:
    """Runs a frozen model over groups of rows.

    Args:
        pad: a token to fill up with.
    """

    def __init__(self, model: torch.nn.Module, task: Task, adapter: LowRank, pad: int) -> None:
        self.model, self.task, self.adapter, self.pad = model, task, adapter, pad
        self.device = next(model.parameters()).device
        named = inspect.signature(type(model).forward).parameters
        self.last_only = {"logits_to_keep": 1} if "logits_to_keep" in named else {}
        self.goes_on: bool | None = None
        """Whether the model can go on from kept keys and values; None before it was tried."""
        self.skips = bool(adapter.below)
        """Whether layers below the change can be left out once it is known what they give."""

    def read(self, group: Group) -> Group:
        """Read what stands before the answers, unless it is kept or the model cannot go on from it."""
        import torch

        if self.goes_on is None:
            self.goes_on = self._tried(Group(group.rows[:2]))
        if group.kept is None and self.goes_on:
            with torch.no_grad():
                group.kept = self._before(group.rows)
        return group

    def losses(self, group: Group, *, changed: bool) -> torch.Tensor:
        """Losses of all answer tokens of a group that was read, one row after another; with gradients where wanted."""
        if group.kept is not None:
            return self._going_on(group, changed)
        import torch

        batch = padded(group.rows, self.pad, self.device)
        taught = batch["labels"] != UNSUPERVISED
        # The token before the first answer token tells it, and so on: the last one tells nothing.
        where = torch.zeros_like(taught, dtype=torch.float32)
        where[:, :-1] = taught[:, 1:].float()
        with self.adapter.added(where) if changed else nullcontext():
            losses, _ = self.task.losses(self.task.outputs(self.model, batch), batch)
        taught[:, 0] = False
        return losses[taught]

    def _before(self, rows: Sequence[Row]) -> Any:
        """Keys and values of everything before the last token that stands before the answers; None for none."""
        import torch

        prompts = [before_answer(row) for row in rows]
        if not max(map(len, prompts)):
            return None
        cache, shared = None, alike(prompts) if len(prompts) > 1 else 0
        if shared:
            ids, _ = self._filled([prompts[0][:shared]], left=True)
            cache = self.model(input_ids=ids, use_cache=True, **self.last_only).past_key_values
            cache.batch_repeat_interleave(len(prompts))
        ids, mask = self._filled([prompt[shared:] for prompt in prompts], left=True)
        places = shared + (mask.cumsum(1) - 1).clamp(min=0)
        mask = torch.cat([mask.new_ones(len(prompts), shared), mask], 1)
        if ids.shape[1]:
            cache = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=places,
                past_key_values=cache,
                use_cache=True,
                **self.last_only,
            ).past_key_values
        return cache, mask, mask.sum(1)

    def _going_on(self, group: Group, changed: bool) -> torch.Tensor:
        import torch

        cache, before, sizes = group.kept
        ids, mask = self._filled([row.ids[max(0, row.border - 1) :] for row in group.rows], left=False)
        fed, places = mask[:, 1:], torch.arange(ids.shape[1] - 1, device=self.device)
        again = copy.copy(cache)  # what goes on appends to it, and would to the one that is kept
        again.layers = [copy.copy(layer) for layer in cache.layers]
        with self._skipping(group), self.adapter.added() if changed else nullcontext():
            logits = self.model(
                input_ids=ids[:, :-1],
                attention_mask=torch.cat([before, fed], 1),
                position_ids=sizes[:, None] + places[None],
                past_key_values=again,
                use_cache=True,
            ).logits
        return _cross_entropy(logits[fed.bool()], ids[:, 1:][fed.bool()])

    @contextmanager
    def _skipping(self, group: Group) -> Iterator[None]:
        """Inside, the layers below the change give at once what they gave for this group before, or are noted."""
        below = self.adapter.below if self.skips else []
        if not below:
            yield
        elif group.below is None:
            noting = below[-1].register_forward_hook(lambda module, given, output: setattr(group, "below", output))
            try:
                yield
            finally:
                noting.remove()
        else:
            for layer in below:
                layer.forward = lambda *given, **named: group.below
            try:
                yield
            finally:
                for layer in below:
                    del layer.forward  # the one of its class again

    def _filled(self, parts: Sequence[np.ndarray], *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        width = max(map(len, parts))
        ids = torch.full((len(parts), width), self.pad, dtype=torch.long)
        mask = torch.zeros((len(parts), width), dtype=torch.long)
        for at, part in enumerate(parts):
            here = slice(width - len(part), width) if left else slice(0, len(part))
            ids[at, here] = torch.from_numpy(part.astype(np.int64))
            mask[at, here] = 1
        return ids.to(self.device), mask.to(self.device)

    def _tried(self, group: Group) -> bool:
        """Whether going on from kept keys gives what reading everything gives."""
        import torch

        try:
            with torch.no_grad():
                whole = self.losses(group, changed=False)
                group.kept = self._before(group.rows)
                if group.kept is None:
                    return True
                goes_on = float((whole - self._going_on(group, False)).abs().mean()) <= SAME
                self.skips = self.skips and self._can_skip(group, whole)
                return goes_on
        except CANNOT:
            return False

    def _can_skip(self, group: Group, whole: torch.Tensor) -> bool:
        """Whether leaving out layers, whose output was noted, gives the same."""
        try:
            return group.below is not None and float((whole - self._going_on(group, False)).abs().mean()) <= SAME
        except CANNOT:
            return False


def before_answer(row: Row) -> np.ndarray:
    """The tokens that are the same for all answers; the last one before the answer already tells its first token."""
    return row.ids[: max(0, row.border - 1)]


def alike(prompts: Sequence[np.ndarray]) -> int:
    """How many tokens all of them begin with."""
    shortest = min(map(len, prompts))
    first = prompts[0][:shortest]
    same = np.logical_and.reduce([prompt[:shortest] == first for prompt in prompts])
    return int(shortest if same.all() else same.argmin())


def grouped(rows: Sequence[Row], most: int = ROWS) -> Iterator[Group]:
    """Rows in groups that one pass can hold, the longest first."""
    longest_first = sorted(rows, key=lambda row: len(row.ids), reverse=True)
    return _gathered(longest_first, lambda group, row: _fits([*group, row], most))


def beside_alike(rows: Sequence[Row]) -> Iterator[Group]:
    """Rows in groups that one pass can hold, those with prompts that begin alike together.

    A row joins a group where that makes less to compute than a group of its own.
    """

    def joins(group: list[Row], row: Row) -> bool:
        more = [*group, row]
        return _fits(more) and _computed(more) <= _computed(group) + _computed([row]) + BEGIN

    return _gathered(sorted(rows, key=lambda row: row.ids.astype(">i4").tobytes()), joins)


def _gathered(rows: Sequence[Row], joins: Callable[[list[Row], Row], bool]) -> Iterator[Group]:
    """Neighbours in one group for as long as the next one joins."""
    group: list[Row] = []
    for row in rows:
        if group and not joins(group, row):
            yield Group(group)
            group = []
        group.append(row)
    if group:
        yield Group(group)


def _fits(rows: Sequence[Row], most: int = ROWS) -> bool:
    answers = len(rows) * max(len(row.answer) for row in rows)
    return len(rows) <= most and answers <= ANSWERS and len(rows) * max(len(row.ids) for row in rows) <= TOKENS


def _computed(rows: Sequence[Row]) -> int:
    """Tokens that are computed for a group, padding too; those of answers twice."""
    prompts = [before_answer(row) for row in rows]
    shared = alike(prompts)
    return shared + len(rows) * (max(map(len, prompts)) - shared + 2 * max(len(row.answer) for row in rows))


def _cross_entropy(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Losses in fp32, [token]."""
    import torch
    from torch.nn.functional import cross_entropy

    parts = zip(logits.split(AT_ONCE), wanted.split(AT_ONCE), strict=True)
    return torch.cat([cross_entropy(some.float(), those, reduction="none") for some, those in parts])
