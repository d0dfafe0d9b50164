"""How far something is that leaves no run: one line, written over, gone when it is done. An interrupt ends it at once,
as nothing is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peft_lab.notebook.live import LINE_EVERY, TEXT_SHARE, Pace
from peft_lab.present.style import plain
from peft_lab.training.progress import Progress


class Told(Progress):
    """Shows each phase as it comes, where it is time to."""

    def __init__(self) -> None:
        super().__init__()
        self.pace = Pace(LINE_EVERY, TEXT_SHARE)
        self.pace.begin()  # what is done in a moment needs no line

    def update(self, **facts: Any) -> None:
        """Replace facts about now, and show them."""
        super().update(**facts)
        if self.pace.due():
            with self.pace:
                self.say(plain(self.state["phase"]))

    def say(self, text: str) -> None:
        """Write the line."""
        raise NotImplementedError

    def close(self) -> None:
        """Take the line away."""
        raise NotImplementedError


class InNotebook(Told):
    """An output that is updated in place."""

    handle: Any = None

    def say(self, text: str) -> None:
        """Show text, never HTML."""
        from IPython.display import display

        if self.handle is None:
            self.handle = display({"text/plain": text}, raw=True, display_id=True)
        else:
            self.handle.update({"text/plain": text}, raw=True)

    def close(self) -> None:
        """An output cannot be taken away; it is left empty."""
        if self.handle is not None:
            self.handle.update({"text/plain": ""}, raw=True)


class InTerminal(Told):
    """A line on stderr."""

    written = 0

    def say(self, text: str) -> None:
        """Write over what was there."""
        sys.stderr.write(f"\r{text:<{self.written}}")
        sys.stderr.flush()
        self.written = max(self.written, len(text))

    def close(self) -> None:
        """Clear the line."""
        if self.written:
            sys.stderr.write(f"\r{'':<{self.written}}\r")
            sys.stderr.flush()


@contextmanager
def telling(shell: Any, live: bool) -> Iterator[Progress]:
    """A progress that is shown where it fits: in the output of a cell, in a terminal, or nowhere."""
    if live and getattr(shell, "kernel", None) is not None:
        told: Told = InNotebook()
    elif live and sys.stderr.isatty():
        told = InTerminal()
    else:
        yield Progress()
        return
    try:
        yield told
    finally:
        told.close()
