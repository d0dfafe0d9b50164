"""Losses of answers under a model with and without a change that counts from the last token before the answer on.

A row is read once, prompt and answer in one pass. The keys and values of what stands before the answer are kept, as
they are the same with the change and with another answer, and what the layers below the change make of the answer is
noted; the few tokens of answers are computed again by the layers from the lowest changed one on, with the change and
without, in the same way: bf16 rounds otherwise where the same is computed in another, by more than many a difference.
Where the prompts of a group begin alike, as those of one conversation do, that beginning is read once for all. A model
that cannot go on from kept keys and values reads everything each time.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.methods._shad_adapter import LowRank
from peft_lab.methods._shad_groups import Group, alike, before_answer, worth_sharing
from peft_lab.methods._shad_rows import Row, padded
from pluggy_specs import Task
from pluggy_specs.pieces import UNSUPERVISED

if TYPE_CHECKING:
    import torch

SAME = 0.1
"""Mean difference of losses up to which going on from kept keys gives what reading everything gives. bf16 rounds: each
way is 0.02 to 0.04 from fp32, and as far from the other."""
CANNOT = (RuntimeError, TypeError, ValueError, KeyError, IndexError, AttributeError)
"""What models raise that do not take what is tried."""
WAYS = ((True, True), (False, True), (False, False))
"""Ways of reading, the fastest first: whether answers are read with prompts, whether layers below the change are left
out when answers are computed again."""
NEAR, AT_ONCE = 16, 256
"""Tokens whose logits are held in fp32 at a time: on a processor as many as stay in its cache, twice as fast."""


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
        self.rounding = 0.0
        """By how much the number format of logits rounds 1: smaller differences of losses are chance, whatever they are
        of. Known when something was read."""
        self.at_once = self.skips = bool(adapter.below)
        """Whether answers can be read with what stands before them and be forgotten again; whether layers below the
        change can be left out once it is known what they give."""

    def read(self, group: Group) -> Group:
        """Read rows, unless what stands before their answers is kept or the model cannot go on from it."""
        import torch

        if self.goes_on is None:
            self.goes_on = self._tried(list(group.rows[:2]))
        if group.kept is None and self.goes_on:
            with torch.no_grad():
                self._read(group)
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

    def _read(self, group: Group) -> None:
        """Keep what is known of a group after one pass: with answers in it where they can be forgotten again."""
        if not self.at_once:
            group.kept = self._before(group.rows)
            return
        try:
            self._whole(group)
        except CANNOT:  # a cache that gives nothing back, some only when texts are longer than a window
            self.at_once = False
            group.below = None
            group.kept = self._before(group.rows)

    def _whole(self, group: Group) -> None:
        """Read prompts and answers in one pass."""
        prompts = [before_answer(row) for row in group.rows]
        ids, fed = self._answers(group.rows)
        many = fed.shape[1]
        with self._noting(group, many):
            cache, mask = self._fed(prompts, ids[:, :-1], fed)
        before = mask[:, : mask.shape[1] - many]
        if before.shape[1] and before.any():
            cache.crop(-many)
            group.kept = cache, before, before.sum(1)
        else:
            group.below = None  # nothing stands before any of these answers: there is nothing to go on from

    def _before(self, rows: Sequence[Row]) -> Any:
        """Keys and values of everything before the last token that stands before the answers; None for none."""
        prompts = [before_answer(row) for row in rows]
        if not max(map(len, prompts)):
            return None
        cache, mask = self._fed(prompts)
        return cache, mask, mask.sum(1)

    def _fed(
        self, prompts: Sequence[np.ndarray], answers: torch.Tensor | None = None, fed: torch.Tensor | None = None
    ) -> tuple[Any, torch.Tensor]:
        """Feed prompts, and answers behind them: the cache, and 1 for what is text in it."""
        import torch

        cache, shared = None, alike(prompts)
        shared = shared if worth_sharing(shared, len(prompts)) else 0
        if shared:
            ids, _ = self._filled([prompts[0][:shared]], left=True)
            cache = self.model(input_ids=ids, use_cache=True, **self.last_only).past_key_values
            cache.batch_repeat_interleave(len(prompts))
        ids, mask = self._filled([prompt[shared:] for prompt in prompts], left=True)
        if answers is not None and fed is not None:
            ids, mask = torch.cat([ids, answers], 1), torch.cat([mask, fed], 1)
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
        return cache, mask

    def _answers(self, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor]:
        """Answers with the token before each, [row, token], and 1 for every token that tells the next one."""
        ids, mask = self._filled([row.ids[max(0, row.border - 1) :] for row in rows], left=False)
        return ids, mask[:, 1:]

    def _going_on(self, group: Group, changed: bool) -> torch.Tensor:
        import torch

        cache, before, sizes = group.kept
        ids, fed = self._answers(group.rows)
        places = torch.arange(fed.shape[1], device=self.device)
        again = copy.copy(cache)  # what goes on appends to it, and would to the one that is kept
        again.layers = [copy.copy(layer) for layer in cache.layers]
        skipping, changing = self._skipping(group), self.adapter.added() if changed else nullcontext()
        with skipping, changing, self._logits_at(fed) as seen:
            logits = self.model(
                input_ids=ids[:, :-1],
                attention_mask=torch.cat([before, fed], 1),
                position_ids=sizes[:, None] + places[None],
                past_key_values=again,
                use_cache=True,
            ).logits
        return _cross_entropy(logits[0] if seen else logits[fed.bool()], ids[:, 1:][fed.bool()])

    @contextmanager
    def _logits_at(self, fed: torch.Tensor) -> Iterator[list[Any]]:
        """Inside, the output table sees the places that are 1 only, as one text; yields whether it did."""
        seen: list[Any] = []

        def pick(module: torch.nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if given[0].shape[:-1] != fed.shape:
                return None
            seen.append(module)
            return (given[0][fed.bool()][None], *given[1:])

        table = self._output_table()
        with _removed(None if table is None else table.register_forward_pre_hook(pick)):
            yield seen

    @contextmanager
    def _noting(self, group: Group, last: int) -> Iterator[None]:
        """Inside, what the layers below the change give for the last places of a group is noted."""

        def note(module: torch.nn.Module, given: tuple[Any, ...], output: Any) -> None:
            states, rest = (output[0], output[1:]) if isinstance(output, tuple) else (output, None)
            states = states[:, -last:].clone()  # the rest is forgotten
            group.below = states if rest is None else (states, *rest)

        below = self.adapter.below if self.skips else []
        with _removed(below[-1].register_forward_hook(note) if below else None):
            yield

    @contextmanager
    def _skipping(self, group: Group) -> Iterator[None]:
        """Inside, the layers below the change give at once what they gave for this group before, or are noted."""
        below = self.adapter.below if self.skips else []
        if not below or group.below is None:
            with self._noting(group, max(group.sizes)):
                yield
            return
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

    def _tried(self, rows: Sequence[Row]) -> bool:
        """Whether going on from kept keys gives what reading everything gives; which ways of reading do is noted."""
        import torch

        with torch.no_grad():
            try:
                with self._format_noted():
                    whole = self.losses(Group(rows), changed=False)
            except CANNOT:
                return False
            for way in WAYS if self.adapter.below else WAYS[-1:]:
                self.at_once, self.skips = way
                if self._same(rows, whole):
                    return True
        return False

    @contextmanager
    def _format_noted(self) -> Iterator[None]:
        """Inside, it is noted how logits are rounded."""
        import torch

        def note(module: torch.nn.Module, given: tuple[Any, ...], logits: torch.Tensor) -> None:
            self.rounding = torch.finfo(logits.dtype).eps / 2

        table = self._output_table()
        with _removed(None if table is None else table.register_forward_hook(note)):
            yield

    def _output_table(self) -> Any:
        """What makes logits; None where a model does not tell."""
        return getattr(self.model, "get_output_embeddings", lambda: None)()

    def _same(self, rows: Sequence[Row], whole: torch.Tensor) -> bool:
        """Whether rows have these losses, the first time and when what was noted of them is used."""
        group, at_once = Group(rows), self.at_once
        try:
            self._read(group)
            if self.at_once != at_once:
                return False
            told = [self.losses(group, changed=False) for _ in range(2)]
            return all(float((whole - one).abs().mean()) <= SAME for one in told)
        except CANNOT:
            return False


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    """The hook of a handle is gone afterwards."""
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def _cross_entropy(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Losses in fp32, [token]."""
    import torch
    from torch.nn.functional import cross_entropy

    many = NEAR if logits.is_cpu else AT_ONCE
    parts = zip(logits.split(many), wanted.split(many), strict=True)
    return torch.cat([cross_entropy(some.float(), those, reduction="none") for some, those in parts])
