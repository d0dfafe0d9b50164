"""One run in several processes, as ``accelerate launch`` or ``torchrun`` begins them.

Every process holds the whole model and takes its share of the rows of every batch. Gradients of sums of weighted token
losses are added up over all processes and divided by the sum of all weights: the numbers are those of one process with
the same batches, up to the rounding of sums. As the same gradients reach the same optimizers, the processes stay alike.
Only the main one evaluates and writes; it decides when to stop, and the others hear of it. A process that fails tells
the others in their next exchange, so that none waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from peft_lab.errors import NothingLearned, RunProblem
from peft_lab.training.proof import digest
from pluggy_specs.errors import in_one_line

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
PATIENCE = timedelta(days=1)
"""How long processes wait for the main one, which evaluates alone. One that ends is noticed by the launcher."""
BUCKET = 8_000_000
"""Entries of gradients that are added up at once."""
KNOWN = "peft_lab_known"
LAUNCHED = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class OtherFailed(RunProblem):
    """Another process of the same run failed, and this one ends with it."""


def processes() -> int:
    """How many processes were launched together; 1 for one alone."""
    return _number("WORLD_SIZE", 1) if {"RANK", "LOCAL_RANK"} <= os.environ.keys() else 1


def place() -> int:
    """Which of them this is; 0 is the main one."""
    return _number("RANK", 0) if processes() > 1 else 0


def _number(name: str, otherwise: int) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else otherwise


@dataclass(frozen=True)
class Together:
    """The processes of a run, seen from one of them. Where there is one alone, nothing is exchanged."""

    size: int
    rank: int
    device: torch.device

    @classmethod
    def of(cls, accelerator: Any) -> Together:
        """The processes that an accelerator was opened for."""
        return cls(accelerator.num_processes, accelerator.process_index, accelerator.device)

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return self.size > 1

    @property
    def main(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, chosen: np.ndarray) -> np.ndarray:
        """This process's rows of a batch; may be none of a short one."""
        return chosen[self.rank :: self.size] if self.several else chosen

    # --- what is decided together -------------------------------------------------------------------------------------

    def as_main_says(self, value: float) -> float:
        """The main process's number, in all of them."""
        if not self.several:
            return value
        import torch
        import torch.distributed as dist

        # Seconds as single floats would differ from those that main has.
        told = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return float(told)

    def by_main(self, does: Callable[[], T]) -> T | None:
        """Let the main process do something that the others wait for; returns its result there, None elsewhere.

        Raises:
            OtherFailed: in the others, what it raises in the main process.
        """
        if not self.several:
            return does()
        result: T | None = None
        failed: BaseException | None = None
        if self.main:
            try:
                result = does()
            except Exception as error:
                failed = error
        if self.as_main_says(float(failed is not None)):
            raise failed if failed is not None else OtherFailed("the main process failed")
        return result

    def must_be_alike(self, parameters: Sequence[torch.nn.Parameter], what: str) -> None:
        """Refuse to go on where processes have come apart.

        Raises:
            RunProblem: what they hold is not the same, bit for bit.
        """
        if self.several and len(set(self.all_of(b"".join(map(digest, parameters))))) > 1:
            raise known(
                RunProblem(
                    f"{what} differs between the {self.size} processes",
                    "Give them the same kind of device and the same versions, or train in one process",
                )
            )

    def total(self, count: int) -> int:
        """A count, added up over all processes."""
        if not self.several:
            return count
        import torch
        import torch.distributed as dist

        found = torch.tensor([count], dtype=torch.int64, device=self.device)
        dist.all_reduce(found)
        return int(found)

    def all_of(self, value: Any) -> list[Any]:
        """A value of every process, in all of them."""
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def sent(self, file: Path | None) -> bytes | None:
        """The content of a file of the main process, where there is one, in all of them."""
        import torch.distributed as dist

        content = [file.read_bytes() if self.main and file is not None and file.exists() else None]
        dist.broadcast_object_list(content, 0, device=self.device if self.device.type == "cuda" else None)
        return content[0]

    # --- a step -------------------------------------------------------------------------------------------------------

    def own_chance(self, seed: int, step: int) -> None:
        """Let this process draw its own dropout: seeded by step, so that a run that goes on draws the same again.

        The main process draws as one alone does, from where its checkpoint says.
        """
        if not self.main:
            import torch

            words = np.random.SeedSequence([seed, self.rank, step]).generate_state(2)
            torch.manual_seed(int(words[0]) << 32 | int(words[1]))

    def counted(
        self,
        losses: torch.Tensor,
        weights: torch.Tensor,
        parameters: Sequence[torch.nn.Parameter],
        *,
        penalised: bool,
        error: Exception | None,
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.nn.Parameter]]:
        """Sums of losses and weights over all processes, and the parameters with a gradient in any of them.

        Args:
            penalised: a penalty, still to come, gives any of them a gradient.
            error: of this process; it is raised once the others know.

        Raises:
            OtherFailed: another process failed.
        """
        import torch
        import torch.distributed as dist

        has = [penalised or parameter.grad is not None for parameter in parameters]
        own = torch.tensor([0.0, 0.0, error is not None, *has], dtype=torch.float64, device=self.device)
        if error is None:
            own[0], own[1] = losses, weights
        dist.all_reduce(own)
        if own[2]:
            told = self.all_of(None if error is None else in_one_line(error))
            if error is not None:
                raise known(error)
            first = next(number for number, text in enumerate(told) if text is not None)
            raise OtherFailed(f"process {first} of {self.size} failed: {told[first]}".rstrip("."))
        some = [p for p, count in zip(parameters, own[3:].tolist(), strict=True) if count]
        return own[0].to(losses.dtype), own[1].to(losses.dtype), some

    def add_up(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Add the gradients of all processes up, in each of them."""
        import torch
        import torch.distributed as dist

        bucket: list[torch.Tensor] = []

        def reduce() -> None:
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            dist.all_reduce(flat)
            for gradient, part in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
                gradient.copy_(part.view_as(gradient))
            bucket.clear()

        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradient = parameter.grad
            if bucket and (bucket[0].dtype != gradient.dtype or sum(g.numel() for g in bucket) > BUCKET):
                reduce()
            bucket.append(gradient)
        if bucket:
            reduce()

    def leave(self) -> None:
        """End the exchange: what is still to be done, the main process does alone."""
        if not self.several:
            return
        import torch.distributed as dist

        dist.barrier()
        dist.destroy_process_group()
        leave_launch()


def leave_launch() -> None:
    """Let an accelerator that is opened from now on be one of a single process."""
    for name in LAUNCHED:
        os.environ.pop(name, None)


def known(error: Exception) -> Exception:
    """An error that the main process knows of."""
    with suppress(AttributeError):
        vars(error)[KNOWN] = True
    return error


def told_by_main(error: BaseException) -> bool:
    """Whether an error of this process is one that the main process tells people of, so that they read it once."""
    return place() > 0 and (isinstance(error, OtherFailed | NothingLearned) or getattr(error, KNOWN, False))
