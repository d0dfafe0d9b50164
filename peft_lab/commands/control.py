"""Runs in progress: see them, stop them, wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from peft_lab import run as runs
from peft_lab.bench import Bench
from peft_lab.errors import RunProblem
from peft_lab.operations import About, operation
from peft_lab.run import Run

if TYPE_CHECKING:
    from peft_lab.present.table import Table

Active = Annotated[str | None, About("a run; the one that goes on when none is named", completes="runs", word=True)]


class Control(Bench):
    """Operations on runs that go on."""

    @operation("ps")
    def ps(self) -> Table:
        """List the runs that go on now, in this notebook or elsewhere."""
        from peft_lab.listings.results import active

        return active(self.folder)

    @operation("stop run-7", "stop")
    def stop(self, name: Active = None) -> Table:
        """Stop a run at its next step; it is kept, and can be resumed."""
        from peft_lab.listings.results import stopped

        run = self._going_on(name)
        run.stop()
        return stopped(run)

    @operation("wait run-7", "wait")
    def wait(self, name: Active = None) -> Run:
        """Wait until a run has ended, and show how it went. An interrupt ends the waiting, not the run."""
        run = self._going_on(name) if name is None else self.run(name)
        return self.follow(run) if self.follow and run.active else run.wait()

    def _going_on(self, name: str | None) -> Run:
        if name is not None:
            return self.run(name)
        going = [run for run in runs.readable_runs(self.folder) if run.active]
        if len(going) == 1:
            return going[0]
        if not going:
            from peft_lab.listings.results import studies_at_work

            studies = [f"Of a study: %peft study stop {name}" for name in studies_at_work(self.folder)]
            raise RunProblem("no run goes on now", (studies or ["See all runs: %peft runs"])[0])
        raise RunProblem(f"{len(going)} runs go on: {', '.join(run.id for run in going)}", "Name one of them")
