"""The asking side of a worker process."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from peft_lab.study.places import texts
from peft_lab.study.places.sending import Cell

Answers = queue.SimpleQueue[Any]
PATIENCE = 5.0
"""Seconds a process has to end."""
LAST = 2000
"""Bytes of what a process said that are looked at for its last line."""


class Worker:
    """A process that trains cells; what it answers is put into a queue as ``(worker, result)``, None when it ended."""

    def __init__(self, greeting: Mapping[str, Any], environment: Mapping[str, str], answers: Answers) -> None:
        self.cell: Cell = {}
        self.lost = 0
        self.at_work = False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the process has ended)
        self._child = subprocess.Popen(
            [sys.executable, "-m", "peft_lab.study.places.serving"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=dict(environment),
            cwd=Path.cwd(),
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for whoever asked: it decides what becomes of the cells
        )
        self._listener = threading.Thread(target=self._listen, args=(answers,), daemon=True)
        self._listener.start()
        self._tell(greeting)

    def begin(self, cell: Cell, lost: int) -> None:
        """Train a cell that was lost so many times before."""
        self.cell, self.lost, self.at_work = cell, lost, True
        self._tell(cell)

    def how_it_ended(self, times: int) -> str:
        """One line about a process that is gone."""
        code = self._child.wait(PATIENCE)
        how = texts.BY_SIGNAL.format(number=-code) if code < 0 else texts.BY_CODE.format(number=code)
        line = self._last_line()
        return texts.LOST.format(times=times, how=how) + (texts.SAID.format(line=line) if line else "")

    def end(self) -> None:
        """End the process, whatever it does."""
        with suppress(OSError):
            assert self._child.stdin is not None
            self._child.stdin.close()
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._listener.join(PATIENCE)
        self._said.close()

    def _tell(self, data: Cell) -> None:
        with suppress(OSError):  # it is gone: the listener says so
            assert self._child.stdin is not None
            self._child.stdin.write(json.dumps(data) + "\n")
            self._child.stdin.flush()

    def _listen(self, answers: Answers) -> None:
        assert self._child.stdout is not None
        with suppress(ValueError), self._child.stdout as lines:
            for line in lines:
                answers.put((self, json.loads(line)))
        answers.put((self, None))

    def _last_line(self) -> str:
        with suppress(OSError, ValueError):
            end = self._said.seek(0, 2)
            self._said.seek(max(0, end - LAST))
            lines = self._said.read().decode("utf-8", "replace").split("\n")
            return next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")[:300]
        return ""
