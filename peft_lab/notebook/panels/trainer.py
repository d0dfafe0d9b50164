"""Train, pause and stop a run in a panel, and see it live."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal

from ipywidgets import HTML, Button, HBox, Layout, VBox

from peft_lab.bench import Busy
from peft_lab.errors import RunProblem
from peft_lab.notebook.panels.beginning import Beginning, Call, GivenUp
from peft_lab.notebook.panels.following import Followed, Here, InPanel
from peft_lab.notebook.panels.saying import framed, in_one_line
from peft_lab.present.parts import box, line
from peft_lab.present.style import count
from peft_lab.run import Run
from peft_lab.texts import panels as texts
from peft_lab.training.progress import Progress
from peft_lab.training.worker import leave

if TYPE_CHECKING:
    from peft_lab.bench import Bench

LOOK = 0.25
"""Seconds between two looks at a run."""
PATIENCE = 2.0
"""Seconds that closing waits for the thread that follows."""
State = Literal["ready", "beginning", "running", "stopping", "paused", "broken"]


class Trainer:
    """Buttons Train, Pause or Resume, and Stop, with the run they are about below.

    A run trains in a process of its own, which goes on whatever becomes of the panel and the kernel; what another
    process cannot see trains in a thread of this kernel. One thread follows the run and draws; it ends with the run.

    Args:
        lab: where runs are kept.
        call: asked what to train when Train is pressed.
    """

    def __init__(self, lab: Bench, call: Callable[[], Call] | None = None) -> None:
        self.lab, self.call = lab, call
        self.run: Run | None = None
        """The run that is, or was last, trained here."""
        self.state: State = "ready"
        self._problem = ""
        self._wanted: Literal["", "pause", "stop"] = ""
        self._followed: Followed | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._lock = threading.RLock()
        self._beginning = Beginning(lab, self._trains_here, self._closing.is_set)
        self._on_begin: list[Callable[[], None]] = []
        self._on_end: list[Callable[[Run], None]] = []
        self._instead: Callable[[], None] | None = None
        self.train_button = _button(texts.TRAIN, texts.TRAIN_TIP, "primary", self._train_pressed)
        self.pause_button = _button(texts.PAUSE, texts.PAUSE_TIP, "", self._pause_pressed)
        self.stop_button = _button(texts.STOP, texts.STOP_TIP, "", self.stop)
        self.instead_button = _button("", "", "", self._instead_pressed)
        self.note, self.region = HTML(layout=Layout(width="auto")), HTML(layout=Layout(width="auto"))
        buttons = [self.train_button, self.pause_button, self.stop_button, self.instead_button]
        self.widget = VBox(
            [HBox(buttons, layout=Layout(flex_flow="row wrap")), self.note, self.region], layout=Layout(width="100%")
        )
        self._show_state()

    # --- for the panel ------------------------------------------------------------------------------------------------

    @property
    def problem(self) -> str:
        """Why Train cannot be pressed now; nothing where it can."""
        return self._problem

    @problem.setter
    def problem(self, said: str) -> None:
        self._problem = said
        self._show_state()

    @property
    def going_on(self) -> bool:
        """Whether a run of this panel is being trained, or about to be."""
        return self.state in ("beginning", "running", "stopping")

    def on_begin(self, callback: Callable[[], None]) -> None:
        """Call when a training is about to begin or to go on."""
        self._on_begin.append(callback)

    def on_end(self, callback: Callable[[Run], None]) -> None:
        """Call with the run when it has ended for good; mostly in the thread that follows it.

        A paused run has not, and one that failed or crashed has not: what was wrong can be put right here.
        """
        self._on_end.append(callback)

    def start(self, call: Call) -> None:
        """Begin to train; what stands against it is said in the panel. Does nothing while a run goes on."""
        self._launch(partial(self._beginning.new, dict(call)))

    def stop(self) -> None:
        """End the run after its present step. A paused run is over with this."""
        if self.state == "paused" and self.run is not None:
            self._over(self.run)
        else:
            self._ask("stop")

    def pause(self) -> None:
        """Stop the run after its present step, to go on with it later."""
        self._ask("pause")

    def resume(self) -> None:
        """Go on with the run that was paused, or that failed."""
        if self.run is not None:
            self._launch(partial(self._beginning.again, self.run))

    def close(self) -> None:
        """Stop following. A run goes on: one in a process of its own in any case, one of this kernel with it."""
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(PATIENCE)

    def static(self) -> dict[str, str]:
        """What is left of this part when the panel closes: the run's card, and how to follow a run that goes on."""
        if self.run is None:
            return {}
        said = ""
        if self.run.active:
            said = texts.RUN_GOES_ON_HERE if isinstance(self._followed, Here) else texts.RUN_GOES_ON
        elif self.state == "paused":
            said = texts.RUN_PAUSED
        bundle = dict(self.run._repr_mimebundle_())
        if said:
            said = said.format(run=self.run.id)
            bundle["text/html"] = framed(line(texts.NEXT_LINE, said, "blue")) + bundle["text/html"]
            bundle["text/plain"] += f"\n  {said}"
        return bundle

    # --- buttons ------------------------------------------------------------------------------------------------------

    def _train_pressed(self) -> None:
        if self.call is not None:
            self.start(self.call())

    def _pause_pressed(self) -> None:
        if self.state in ("paused", "broken"):
            self.resume()
        else:
            self.pause()

    def _instead_pressed(self) -> None:
        if self._instead is not None:
            self._instead()

    def _ask(self, wanted: Literal["pause", "stop"]) -> None:
        with self._lock:
            if not self.going_on:
                return
            self._wanted = wanted
            if self._followed is not None:
                self._followed.stop()
            self._set("stopping")

    def _set(self, state: State) -> None:
        self.state = state
        self._show_state()

    def _show_state(self) -> None:
        kept = self.state in ("paused", "broken")
        self.train_button.disabled = bool(self._problem) or self.state not in ("ready", "broken")
        self.train_button.tooltip = self._problem or texts.TRAIN_TIP
        self.pause_button.description = texts.RESUME if kept else texts.PAUSE
        self.pause_button.tooltip = texts.RESUME_TIP if kept else texts.PAUSE_TIP
        self.pause_button.disabled = not (self.state in ("beginning", "running") or (kept and self.run is not None))
        # What was to be a pause can still become an end.
        can_end = self.going_on and self._wanted != "stop"
        self.stop_button.disabled = not (can_end or self.state == "paused")
        shown = self._instead is not None
        self.instead_button.layout.display = "" if shown else "none"
        self.instead_button.disabled = not shown

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _launch(self, begin: Callable[[], Followed]) -> None:
        with self._lock:
            if self.going_on or self._closing.is_set():
                return
            self._wanted, self._followed, self._instead = "", None, None
            self.note.value = ""
            self._set("beginning")
            earlier = self._thread
            self._thread = threading.Thread(target=self._work, args=(begin,), name="peft_lab panel", daemon=True)
        if earlier is not None and earlier is not threading.current_thread():
            earlier.join(PATIENCE)
        for call in self._on_begin:
            call()
        self._thread.start()

    def _work(self, begin: Callable[[], Followed]) -> None:
        screen = InPanel(self.region)
        try:
            screen.paint(Progress(), 0)
            followed = begin()
            with self._lock:
                self._followed = followed
                if self._wanted:
                    followed.stop()
                else:
                    self._set("running")
            self._follow(followed, screen)
            if not self._closing.is_set():
                self._ended(followed, screen)
        except GivenUp:
            self._refused("")
        except Busy as error:
            self._refused(in_one_line(error), error.run, begin)
        except Exception as error:  # of the run, its files or its picture: in any case the buttons must not go dead
            self._refused(in_one_line(error))
        finally:
            with suppress(RunProblem):
                if self.run is not None and not self.run.active:
                    leave(self.run)

    def _follow(self, followed: Followed, screen: InPanel) -> None:
        while followed.active and not self._closing.wait(LOOK):
            self.run = followed.run or self.run
            followed.look()
            screen.paint(followed.progress, 1 if self._wanted else 0)
        self.run = followed.run or self.run

    def _ended(self, followed: Followed, screen: InPanel) -> None:
        run = followed.run
        if run is None:
            self._refused(followed.said)
            return
        try:
            run.checked()
        except RunProblem as error:
            self.note.value = framed(
                box(in_one_line(error)) + line(texts.NEXT_LINE, texts.FAILED.format(run=run.id), "blue")
            )
            self.region.value = run._repr_mimebundle_()["text/html"]
            self._set("broken")
            return
        if run.status == "stopped" and self._wanted == "pause":
            followed.look()
            screen.paused(followed.progress)
            steps = run.record.get("steps", {})
            said = texts.PAUSED.format(done=count(steps.get("done")), planned=count(steps.get("planned")), run=run.id)
            with self._lock:
                if self._wanted == "pause":  # Stop may have been pressed this very moment
                    self.note.value = framed(line(texts.PAUSED_PHASE, said, "purple"))
                    self._set("paused")
                    return
        self._over(run)

    def _over(self, run: Run) -> None:
        self.note.value = ""
        self.region.value = run._repr_mimebundle_()["text/html"]
        self._set("ready")
        for call in self._on_end:
            call(run)

    def _refused(self, said: str, busy: Run | None = None, begin: Callable[[], Followed] | None = None) -> None:
        """Say why there is no run. Where another one is in the way, offer to stop that and to begin then."""
        with self._lock:
            if busy is not None and begin is not None:
                self._instead = partial(self._launch, partial(self._instead_of, busy, begin))
                self.instead_button.description = texts.STOP_AND_TRAIN.format(run=busy.id)
                self.instead_button.tooltip = texts.STOP_AND_TRAIN_TIP.format(run=busy.id)
            self.note.value, self.region.value = framed(box(said)) if said else "", ""
            self._set("ready")

    def _instead_of(self, busy: Run, begin: Callable[[], Followed]) -> Followed:
        if busy.active:
            busy.stop()
        screen = InPanel(self.region)
        waiting = Progress()
        waiting.update(phase=texts.WAITING.format(run=busy.id))
        screen.paint(waiting, 0)
        while busy.active:
            if self._closing.wait(LOOK) or self._wanted:
                raise GivenUp
        return begin()

    def _trains_here(self, reason: str) -> None:
        self.note.value = framed(line(texts.NOTE_LINE, texts.TRAINS_HERE.format(reason=reason), "grey"))


def _button(text: str, tip: str, style: str, pressed: Callable[[], None]) -> Button:
    """Without an icon: those are letters of a font, and would be part of the name that is read aloud."""
    button = Button(description=text, tooltip=tip, button_style=style, layout=Layout(width="auto", min_width="100px"))
    button.on_click(lambda _: pressed())
    return button
