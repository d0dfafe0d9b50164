"""What every operation stands on: plugins, the folder of runs, the model and data at hand, one way to train."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from peft_lab import run as runs
from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem, RunProblem
from peft_lab.operations import About
from peft_lab.recipe import Recipe, compose
from peft_lab.run import Run

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.training.progress import Watcher

DEFAULT_MODEL, DEFAULT_DATA = "minilm", "helpdesk"

RunName = Annotated[str, About("a run: run-2, just 2, or a variable that holds one", completes="runs")]


class Bench:
    """A host of plugins, a folder of runs, and the model and data that are at hand.

    Args:
        folder: where runs live; ``PEFT_LAB_RUNS`` or ``./peft_runs`` when not given.
        host: the plugins; those installed when not given.
        namespace: names of the notebook, in which data can be found.
        watch: called with the progress of a run and the function that trains it; shows it live and returns the run.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        host: Host | None = None,
        namespace: Mapping[str, Any] | None = None,
        watch: Watcher | None = None,
    ) -> None:
        self.folder = runs.runs_folder(folder)
        self.namespace = namespace if namespace is not None else {}
        self.watch = watch
        self.model = DEFAULT_MODEL
        self.spec = DataSpec(source=DEFAULT_DATA)
        self.last: Run | None = None
        self._host = host

    @property
    def host(self) -> Host:
        """The plugins, loaded on first need."""
        if self._host is None:
            from peft_lab.host import Host

            self._host = Host()
        return self._host

    def add(self, item: Any) -> None:
        """Offer a method, view, task, model or data set written in the notebook. Adding it again replaces it."""
        self.host.add(item)

    def run(self, name: str | Run) -> Run:
        """A run by id, by path, or by the name of a variable of the notebook that holds one."""
        value = self.namespace.get(name) if isinstance(name, str) else name
        return value if isinstance(value, Run) else runs.find_run(self.folder, str(name))

    # --- for programs -------------------------------------------------------------------------------------------------

    def recipe(self, methods: str, *, model: str | None = None, data: Any = None, **settings: Any) -> Recipe:
        """The recipe that ``train`` would train, without training it."""
        spec = self.spec if data is None else data if isinstance(data, DataSpec) else DataSpec(source=self._place(data))
        recipe = compose(self.host, methods, settings, model=model or self.model, data=spec)
        # Remembered only once it is known to be right.
        self.model, self.spec = recipe.model, spec
        return recipe

    def train_recipe(self, recipe: Recipe) -> Run:
        """Train a recipe and wait for it, shown live where there is someone to show it to."""
        from peft_lab.training.progress import Progress
        from peft_lab.training.session import train

        progress = Progress()

        def work() -> Run:
            # Here, not behind the watcher: it raises when a person stops the run, which is kept all the same.
            self.last = train(recipe, self.host, self.folder, progress)
            return self.last

        return self.watch(progress, work) if self.watch else work()

    def train_each(self, recipes: Iterable[Recipe], *, on: str = "here") -> list[Run]:
        """Train recipes one after another on an executor; what one of them raises ends the rest."""
        executor = self.host.find("executors", on)()
        ids = executor.train_each(
            lambda data: self.train_recipe(Recipe.read(data)).id, (r.model_dump(mode="json") for r in recipes)
        )
        return [self.run(name) for name in ids]

    def _place(self, data: Any) -> str:
        """A table of the notebook is kept as a file, so that its recipe can be trained again."""
        table = self.namespace.get(data) if isinstance(data, str) else data
        if isinstance(data, str) and (table is None or isinstance(table, (str, Path))):
            return data if table is None else str(table)
        from peft_lab.sources.datasets import keep_table

        name = data if isinstance(data, str) else "table"
        return str(keep_table(table, name, self.folder / "data"))

    def _latest(self) -> Run:
        known = runs.list_runs(self.folder)
        if not known:
            raise RunProblem("there is no run yet", "Train one: %peft train bitfit")
        return known[-1]

    def _comparable(self) -> list[Run]:
        """Runs on the data of the latest run with scores."""
        scored = [r for r in runs.list_runs(self.folder) if r.metrics]
        if not scored:
            raise DataProblem("there is no finished run to compare", "Train some: %peft train bitfit")
        data = scored[-1].record["fingerprints"]["data"]
        return [r for r in scored if r.record["fingerprints"]["data"] == data]
