"""Runs told to MLflow, where ``%peft track mlflow`` asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peft_lab.trackers.relay import Relay
from pluggy_specs import hookimpl

RELAY = Relay("mlflow")


@hookimpl
def run_started(run: Mapping[str, Any]) -> None:
    """A run begins."""
    RELAY.started(run)


@hookimpl
def metrics_logged(run_id: str, point: Mapping[str, Any]) -> None:
    """A point of it."""
    RELAY.logged(run_id, point)


@hookimpl
def run_finished(run: Mapping[str, Any]) -> None:
    """It ended."""
    RELAY.finished(run)
