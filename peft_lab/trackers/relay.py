"""From the hooks to the process that writes: a queue and a thread, so that training waits for nothing.

The thread begins the process, gathers points for a moment, and hands them over as lines of JSON. What the process says
back is how far it is, or why it cannot: that is one problem, and the run goes on.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from peft_lab.errors import PeftLabError
from peft_lab.trackers import facts
from peft_lab.trackers.choice import Choice, chosen

GATHER = 0.5
"""Seconds in which points are gathered into one message."""
MOST = 100_000
"""Points that wait; a tracker so far behind is given up."""
PATIENCE = 10.0
"""Seconds that the end of this process waits for what is still to be written; the writer goes on after that."""
Message = dict[str, Any]


class Relay:
    """What one tracker is told in this process."""

    def __init__(self, tracker: str) -> None:
        self.tracker = tracker
        self.choice: Choice | None = None
        self.fault = ""
        """Why nothing is written any more."""
        self.told = False
        """Whether that was said."""
        self.runs = 0
        """Runs that were told of."""
        self._keys: dict[str, str] = {}
        self._points: dict[str, list[Mapping[str, Any]]] = {}
        self._queue: queue.Queue[Message | None] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._sent = self._done = 0
        self._moved = threading.Condition()

    # --- from the hooks -----------------------------------------------------------------------------------------------

    def started(self, run: Mapping[str, Any]) -> None:
        """A run begins: it is told of where this tracker is on.

        Raises:
            PeftLabError: the tracker cannot be used.
        """
        choice = chosen().get(self.tracker)
        if choice != self.choice:
            self.off(0.0)  # a training must not wait; what was told is written all the same
            self.choice = choice
        if choice is None or self.fault:
            return
        self._keys[str(run["id"])] = facts.key_of(run)
        self.runs += 1
        if choice.artifacts:
            self._points[str(run["id"])] = []
        self._put({"do": "start", **facts.started(run)})

    def logged(self, run_id: str, point: Mapping[str, Any]) -> None:
        """A point of a run that is told of.

        Raises:
            PeftLabError: the tracker failed; said once.
        """
        key = self._keys.get(run_id)
        if key is None:
            return
        self._say_once()
        if self.fault:
            return
        if self._queue.qsize() > MOST:
            self._fail(f"it is more than {MOST:,} points behind")
            return
        if (kept := self._points.get(run_id)) is not None:
            kept.append(point)
        self._put({"do": "point", "run": key, "step": point.get("step") or 0, "metrics": facts.metrics_of(point)})

    def finished(self, run: Mapping[str, Any]) -> None:
        """A run that is told of has ended.

        Raises:
            PeftLabError: the tracker failed; said once.
        """
        if self._keys.pop(str(run["id"]), None) is None:
            return
        points = self._points.pop(str(run["id"]), None)
        self._say_once()
        if not self.fault:
            card = {} if points is None else {"card": facts.card_of(run, list(points))}
            self._put({"do": "end", **facts.ended(run), **card})

    # --- from commands ------------------------------------------------------------------------------------------------

    def warm(self, choice: Choice) -> None:
        """Begin the process now, so that what is wrong with the place shows before a run needs it."""
        if choice != self.choice:
            self.off()
            self.choice = choice
        if not self.fault:
            self._put({"do": "open"})

    def off(self, seconds: float = PATIENCE) -> None:
        """Tell no more. What was told is still written, by the process alone where it takes longer."""
        self._keys.clear()
        self._points.clear()
        self._close(seconds)
        self.choice, self.fault, self.told, self.runs = None, "", False, 0

    def settle(self, seconds: float) -> bool:
        """Wait until all that was told is written; whether it is."""
        with self._moved:
            return (
                self._moved.wait_for(lambda: bool(self.fault) or self._done >= self._sent, seconds) and not self.fault
            )

    # --- the way to the process ---------------------------------------------------------------------------------------

    def _put(self, message: Message) -> None:
        if self._thread is None:
            self._queue = queue.Queue()
            self._sent = self._done = 0
            self._thread = threading.Thread(target=self._send, args=(self._queue, self.choice), daemon=True)
            self._thread.start()
            atexit.register(self._close)
        self._sent += 1
        self._queue.put({**message, "number": self._sent, "time": time.time()})

    def _send(self, waiting: queue.Queue[Message | None], choice: Choice) -> None:
        """The thread: begin the process, and hand over what comes."""
        try:
            process = self._process = _begin(choice)
            assert process.stdin is not None
            threading.Thread(target=self._hear, args=(process,), daemon=True).start()
            while (message := waiting.get()) is not None:
                messages, last = _gathered(message, waiting)
                process.stdin.write("".join(json.dumps(one) + "\n" for one in messages))
                process.stdin.flush()
                if last:
                    break
            process.stdin.close()
        except (OSError, ValueError) as error:  # the process is gone: what it said last counts more
            time.sleep(0.2)
            self._fail(" ".join(str(error).split()) or type(error).__name__)

    def _hear(self, process: subprocess.Popen[str]) -> None:
        """The other thread: hear how far it is."""
        assert process.stdout is not None
        for line in process.stdout:
            with suppress(ValueError):
                said = json.loads(line)
                if "fault" in said:
                    self._fail(str(said["fault"]))
                with self._moved:
                    self._done = max(self._done, int(said.get("done", 0)))
                    self._moved.notify_all()
        code = process.wait()
        if code and process is self._process:
            self._fail(f"its process ended with {code}")

    def _fail(self, why: str) -> None:
        with self._moved:
            self.fault = self.fault or why
            self._moved.notify_all()

    def _say_once(self) -> None:
        if self.fault and not self.told:
            self.told = True
            raise PeftLabError(
                f"{self.tracker} is not told any more: {self.fault}", f"Put it right, then: %peft track {self.tracker}"
            )

    def _close(self, seconds: float = PATIENCE) -> None:
        thread, process = self._thread, self._process
        self._thread = None
        if thread is None:
            return
        self._queue.put(None)
        until = time.monotonic() + seconds
        thread.join(seconds)
        process = process or self._process
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
        self._process = None
        atexit.unregister(self._close)


def _gathered(first: Message, waiting: queue.Queue[Message | None]) -> tuple[list[Message], bool]:
    """A message and those behind it, points of one run joined; and whether it was the last."""
    messages, until = [first], time.monotonic() + GATHER
    while messages[-1]["do"] == "point" and (left := until - time.monotonic()) > 0:
        try:
            more = waiting.get(timeout=left)
        except queue.Empty:
            break
        if more is None:
            return _joined(messages), True
        messages.append(more)
    return _joined(messages), False


def _joined(messages: list[Message]) -> list[Message]:
    made: list[Message] = []
    for message in messages:
        if message["do"] != "point":
            made.append(message)
            continue
        point = {name: message[name] for name in ("step", "metrics", "time")}
        if made and made[-1]["do"] == "points" and made[-1]["run"] == message["run"]:
            made[-1]["points"].append(point)
            made[-1]["number"] = message["number"]
        else:
            made.append({"do": "points", "run": message["run"], "points": [point], "number": message["number"]})
    return made


def _begin(choice: Choice) -> subprocess.Popen[str]:
    """The process that writes. An interrupt of the notebook is not meant for it, and it outlives this one."""
    from peft_lab.trackers.writer import environment

    command = [sys.executable, "-m", "peft_lab.trackers.writer", str(choice)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        env=environment(choice, os.environ),
    )
