"""Carries a study out in a worker thread while the cell waits, shown live; an interrupt asks for a stop."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from peft_lab.notebook.live import LINE_EVERY, TEXT_SHARE, Pace
from peft_lab.notebook.watching import WAIT, _Interrupts, _Worker
from peft_lab.present.study import study_html, study_text
from peft_lab.rows import StudyRows
from peft_lab.study.progress import StudyProgress
from peft_lab.study.snapshot import snapshot
from peft_lab.texts import studies as texts

HTML_EVERY = 1.0


class StudyStopped(KeyboardInterrupt):
    """A study stopped by hand. Raised so that the cells behind this one do not run; all that was trained is kept."""

    def __init__(self, progress: StudyProgress) -> None:
        assert progress.study is not None
        name = progress.study.name
        self.lines = [
            texts.STOPPED.format(name=name, done=progress.done, all=len(progress.cells)),
            texts.STOPPED_HINT.format(name=name),
        ]
        super().__init__(" ".join(self.lines))

    def _render_traceback_(self) -> list[str]:
        return self.lines


def watch_study(progress: StudyProgress, work: Callable[[], StudyRows], screen: Any) -> StudyRows:
    """Carry a study out, shown on a screen.

    Raises:
        StudyStopped: a stop was asked for, here or elsewhere.
        PeftLabError: what ended the study.
    """
    worker: Any = _Worker(work)  # type: ignore[arg-type]
    with _Interrupts(progress) as interrupts:  # type: ignore[arg-type]
        worker.start()
        trouble: Exception | None = None
        while not worker.ended(WAIT):
            if trouble is not None:
                continue
            try:
                screen.paint(progress, interrupts.count)
            except Exception as error:  # a picture must not cost a study
                trouble = error
    stopped = worker.error is None and progress.stopping()
    screen.close(progress, static=stopped)
    if trouble is not None:
        said = texts.LIVE_FAILED.format(kind=type(trouble).__name__, message=trouble)
        sys.stderr.write(f"{said}\n")
    if worker.error is not None:
        raise worker.error
    if stopped:
        raise StudyStopped(progress)
    found: StudyRows = worker.result
    return found


class InNotebook:
    """One output, updated in place; what came of it is the cell's value."""

    def __init__(self) -> None:
        self.handle: Any = None
        self.pace = Pace(HTML_EVERY, TEXT_SHARE)
        self.sent: Any = None

    def paint(self, progress: StudyProgress, interrupts: int) -> None:
        """Show where it is, if it is time to."""
        if not self.pace.due() or progress.study is None:
            return
        with self.pace:
            state = {**snapshot(progress), "how_to_stop": texts.LIVE_STOP}
            if interrupts:
                state |= {"phase": texts.LIVE_STOPPING, "how_to_stop": ""}
            self._show({"text/html": study_html(state), "text/plain": study_text(state)})

    def close(self, progress: StudyProgress, static: bool) -> None:
        """Take the display away; where the cell gets no value, leave a still one."""
        if static and progress.study is not None:
            state = snapshot(progress)
            self._show({"text/html": study_html(state), "text/plain": study_text(state)})
        elif self.handle is not None:
            self._show({"text/plain": ""})

    def _show(self, bundle: dict[str, str]) -> None:
        from IPython.display import display

        if bundle == self.sent:
            return
        self.sent = bundle
        if self.handle is None:
            self.handle = display(bundle, raw=True, display_id=True)
        else:
            self.handle.update(bundle, raw=True)


class InTerminal:
    """A line that is written over; where that cannot be, a line for each cell that ends."""

    def __init__(self) -> None:
        self.pace = Pace(LINE_EVERY, TEXT_SHARE)
        self.over = sys.stderr.isatty()
        self.seen = 0

    def paint(self, progress: StudyProgress, interrupts: int) -> None:
        """Show where it is, if it is time to."""
        if not self.pace.due() or progress.study is None:
            return
        with self.pace:
            ended = progress.done + progress.failed
            if not self.over and ended == self.seen:
                return
            self.seen = ended
            text = study_text(snapshot(progress))
            if interrupts:
                text = f"{texts.LIVE_STOPPING} · {text}"
            sys.stderr.write(f"\r\x1b[K{text[: _columns() - 1]}" if self.over else f"{text}\n")
            sys.stderr.flush()

    def close(self, progress: StudyProgress, static: bool) -> None:
        """Clear the line."""
        if self.over:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class Still:
    """Nothing moves."""

    def paint(self, progress: StudyProgress, interrupts: int) -> None:
        """Nothing."""

    def close(self, progress: StudyProgress, static: bool) -> None:
        """Nothing."""


def study_screen(shell: Any, live: bool) -> Any:
    """The screen that fits a shell; that of a terminal where there is none."""
    if not live:
        return Still()
    return InNotebook() if getattr(shell, "kernel", None) is not None else InTerminal()


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size((100, 24)).columns
