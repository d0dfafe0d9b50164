"""A worker process: ``python -m peft_lab.study.places.serving``.

Cells come on stdin, a line each; results leave on stdout. It serves one cell after another, so that torch and all else
is imported once. When stdin ends, whoever asked has ended or wants no more: the process ends at once, even within a
cell, so that none is trained for nobody, or twice.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from base64 import b64decode
from typing import IO, Any

from peft_lab.study.places.sending import Cell, outcome, unpacked
from pluggy_specs import failed_cell


def main() -> None:
    """Serve until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    asked: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    greeting = asked.get()
    sys.path[:] = greeting["path"]
    fault: Exception | None = None
    try:
        work = unpacked(b64decode(greeting["work"]))
    except Exception as error:  # each cell is told so: a process that ends would be begun again
        fault = error
    while True:
        cell = asked.get()
        _answer(answers, failed_cell(cell, fault) if fault else outcome(work, cell))


def _listen(asked: queue.SimpleQueue[Any]) -> None:
    for line in sys.stdin:
        asked.put(json.loads(line))
    os._exit(0)


def _answer(answers: IO[str], result: Cell) -> None:
    answers.write(json.dumps(result) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
