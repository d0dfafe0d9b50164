"""A workshop: many machines, little time, somebody who comes late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from peft_lab.bench import Bench, RunName
from peft_lab.operations import About, operation
from peft_lab.run import Run

if TYPE_CHECKING:
    from peft_lab.present.table import Table

Off = Annotated[bool, About("back to the settings as they were before")]
Replace = Annotated[bool, About("write over a snapshot that is there")]
ToFile = Annotated[
    str | None, About("a file to be made; named by run and step when left out", completes="files", word=True)
]


class Workshop(Bench):
    """Operations for those who teach, and for latecomers."""

    @operation("workshop", "workshop --off")
    def workshop(self, off: Off = False) -> Table:
        """Nothing from the network, a small model, one seed, a time budget: show these settings, and have them hold."""
        from peft_lab.commands._workshop import WORKSHOP, workshop
        from peft_lab.profiles import NONE

        wanted = NONE if off else WORKSHOP
        if self.skin is not None:
            self.skin.choose_profile(wanted)
        else:
            self.defaults = self.defaults.under(wanted)
        if not off:
            self.model = None  # what was chosen before gives way
        return workshop(self)

    @operation("snapshot run-3", "snapshot run-3 step-200.zip", "snapshot run-3 step-200.zip --replace")
    def snapshot(self, run: RunName, file: ToFile = None, replace: Replace = False) -> Table:
        """Put a run as it is now into one file, also while it trains, so that others can go on from it."""
        from peft_lab.keeping import tables
        from peft_lab.keeping.snapshots import take

        return tables.taken(take(self.run(run), file, replace=replace))

    @operation("restore step-200.zip")
    def restore(self, file: Annotated[str, About("a snapshot", completes="files")]) -> Run:
        """Make a snapshot a new run here: show it, ask it, go on from it."""
        from peft_lab.keeping.restoring import restore_snapshot

        self.last = restore_snapshot(Path(file), self.folder)
        return self.last
