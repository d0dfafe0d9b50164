"""Many recipes: where they are trained."""

from __future__ import annotations

from collections.abc import Iterator

from pluggy_specs import Executor, hookimpl


@hookimpl
def register_executors() -> Iterator[type[Executor]]:
    """Offer the built-in executors."""
    from peft_lab.study.places.here import Here
    from peft_lab.study.places.on_ray import OnRay
    from peft_lab.study.places.processes import Processes

    yield from (Here, Processes, OnRay)
