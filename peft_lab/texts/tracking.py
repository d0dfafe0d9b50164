"""Trackers: which are on, and how they do."""

from __future__ import annotations

from peft_lab.texts import Counted

TRACKERS = "trackers"
TRACKER_COLUMNS = ("tracker", "writes to", "experiment", "card of runs", "state", "look at it with")
TOLD = (
    "Settings, scores and costs of runs that begin from now on, here and in processes begun from here; never a text of "
    "the data. %peft track off ends it. For the command line: {variable}"
)
NONE_ANY_MORE = "No tracker is told any more. %peft track mlflow --to ./mlruns"
NONE_ON = "No tracker is on, and nothing is told to anybody. %peft track mlflow --to ./mlruns"
TRACKER_FAILED = "failed: {fault}"
RUNS_TOLD = Counted("{count} run", "{count} runs")
WRITING, FROM_NEXT_ON = "writing", "from the next run on"
