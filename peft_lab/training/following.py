"""What the other processes of a run do: train along, and leave everything else to the main one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from peft_lab.recipe import Recipe
from peft_lab.training.books import Books
from peft_lab.training.checkpoint import CHECKPOINT, Moment, Position
from peft_lab.training.journal import Journal, opening
from peft_lab.training.preparing import prepare
from peft_lab.training.progress import Progress
from peft_lab.training.together import Together

if TYPE_CHECKING:
    import torch

    from peft_lab.host import Host

GRACE = 5.0
"""Seconds that the main process has to write down why a run failed: the launcher ends all when one ends so."""


class Along(Books):
    """Books that are not kept: the main process has them."""

    def log(self, **point: Any) -> None:
        """Nothing."""

    def keep_best(self, at: Position, epoch: float) -> None:
        """Nothing."""

    def foretell(self, seconds: float) -> None:
        """Nothing."""

    def keep_place(self, optimizer: torch.optim.Optimizer, at: Position, moment: Moment) -> None:
        """Nothing."""


class Silent:
    """Observers hear of a run from the main process."""

    def inform(self, hook: str, **facts: Any) -> None:
        """Nothing."""


def follow(recipe: Recipe, host: Host, *, before: Mapping[str, Any] | None = None, anyway: bool = False) -> NoReturn:
    """Train along until the main process has what it needs; then end this process.

    Args:
        before: the record of a run that goes on.

    Raises:
        SystemExit: always, where nothing else is raised.
    """
    from peft_lab.training import loop

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides what becomes of the run
    with TemporaryDirectory(prefix="peft_lab-") as own:
        path = Path(own) / "run"
        path.mkdir()
        record = opening(path, recipe) | {k: v for k, v in (before or {}).items() if k in ("hardware", "memory")}
        journal = Journal(path, record, Silent())  # type: ignore[arg-type]
        with host.blaming():
            job = prepare(recipe, host, journal, Progress(), anyway=anyway).job
            content = Together.of(job.accelerator).sent(None)
            if content is not None:
                (path / CHECKPOINT).write_bytes(content)
            job.books = Along(job.books.built, journal, job.progress, job.generator)
            try:
                loop.fit(job)
            except Exception:
                time.sleep(GRACE)
                raise
    raise SystemExit(0)
