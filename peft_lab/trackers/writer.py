"""The process that knows a tracker: ``python -m peft_lab.trackers.writer 'mlflow --to ./mlruns'``.

It reads lines of JSON, writes what they say, and answers how far it is. Its environment is its own: what would send
something elsewhere than to the place that was named is taken away.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

from peft_lab.trackers.choice import Choice, read

Message = Mapping[str, Any]
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}
ELSEWHERE = ("TRACKIO_", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT", "MLFLOW_RUN_ID")
"""What would lead to another place than the one that was named."""


class Sink(Protocol):
    """What a tracker can be told."""

    def start(self, run: Message) -> None:
        """A run begins, or goes on."""

    def points(self, run: str, points: list[Message]) -> None:
        """Points of it, in their order."""

    def end(self, run: Message) -> None:
        """It ended."""

    def lost(self) -> None:
        """Whoever trained is gone: runs that were not ended will not be."""


def environment(choice: Choice, outer: Mapping[str, str]) -> dict[str, str]:
    """The environment of the process, out of that of the one that begins it."""
    kept = {name: value for name, value in outer.items() if not name.startswith(ELSEWHERE)}
    kept |= QUIET
    if choice.tracker == "trackio":
        # It asks the hub who is there, and needs no answer.
        kept |= {"HF_HUB_OFFLINE": "1", "TRACKIO_DIR": choice.to, "TRACKIO_LOGBOOK_AUTONOTE": "0"}
        kept.pop("HF_TOKEN", None)
    elif not choice.remote:
        kept["MLFLOW_ALLOW_FILE_STORE"] = "true"
    return kept


def sink_of(choice: Choice) -> Sink:
    """The way into a tracker."""
    if choice.tracker == "trackio":
        from peft_lab.trackers.into_trackio import IntoTrackio

        return IntoTrackio(choice)
    from peft_lab.trackers.into_mlflow import IntoMlflow

    return IntoMlflow(choice)


def work(sink: Sink, lines: Iterator[str], answer: TextIO) -> None:
    """Do what the lines say, until there are no more."""
    for line in lines:
        message = json.loads(line)
        if message["do"] == "start":
            sink.start(message)
        elif message["do"] == "points":
            sink.points(message["run"], message["points"])
        elif message["do"] == "end":
            sink.end(message)
        _say(answer, done=message["number"])
    sink.lost()


def main(asked: str) -> int:
    """Tell a tracker what comes on stdin; what trackers print goes nowhere, for stdout holds the answers."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        choice = read(asked)
        if choice.tracker == "trackio" or not choice.remote:
            _local(choice)
        work(sink_of(choice), iter(sys.stdin), answer)
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        _say(answer, fault=f"{type(error).__name__}: {said}" if said else type(error).__name__)
        return 1
    return 0


def _local(choice: Choice) -> None:
    if "://" not in choice.to:
        Path(choice.to).mkdir(parents=True, exist_ok=True)


def _say(answer: TextIO, **what: Any) -> None:
    try:
        answer.write(json.dumps(what) + "\n")
        answer.flush()
    except BrokenPipeError:  # whoever asked has ended; what is left is written all the same
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
