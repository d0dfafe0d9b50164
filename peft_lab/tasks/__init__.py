"""What is predicted, and how it is scored."""

from __future__ import annotations

from collections.abc import Iterator

from pluggy_specs import Task, hookimpl


@hookimpl
def register_tasks() -> Iterator[type[Task]]:
    """Offer the built-in tasks."""
    from peft_lab.tasks.causal import Causal
    from peft_lab.tasks.classification import Classification
    from peft_lab.tasks.regression import Regression
    from peft_lab.tasks.tagging import Tagging

    yield Classification
    yield Regression
    yield Tagging
    yield Causal
