"""The executor that needs nothing: this process, one recipe after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pluggy_specs import Executor


class Here(Executor):
    """Trains in this process, in the order given."""

    name = "here"
    summary = "this process, one run after another"

    def train_each(
        self, train: Callable[[Mapping[str, Any]], str], recipes: Iterable[Mapping[str, Any]]
    ) -> Iterator[str]:
        """Train and yield one run id after another."""
        for recipe in recipes:
            yield train(recipe)
