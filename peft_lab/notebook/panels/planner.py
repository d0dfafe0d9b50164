"""The plan of what is chosen in a panel, made anew as choices change, without holding up the kernel."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ipywidgets import HTML, Button, Layout, VBox

from peft_lab.errors import BadOption
from peft_lab.notebook.panels.beginning import Call
from peft_lab.notebook.panels.following import why_here
from peft_lab.notebook.panels.plan_process import PlanProcess
from peft_lab.notebook.panels.saying import framed, in_one_line
from peft_lab.present.parts import box, line
from peft_lab.texts import panels as texts
from peft_lab.training.worker import must_be_seen_elsewhere

if TYPE_CHECKING:
    from peft_lab.bench import Bench
    from peft_lab.recipe import Recipe
    from peft_lab.training.plan import Sketch

QUIET = 0.5
"""Seconds without a change before a plan is asked for."""
REST_AFTER = 300.0
"""Seconds without a question after which the process is ended: libraries take some hundred megabytes."""
PATIENCE = 2.0


@dataclass(frozen=True)
class _Answer:
    process: PlanProcess
    content: Mapping[str, Any] | None


@dataclass(frozen=True)
class _Rest:
    """The process is to be ended."""


@dataclass(frozen=True)
class _Here:
    """The plan is to be made in this kernel."""


class Planner:
    """Shows the plan of the newest question that was asked.

    Plans are made in a process of its own, which is begun with the first question and ends with the planner, with the
    kernel, and when it rests. One thread asks it, and one reads what it answers.
    """

    def __init__(self, lab: Bench) -> None:
        self.lab = lab
        self.note = HTML(framed(line(texts.PLAN_MARK, texts.PLAN_FIRST, "grey")), layout=Layout(width="auto"))
        self.card = HTML(layout=Layout(width="auto"))
        self.here_button = Button(
            description=texts.PLAN_HERE, tooltip=texts.PLAN_HERE_TIP, layout=Layout(display="none")
        )
        self.here_button.on_click(lambda _: self._events.put(_Here()))
        self.widget = VBox([self.note, self.here_button, self.card], layout=Layout(width="auto"))
        self._events: queue.SimpleQueue[Call | _Answer | _Rest | _Here | None] = queue.SimpleQueue()
        self._process: PlanProcess | None = None
        self._recipe: Recipe | None = None
        """Whose plan is shown, or will be."""
        self._number = 0
        self._waiting = False
        self._sketched = False
        """Whether the card says of this question what would train, and no more yet."""
        self._thread = threading.Thread(target=self._work, name="peft_lab planner", daemon=True)
        self._thread.start()

    def ask(self, call: Call) -> None:
        """Ask for the plan of a call of ``train``: ``methods``, ``model``, ``data``, ``settings``. Returns at once.

        The plan is made when nothing was asked for half a second. What stands against it is said in its place.
        """
        self._events.put(dict(call))

    def rest(self) -> None:
        """Give up what is being made, and its memory: a training needs it. The next question begins anew."""
        self._events.put(_Rest())

    def close(self) -> None:
        """End thread and process."""
        self._events.put(None)
        if process := self._process:
            process.close()  # the thread may wait for it
        if self._thread is not threading.current_thread():
            self._thread.join(PATIENCE)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Everything that changes what is shown happens here, one thing after the other."""
        call: Call | None = None
        due = time.monotonic() + REST_AFTER
        while True:
            try:
                event = self._events.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                if call is None:
                    self._rest()
                else:
                    self._plan(call)
                call, due = None, time.monotonic() + REST_AFTER
                continue
            if event is None:
                self._end_process()
                return
            if isinstance(event, _Answer):
                self._answered(event)
            elif isinstance(event, _Here):
                self._plan_here()
            elif isinstance(event, _Rest):
                call = None
                self._rest()
            else:
                call, due = event, time.monotonic() + QUIET

    def _plan(self, call: Call) -> None:
        settings = dict(call.get("settings") or {})
        try:
            recipe = self.lab.composed(call["methods"], model=call.get("model"), data=call.get("data"), **settings)
        except Exception as error:  # also what a plugin raises: the thread must go on
            self._refuse(in_one_line(error))
            return
        if recipe == self._recipe:
            return
        self._give_up()
        self._recipe = recipe
        try:
            must_be_seen_elsewhere(recipe, self.lab.host)
        except BadOption as error:
            self._say(line(texts.PLAN_MARK, texts.PLAN_NEEDS_HERE.format(reason=why_here(error)), "grey"), here=True)
            self.card.value = ""
            return
        self._ask(recipe)

    def _ask(self, recipe: Recipe) -> None:
        said = texts.PLAN_OLDER if self.card.value else texts.PLANNING
        if self._process is None:
            self._process = PlanProcess(lambda process, content: self._events.put(_Answer(process, content)))
            said = said if self.card.value else texts.PLAN_LOADING
        self._say(line(texts.PLAN_MARK, said, "blue"))
        self._number += 1
        self._waiting, self._sketched = True, False
        self._process.ask(self._number, recipe.model_dump(mode="json"))

    def _give_up(self) -> None:
        """End the work on the question before; its answer, should it be on the way, is not looked at."""
        if self._waiting and self._process is not None:
            self._number += 1
            self._process.ask(self._number, None)
        self._waiting = False

    def _answered(self, answer: _Answer) -> None:
        if answer.process is not self._process:
            return
        if answer.content is None:
            said = answer.process.last_words()
            self._end_process()
            if self._waiting:
                self._refuse(texts.PLAN_GONE.format(reason=said))
        elif answer.content["number"] == self._number:
            self._show(answer.content)

    def _show(self, content: Mapping[str, Any]) -> None:
        if content.get("sketch"):
            self._sketched = True
            self._say(line(texts.PLAN_MARK, texts.PLAN_MEASURING, "blue"))
            self.card.value = content["html"]
            return
        self._waiting = self._sketched = False
        if "html" not in content:
            if content.get("fault"):
                self._end_process()  # whatever is wrong there may stay wrong
            self._refuse(content["said"])
            return
        assert self._recipe is not None
        self.lab.plans[self._recipe.fingerprint] = content["forecast"]
        self._say("")
        self.card.value = content["html"]

    def _plan_here(self) -> None:
        recipe = self._recipe
        if recipe is None or self.here_button.layout.display == "none":
            return
        from peft_lab.commands.planning import planned

        self._say(line(texts.PLAN_MARK, texts.PLANNING, "blue"))
        try:
            plan = planned(recipe, self.lab.host, self._sketch)
        except Exception as error:
            self._refuse(in_one_line(error))
            return
        self._show({"html": plan._repr_mimebundle_()["text/html"], "forecast": plan.forecast.plain()})

    def _sketch(self, sketch: Sketch) -> None:
        self._show({"html": sketch._repr_mimebundle_()["text/html"], "sketch": True})

    def _refuse(self, said: str) -> None:
        self._give_up()
        self._sketched = False
        self._recipe = None
        self._say(box(said))
        self.card.value = ""

    def _say(self, html: str, here: bool = False) -> None:
        self.note.value = framed(html) if html else ""
        self.here_button.layout.display = "" if here else "none"

    def _rest(self) -> None:
        if self._waiting:
            self._waiting, self._recipe = False, None
            if self._sketched:  # nobody measures any more
                self._sketched, self.card.value = False, ""
            self._say(line(texts.PLAN_MARK, texts.PLAN_RESTS, "grey"))
        self._end_process()

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None
