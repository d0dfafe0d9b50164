"""Runs told to experiment trackers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from peft_lab.bench import Bench
from peft_lab.errors import BadOption
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.present.table import Table

OFF = "off"


class Tracking(Bench):
    """Operations on trackers."""

    @operation("track", "track mlflow", "track mlflow --to ./mlruns --artifacts", "track trackio", "track off")
    def track(
        self,
        tracker: Annotated[str | None, About("mlflow, trackio, or off; none: what is on", word=True)] = None,
        to: Annotated[str | None, About("a folder, or the address of a server of MLflow", completes="files")] = None,
        experiment: Annotated[str | None, About("the experiment or project; peft_lab when not given")] = None,
        artifacts: Annotated[bool, About("also write the card of each run as a page")] = False,
    ) -> Table:
        """Tell an experiment tracker of all runs from now on, in this session and what is begun from it."""
        from peft_lab.trackers import choice, relays

        if tracker in (None, OFF) and (to is not None or experiment is not None or artifacts):
            raise BadOption(
                "no tracker is named for these flags", "Such as %peft track mlflow --to ./mlruns", "tracker"
            )
        if tracker == OFF:
            choice.leave()
            relays.off()
        elif tracker is not None:
            asked = choice.made(tracker, to, experiment, artifacts=artifacts)
            choice.choose(asked)
            relays.warm(asked)
        return relays.table(off=tracker == OFF)
