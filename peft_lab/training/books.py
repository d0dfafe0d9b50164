"""What the loop has written down as it goes: metric points, the best state, checkpoints, and how to go on from one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import RunProblem
from peft_lab.run import WEIGHTS
from peft_lab.training import checkpoint
from peft_lab.training.checkpoint import CHECKPOINT, Moment, Position
from peft_lab.training.journal import Journal
from peft_lab.training.progress import Progress
from peft_lab.training.weights import kept_tensors, read_header, write_tensors

if TYPE_CHECKING:
    import torch

    from peft_lab.training.build import Built

NOT_SCORES = ("step", "epoch", "split", "seconds")


@dataclass
class Books:
    """One run's books."""

    built: Built
    journal: Journal
    progress: Progress
    generator: torch.Generator
    """Of the order of batches."""

    def log(self, **point: Any) -> None:
        """Write a metric point; it is on disk when this returns."""
        self.journal.point(**point)
        self.progress.points.append(point)
        if point["split"] == "validation":
            self.progress.update(metrics={k: v for k, v in point.items() if k not in NOT_SCORES})

    def keep_best(self, at: Position, epoch: float) -> None:
        """Write the state as the best so far."""
        write_tensors(kept_tensors(self.built), self.journal.path / WEIGHTS, {"step": str(at.steps)})
        self.journal.update(best={"step": at.steps, "epoch": epoch})
        self._say_where(at)

    def foretell(self, seconds: float) -> None:
        """Keep how long training will take in all, unless a plan has said so."""
        forecast = self.journal.record.get("forecast")
        if forecast and forecast["seconds"] is None:
            self.journal.update(forecast={**forecast, "seconds": seconds})

    def keep_place(self, optimizer: torch.optim.Optimizer, at: Position, moment: Moment) -> None:
        """Write a checkpoint; where there is no room for one, training goes on without."""
        try:
            checkpoint.write(self.journal.path / CHECKPOINT, self.built, optimizer, at, moment)
        except OSError as error:
            self.journal.note(f"A checkpoint could not be written, an earlier one is kept: {error}")
        self._say_where(at)

    def go_on(self, optimizer: torch.optim.Optimizer) -> tuple[Position, Moment | None]:
        """Put the last checkpoint back; the beginning, where there is none."""
        file = self.journal.path / CHECKPOINT
        if not file.exists():
            at, moment = Position(), None
        else:
            at = checkpoint.read_position(file)
            moment = checkpoint.read(file, self.built, optimizer, self.generator)
        self.progress.points[:] = self.journal.keep_points(at.points)
        at.points = len(self.progress.points)
        self._put_best_right(at)
        self._say_where(at)
        return at, moment

    def _put_best_right(self, at: Position) -> None:
        """Make the kept best state the one that the checkpoint knows of, or forget it: it will be met again."""
        file = self.journal.path / WEIGHTS
        if at.best_step is not None and at.best_step == at.steps and not at.unmeasured:
            write_tensors(kept_tensors(self.built), file, {"step": str(at.steps)})
        elif at.best_step is None or not self._is_of(file, at.best_step):
            at.best_step = at.best_scores = None
            self.journal.record.pop("best", None)
            file.unlink(missing_ok=True)

    def _is_of(self, file: Path, step: int) -> bool:
        """Whether a file holds the state of a step."""
        if not file.exists():
            return False
        try:
            return read_header(file).get("step") == str(step)
        except RunProblem as error:
            self.journal.note(f"The best state so far is lost, training goes on from the last one: {error.message}")
            return False

    def _say_where(self, at: Position) -> None:
        self.journal.update(steps={**self.journal.record.get("steps", {}), "done": at.steps})
