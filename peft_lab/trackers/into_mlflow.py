"""Into MLflow: a run for each run, found again when it goes on. Known to the process that writes alone."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from peft_lab.trackers.choice import Choice

DATABASE, FILES, LOCK = "mlflow.db", "artifacts", ".lock"
NAME = re.compile(r"[^\w\-. :/]")
LONGEST, LONGEST_TAG, MOST_PARAMS, MOST_METRICS, MOST_TAGS = 500, 4000, 100, 1000, 100
"""What every version of MLflow takes, of a value and in one go."""
ENDED = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
KEY = "peft_lab.key"


class IntoMlflow:
    """A folder gets a database and a folder of artifacts; one that holds MLflow's older files gets more of these."""

    def __init__(self, choice: Choice) -> None:
        from mlflow.tracking import MlflowClient

        uri, self._artifacts = place_of(choice)
        with made_by_one(choice):
            # Nothing is registered; named all the same, as not every installation can do so in a database.
            self._client = MlflowClient(tracking_uri=uri, registry_uri=choice.to)
            self._experiment = self._found(choice.experiment)
        self._open: dict[str, str] = {}

    def start(self, run: Mapping[str, Any]) -> None:
        """A run begins, or goes on."""
        found = self._client.search_runs([self._experiment], f"tags.`{KEY}` = '{run['run']}'", max_results=1)
        if found:
            self._open[run["run"]] = found[0].info.run_id
            self._client.update_run(found[0].info.run_id, status="RUNNING")
            self._log(run["run"], tags=run["tags"])
            return
        made = self._client.create_run(self._experiment, tags={KEY: run["run"]}, run_name=run["name"])
        self._open[run["run"]] = made.info.run_id
        self._log(run["run"], params=run["params"], tags=run["tags"])

    def points(self, run: str, points: Sequence[Mapping[str, Any]]) -> None:
        """Points of a run."""
        self._log(run, metrics=((p["metrics"], p["step"], p["time"]) for p in points))

    def end(self, run: Mapping[str, Any]) -> None:
        """A run ended."""
        self._log(run["run"], metrics=[(run["metrics"], run["step"], run.get("time") or time.time())], tags=run["tags"])
        if run.get("card"):
            self._client.log_text(self._open[run["run"]], run["card"], "card.html")
        self._client.set_terminated(self._open.pop(run["run"]), ENDED.get(run["status"], "FAILED"))

    def lost(self) -> None:
        """Whoever trained is gone."""
        for run_id in self._open.values():
            self._client.set_tag(run_id, "peft_lab.status", "crashed")
            self._client.set_terminated(run_id, "KILLED")

    def _found(self, name: str) -> str:
        for _ in range(2):
            if (there := self._client.get_experiment_by_name(name)) is not None:
                return str(there.experiment_id)
            with suppress(Exception):  # another process may be making it: then it is found now
                return str(self._client.create_experiment(name, self._artifacts))
        return str(self._client.create_experiment(name, self._artifacts))

    def _log(
        self,
        run: str,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Iterable[tuple[Mapping[str, float], int, float]] = (),
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        run_id = self._open[run]
        values = [
            Metric(NAME.sub("_", name)[:250], value, int(1000 * when), int(step))
            for numbers, step, when in metrics
            for name, value in numbers.items()
            if not math.isinf(value)
        ]
        asked = [Param(NAME.sub("_", name)[:250], _cut(value, LONGEST)) for name, value in (params or {}).items()]
        about = [RunTag(f"peft_lab.{name}", _cut(value, LONGEST_TAG)) for name, value in (tags or {}).items()]
        for part in _parts(values, MOST_METRICS):
            self._client.log_batch(run_id, metrics=part)
        for part in _parts(asked, MOST_PARAMS):
            self._client.log_batch(run_id, params=part)
        for part in _parts(about, MOST_TAGS):
            self._client.log_batch(run_id, tags=part)


def place_of(choice: Choice) -> tuple[str, str | None]:
    """The address that MLflow takes, and where artifacts go; None: where its server says."""
    if "://" in choice.to or choice.remote:
        return choice.to, None
    folder = Path(choice.to)
    if not (folder / DATABASE).exists() and any(folder.glob("*/meta.yaml")):
        return folder.as_uri(), None
    return f"sqlite:///{folder / DATABASE}", (folder / FILES).as_uri()


def _parts(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def made_by_one(choice: Choice) -> AbstractContextManager[Any]:
    """Two processes that make a new database at one time spoil it for each other: the second one waits."""
    from filelock import FileLock

    if "://" in choice.to or choice.remote:
        return nullcontext()
    folder = Path(choice.to)
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / LOCK)
