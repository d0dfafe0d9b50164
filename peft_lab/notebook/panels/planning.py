"""Makes plans in a process of its own, so that the kernel stays free: ``python -m peft_lab.notebook.panels.planning``.

A question is a line of JSON on its input, ``{"number": 3, "recipe": {...}}``, and so is an answer on its output:
``{"number": 3, "html": ..., "forecast": ...}``, or ``{"number": 3, "said": ...}`` where there can be no plan, with
``"fault": true`` where nobody foresaw why. Before a plan comes what would train, as soon as that is known: the same
without a forecast, with ``"sketch": true``. The newest question wins: an older one that is being worked on is given up
and never answered. A question without a recipe only ends the one before. The process ends with its input, so it never
outlives who asks.
"""

from __future__ import annotations

import _thread
import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

from peft_lab.errors import PeftLabError
from peft_lab.notebook.panels.saying import in_one_line

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.training.plan import Sketch

AGAIN = 0.2
"""Seconds after which a question that could not be given up at once is tried again."""
WARM = ("torch", "transformers", "datasets", "accelerate", "peft")
"""Imported before the first question is looked at, as nothing can be given up while they are."""
Question = Mapping[str, Any]


class Outdated(KeyboardInterrupt):
    """There is a newer question than the one that is being worked on."""


class Desk:
    """Where questions arrive. Only the newest counts."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._newest: Question | None = None
        self._work: Question | None = None
        self._busy = False

    def watch(self) -> None:
        """Let a newer question interrupt the work on an older one. Called in the main thread."""
        signal.signal(signal.SIGINT, self._interrupted)

    def read(self, lines: Iterable[str]) -> None:
        """Take questions until there are no more; then end the process, whatever it is doing."""
        for text in lines:
            with self._arrived:
                self._newest = json.loads(text)
                self._arrived.notify()
            _thread.interrupt_main()
        os._exit(0)

    def take(self) -> Question:
        """The newest question that was not taken yet. From here on a newer one interrupts."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._newest is not self._work)
            assert self._newest is not None
            self._work, self._busy = self._newest, True
            return self._work

    def done(self) -> None:
        """Work has ended: nothing interrupts until there is more."""
        self._busy = False

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Within work: nothing interrupts inside; a newer question does so right after it."""
        self._busy = False
        yield
        self._busy = True
        if self._work is not self._newest:
            self._busy = False
            raise Outdated

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if not self._busy or self._work is self._newest:
            return
        if _importing(frame):  # a module that is half there would be broken for good
            again = threading.Timer(AGAIN, _thread.interrupt_main)
            again.daemon = True
            again.start()
            return
        self._busy = False  # a second one must not hit whoever catches the first
        raise Outdated


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def answer(question: Question, host: Host, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The answer to a question; ``tell`` is given what is known of it before."""
    from peft_lab.commands.planning import planned
    from peft_lab.recipe import Recipe

    def sketched(sketch: Sketch) -> None:
        tell({"html": sketch._repr_mimebundle_()["text/html"], "sketch": True})

    try:
        plan = planned(Recipe.read(question["recipe"]), host, sketched)
    except PeftLabError as error:
        return {"said": in_one_line(error)}
    except Exception as error:
        return {"said": in_one_line(error), "fault": True}
    html = plan._repr_mimebundle_()["text/html"]
    return {"html": html, "forecast": plan.forecast.plain(), "fits": plan.fits}


def work_off(desk: Desk, host: Host, out: IO[str]) -> None:
    """Answer questions for as long as there are any."""

    def write(question: Question, found: Mapping[str, Any]) -> None:
        out.write(json.dumps({"number": question["number"], **found}) + "\n")
        out.flush()

    def tell_of(question: Question) -> Callable[[Mapping[str, Any]], None]:
        def tell(found: Mapping[str, Any]) -> None:
            with desk.undisturbed():
                write(question, found)

        return tell

    while True:
        try:
            question = desk.take()
            found = answer(question, host, tell_of(question)) if question.get("recipe") else None
            desk.done()
        except Outdated:
            continue
        if found is not None:
            write(question, found)


def main() -> None:
    """Begin."""
    # What libraries print must not come between the answers.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from peft_lab.host import Host

    desk = Desk()
    desk.watch()
    threading.Thread(target=desk.read, args=(sys.stdin,), daemon=True).start()
    for name in WARM:
        importlib.import_module(name)
    work_off(desk, Host(warn=lambda line: None), out)


if __name__ == "__main__":
    main()
