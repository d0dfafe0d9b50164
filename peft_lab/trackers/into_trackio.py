"""Into trackio, in a folder of this machine. Known to the process that writes alone."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft_lab.trackers.choice import Choice

SETTINGS: Mapping[str, Any] = {
    "resume": "allow",
    "embed": False,
    "auto_log_gpu": False,
    "auto_log_cpu": False,
    "space_id": None,
}
"""What is asked of a run, as far as the installed version knows it: nothing watched, shown or sent by itself."""


class IntoTrackio:
    """A project with a run for each run."""

    def __init__(self, choice: Choice) -> None:
        import trackio

        self._trackio, self._project = trackio, choice.experiment
        known = inspect.signature(trackio.init).parameters
        self._settings = {name: value for name, value in SETTINGS.items() if name in known}
        self._folder = Path(choice.to)
        self._open: dict[str, Any] = {}

    def start(self, run: Mapping[str, Any]) -> None:
        """A run begins, or goes on."""
        config = {**run["params"], **{f"tag.{name}": value for name, value in run["tags"].items() if name != "status"}}
        with told():
            self._open[run["run"]] = self._trackio.init(
                self._project,
                f"{run['name']} {run['run'][:6]}",
                group=run["tags"].get("study"),
                config=config,
                **self._settings,
            )

    def points(self, run: str, points: Sequence[Mapping[str, Any]]) -> None:
        """Points of a run."""
        with told():
            for point in points:
                self._open[run].log(dict(point["metrics"]), step=int(point["step"]))

    def end(self, run: Mapping[str, Any]) -> None:
        """A run ended."""
        with told():
            known = {f"tag/{name}": value for name, value in run["tags"].items() if name in ("status", "data", "error")}
            open_run = self._open.pop(run["run"])
            open_run.log({**run["metrics"], **known}, step=int(run["step"]))
            if run.get("card"):
                page = self._folder / "cards" / f"{run['run']}.html"
                page.parent.mkdir(parents=True, exist_ok=True)
                page.write_text(run["card"], encoding="utf-8")
            open_run.finish()

    def lost(self) -> None:
        """Whoever trained is gone."""
        for open_run in self._open.values():
            open_run.finish()


@contextmanager
def told() -> Iterator[None]:
    """Trackio warns where it could not write; here that is a failure.

    Raises:
        RuntimeError: with what it said.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    messages = [str(one.message) for one in said]
    failed = [text for text in messages if "trackio" in text.lower() and re.search(r"fail|could not", text)]
    if failed:
        raise RuntimeError(failed[0])
