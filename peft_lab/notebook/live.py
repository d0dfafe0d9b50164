"""How a training looks while it goes on: in a notebook, in a terminal, and where nothing may move."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peft_lab.notebook.watching import Screen
    from peft_lab.run import Run
    from peft_lab.training.progress import Progress

TEXT_EVERY, PICTURE_EVERY, LINE_EVERY = 0.25, 1.0, 1.0
TEXT_SHARE, PICTURE_SHARE = 0.003, 0.006
"""Of the time, what drawing may take from training: less than one hundredth in all."""


def screen_for(shell: Any, live: bool, remember: Callable[[Run], None]) -> Screen:
    """The screen that fits: ``remember`` is told which run's card is on it."""
    if not live:
        return Still()
    return InNotebook(remember) if getattr(shell, "kernel", None) is not None else InTerminal()


class InNotebook:
    """One output, updated in place, that ends as the card of the run."""

    def __init__(self, remember: Callable[[Run], None]) -> None:
        self.remember = remember
        self.handle: Any = None
        self.text, self.picture = Pace(TEXT_EVERY, TEXT_SHARE), Pace(PICTURE_EVERY, PICTURE_SHARE)
        self.drawn: tuple[int, bytes] = (0, b"")
        self.seen: Any = None
        self.sent: Any = None

    def paint(self, progress: Progress, interrupts: int) -> None:
        """Show the latest state, unless it was shown or it is too early."""
        seen = (progress.state, interrupts)
        if self.handle is None:
            self._send(progress, interrupts)
            self._warm_up()
        elif self.text.due() and (seen[0] is not self.seen[0] or seen[1] != self.seen[1]):
            self._send(progress, interrupts)
        self.seen = seen

    def _send(self, progress: Progress, interrupts: int) -> None:
        from peft_lab.present.live import live_html, live_text

        state = with_interrupts(progress.state, interrupts)
        state["curve_png"] = self._curve(progress)
        with self.text:
            bundle = {"text/html": live_html(state), "text/plain": live_text(state)}
            if bundle != self.sent:
                self._show(bundle)
                self.sent = bundle

    def _curve(self, progress: Progress) -> bytes:
        count = len(progress.points)
        if count and not self.drawn[0]:
            self.drawn = 1, b""  # a first picture of two points would stand there until the next one may be drawn
            self.picture.begin()
        if count != self.drawn[0] and self.picture.due():
            from peft_lab.present.curve import curve_png

            with self.picture:
                self.drawn = count, curve_png(progress.points[:count], progress.state.get("headline", "accuracy"))
        return self.drawn[1]

    def _warm_up(self) -> None:
        # The first drawing loads fonts for half a second: better now, while the model is loaded, than between steps.
        from peft_lab.present.curve import curve_png

        curve_png([])

    def close(self, run: Run | None, returned: bool) -> None:
        """Replace the live view by the card; where there is no run, by nothing."""
        if run is None:
            if self.handle is not None:
                self._show({"text/plain": ""})
            return
        try:
            self._show(run._repr_mimebundle_())
        except Exception:
            self._show({"text/plain": repr(run)})
            raise
        finally:
            self.remember(run)

    def _show(self, bundle: dict[str, str]) -> None:
        from IPython.display import display

        if self.handle is None:
            self.handle = display(bundle, raw=True, display_id=True)
        else:
            self.handle.update(bundle, raw=True)


class InTerminal:
    """A line that is written over, or a line for each evaluation where lines cannot be."""

    def __init__(self) -> None:
        self.pace = Pace(LINE_EVERY, TEXT_SHARE)
        self.shown: Any = None
        self.over = sys.stderr.isatty()

    def paint(self, progress: Progress, interrupts: int) -> None:
        """Write the latest state as one line."""
        from peft_lab.present.live import live_text

        state = with_interrupts(progress.state, interrupts)
        key = (progress.state, interrupts) if self.over else (state.get("metrics"), interrupts)
        if not self.pace.due() or key == self.shown or (not self.over and not state.get("metrics")):
            return
        with self.pace:
            text = live_text(state)
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r{text[:width]:<{width}}" if self.over else f"{text}\n")
            sys.stderr.flush()
        self.shown = key

    def close(self, run: Run | None, returned: bool) -> None:
        """Clear the line; the card is what the cell returns, or shown here when it returns nothing."""
        if self.over:
            sys.stderr.write("\r\x1b[K")
        Still().close(run, returned)


class Still:
    """Nothing until the end."""

    def paint(self, progress: Progress, interrupts: int) -> None:
        """Nothing."""

    def close(self, run: Run | None, returned: bool) -> None:
        """The card, where the cell does not return it."""
        if run is not None and not returned:
            from IPython.display import display

            display(run)


class Pace:
    """Says when it is time again: not before ``least`` seconds, nor more often than the work's cost allows."""

    def __init__(self, least: float, share: float) -> None:
        self.least, self.share = least, share
        self.next = 0.0

    def begin(self) -> None:
        """Let ``least`` seconds pass from now."""
        self.next = time.monotonic() + self.least

    def due(self) -> bool:
        """Whether it is time."""
        return time.monotonic() >= self.next

    def __enter__(self) -> None:
        self.began, self.cost = time.monotonic(), time.thread_time()

    def __exit__(self, *error: Any) -> None:
        # What this thread computed is what it took from training; waiting for its turn took nothing.
        cost = time.thread_time() - self.cost
        self.next = max(self.began + self.least, time.monotonic() + cost / self.share)


def with_interrupts(state: dict[str, Any], interrupts: int) -> dict[str, Any]:
    """The state, with what became of an interrupt as its phase."""
    if not interrupts:
        return dict(state)
    said = (
        "stopping after this step" if interrupts == 1 else "still saving what was trained, nothing is lost: please wait"
    )
    return {**state, "phase": said}
