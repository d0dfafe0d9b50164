"""A run that a panel follows: in a process of its own, or in a thread of this kernel. Both look the same from here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ipywidgets import HTML

from peft_lab.errors import BadOption, RunProblem
from peft_lab.notebook.live import InNotebook
from peft_lab.notebook.panels.saying import in_one_line
from peft_lab.notebook.watching import Elsewhere
from peft_lab.run import Run
from peft_lab.texts import panels as texts
from peft_lab.training.progress import Progress


class There:
    """A run in another process. Everything is read from its files."""

    def __init__(self, run: Run) -> None:
        self.run: Run | None = run
        self.progress = Elsewhere(run)
        self.said = ""

    @property
    def active(self) -> bool:
        """Whether it goes on."""
        assert self.run is not None
        return self.run.active

    def look(self) -> None:
        """Read what is new."""
        self.progress.look()

    def stop(self) -> None:
        """Ask for a stop at the next step."""
        assert self.run is not None
        with suppress(RunProblem):  # it has ended meanwhile
            self.run.stop()


class Here:
    """A run in a thread of this kernel, for what another process cannot see."""

    def __init__(self, train: Callable[[Progress], Run]) -> None:
        self.progress = Progress()
        self.said = ""
        """What went wrong before there was a run; its own record tells the rest."""
        self._found: Run | None = None
        self._thread = threading.Thread(target=self._train, args=(train,), name="peft_lab training", daemon=True)
        self._thread.start()

    def _train(self, train: Callable[[Progress], Run]) -> None:
        try:
            train(self.progress)
        except BaseException as error:
            self.said = in_one_line(error)

    @property
    def run(self) -> Run | None:
        """The run, as soon as it has a folder."""
        if self._found is None and "path" in self.progress.state:
            with suppress(RunProblem):
                self._found = Run(self.progress.state["path"])
        return self._found

    @property
    def active(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def look(self) -> None:
        """Nothing has to be read: the thread tells."""

    def stop(self) -> None:
        """Ask for a stop at the next step."""
        self.progress.stop()


Followed = There | Here


class InPanel(InNotebook):
    """The live view as the value of a widget, at the same pace as in a cell that waits."""

    def __init__(self, region: HTML) -> None:
        super().__init__(lambda run: None)
        self.how_to_stop = texts.HOW_TO_STOP
        self.region = region

    def paused(self, progress: Progress) -> None:
        """Show where a run was left."""
        left = Progress()
        left.update(**progress.state | {"phase": texts.PAUSED_PHASE})
        left.points = progress.points
        self.how_to_stop = texts.KEPT
        self._send(left, 0)

    def _show(self, bundle: dict[str, Any]) -> None:
        self.handle = self.region
        self.region.value = bundle["text/html"]


def why_here(error: BadOption) -> str:
    """The first half of the sentence about something that another process cannot see."""
    said = error.message.partition(", and ")[0]
    return said[:1].upper() + said[1:]
