"""The executor that needs nothing: this process, one recipe after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from peft_lab.study.places.stopping import stopped_when
from pluggy_specs import Executor


class Here(Executor):
    """Trains in this process, in the order given."""

    name = "here"
    summary = "this process, one run after another"

    def run_cells(
        self,
        work: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        cells: Iterable[Mapping[str, Any]],
        stop: Callable[[], bool],
    ) -> Iterator[Mapping[str, Any]]:
        """As every executor does unless it says otherwise; the run that is trained is asked to stop, too."""

        def watched(cell: Mapping[str, Any]) -> Mapping[str, Any]:
            with stopped_when(stop, cell):
                return work(cell)

        return super().run_cells(watched, cells, stop)
