"""The kernel's end of the process that makes plans."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

PATIENCE = 2.0
"""Seconds to wait for a process that was killed, and for the thread that reads from it."""
Tell = Callable[["PlanProcess", Mapping[str, Any] | None], None]


class PlanProcess:
    """Runs :mod:`peft_lab.notebook.panels.planning` and passes on what it answers.

    Args:
        tell: called in a thread of its own with each answer, and with None when the process has ended.
    """

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        # A file, not a pipe: nobody has to read it for the process to go on.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._child = subprocess.Popen(
            [sys.executable, "-m", "peft_lab.notebook.panels.planning"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            start_new_session=True,  # an interrupt of the notebook is not meant for it
        )
        self._reader = threading.Thread(target=self._read, name="peft_lab plans", daemon=True)
        self._reader.start()

    def ask(self, number: int, recipe: Mapping[str, Any] | None) -> None:
        """Ask for a plan; the question before is given up. Without a recipe, only that."""
        assert self._child.stdin is not None
        with suppress(OSError, ValueError):  # it has ended: the reader tells
            self._child.stdin.write(json.dumps({"number": number, "recipe": recipe}) + "\n")
            self._child.stdin.flush()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._child.kill()
        self._reader.join(PATIENCE)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(PATIENCE)
        for stream in (self._child.stdin, self._child.stdout, self._errors):
            with suppress(OSError):  # what was not sent yet is not missed
                stream.close()  # type: ignore[union-attr]

    def last_words(self) -> str:
        """The last line that it wrote about its end, or its exit status."""
        status = self._child.wait()
        with suppress(OSError, ValueError):
            self._errors.seek(max(0, self._errors.seek(0, 2) - 4096))
            lines = self._errors.read().decode(errors="replace").split("\n")
            if said := next((line.strip() for line in reversed(lines) if line.strip()), ""):
                return said
        return f"exit status {status}"

    def _read(self) -> None:
        assert self._child.stdout is not None
        with suppress(ValueError, OSError):
            for line in self._child.stdout:
                self.tell(self, json.loads(line))
        self.tell(self, None)
