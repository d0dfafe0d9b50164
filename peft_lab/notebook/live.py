"""How a training looks while it goes on: in a notebook, in a terminal, and where nothing may move."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from peft_lab.texts import cards

if TYPE_CHECKING:
    from peft_lab.notebook.panels.stop_button import StopButton
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
    return InNotebook(remember, shell) if getattr(shell, "kernel", None) is not None else InTerminal()


class InNotebook:
    """One output, updated in place, that ends as the card of the run."""

    how_to_stop = ""
    """Said in place of how an interrupt stops."""

    def __init__(self, remember: Callable[[Run], None], shell: Any = None) -> None:
        self.remember, self.shell = remember, shell
        self.stop: Callable[[], None] | None = None
        self.button: StopButton | None = None
        self.handle: Any = None
        self.text, self.picture = Pace(TEXT_EVERY, TEXT_SHARE), Pace(PICTURE_EVERY, PICTURE_SHARE)
        self.drawn: tuple[int, bytes] = (0, b"")
        self.seen: Any = None
        self.sent: Any = None

    def begin(self, stop: Callable[[], None] | None) -> None:
        """Remember what a Stop button would do."""
        self.stop = stop
        if stop is None:
            from peft_lab.texts import panels as texts

            self.how_to_stop = texts.INTERRUPT_LEAVES

    def paint(self, progress: Progress, interrupts: int) -> None:
        """Show the latest state, unless it was shown or it is too early."""
        if self.button is not None and not interrupts:
            self._offer(self.button)
        seen = (progress.state, interrupts, self.how_to_stop)
        if self.handle is None:
            self._send(progress, interrupts)
            self._warm_up()
        elif self.text.due() and (seen[0] is not self.seen[0] or seen[1:] != self.seen[1:]):
            self._send(progress, interrupts)
        self.seen = seen

    def _send(self, progress: Progress, interrupts: int) -> None:
        from peft_lab.present.live import live_html, live_text

        state = with_interrupts(progress.state, interrupts)
        state["curve_png"] = self._curve(progress)
        if self.how_to_stop:
            state["how_to_stop"] = self.how_to_stop
        with self.text:
            bundle = {"text/html": self._beside_button(live_html(state), state), "text/plain": live_text(state)}
            if bundle != self.sent:
                self._show(bundle)
                self.sent = bundle

    def _offer(self, button: StopButton) -> None:
        try:
            button.look()
        except Exception:  # widgets are not what they are expected to be: there is still the interrupt
            button.close()
            self.button = None
            return
        if button.shown:
            from peft_lab.texts import panels as texts

            self.how_to_stop = texts.STOP_OR_INTERRUPT
            self.text.next = 0.0  # the words must not be older than the button

    def _beside_button(self, html: str, state: dict[str, Any]) -> str:
        if self.button is None or not self.button.shown:
            return html
        from peft_lab.notebook.panels.twin import beside_widget
        from peft_lab.present.style import PLAIN, esc, plain
        from peft_lab.texts import panels as texts

        run = plain(state.get("run_id", ""))
        said = texts.KERNEL_ENDED.format(run=run) if run else texts.KERNEL_ENDED_EARLY
        return beside_widget(html, f"<div {PLAIN}>{esc(said)}</div>")

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
        self._ask_for_a_button()
        from peft_lab.present.curve import warm_up

        warm_up()  # now, while the model is loaded, rather than between steps

    def _ask_for_a_button(self) -> None:
        from peft_lab.notebook.panels.hearing import has_subshells, names_cells

        if self.stop is None or not (has_subshells(self.shell) and names_cells(self.shell)):
            return
        with suppress(Exception):  # there are no widgets here, or others than are expected
            from peft_lab.notebook.panels.stop_button import StopButton

            self.button = StopButton(self.stop)

    def close(self, run: Run | None, returned: bool) -> None:
        """Replace the live view by the card; where there is no run, by nothing."""
        if self.button is not None:
            self.button.close()
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

    def begin(self, stop: Callable[[], None] | None) -> None:
        """Nothing: a terminal has its own key for it."""

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

    def begin(self, stop: Callable[[], None] | None) -> None:
        """Nothing."""

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
    return {**state, "phase": cards.STOPPING if interrupts == 1 else cards.STILL_SAVING}
