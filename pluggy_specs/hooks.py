"""Every hook a plugin can implement. Six offer something, three inform; none does both.

Offering hooks may return a list or ``yield`` one item after another: what was yielded before a failure is kept.
Informing hooks get plain data, never a live model: an observer cannot change a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pluggy

from pluggy_specs.types import DatasetSource, Executor, Method, ModelSource, Task, View

PROJECT = "peft_lab"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- offering --------------------------------------------------------------------------------------------------------


@hookspec
def register_methods() -> Iterable[type[Method]]:
    """Offer PEFT methods, as :class:`~pluggy_specs.Method` subclasses."""
    return ()


@hookspec
def register_views() -> Iterable[type[View]]:
    """Offer views, as :class:`~pluggy_specs.View` subclasses."""
    return ()


@hookspec
def register_tasks() -> Iterable[type[Task]]:
    """Offer tasks (what is predicted, how it is scored), as :class:`~pluggy_specs.Task` subclasses."""
    return ()


@hookspec
def register_models() -> Iterable[ModelSource]:
    """Offer base models whose weights are already on this machine."""
    return ()


@hookspec
def register_datasets() -> Iterable[DatasetSource]:
    """Offer named data sets that need no network."""
    return ()


@hookspec
def register_executors() -> Iterable[type[Executor]]:
    """Offer places where recipes can be trained, as :class:`~pluggy_specs.Executor` subclasses."""
    return ()


# --- informing -------------------------------------------------------------------------------------------------------


@hookspec
def run_started(run: Mapping[str, Any]) -> None:
    """A run has a folder and a recipe and is about to load its model. ``run`` is the content of ``run.json``."""


@hookspec
def metrics_logged(run_id: str, point: Mapping[str, Any]) -> None:
    """A metric point was appended to ``metrics.jsonl``. Called from the training thread: be quick."""


@hookspec
def run_finished(run: Mapping[str, Any]) -> None:
    """A run ended in any way; ``run["status"]`` says how: ``finished``, ``stopped`` or ``failed``."""
