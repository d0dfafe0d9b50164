"""What every operation stands on: plugins, the folder of runs, the model and data at hand, one way to train."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from peft_lab import run as runs
from peft_lab.asking import gave, named
from peft_lab.checking.outputs import Session
from peft_lab.data_spec import DataSpec
from peft_lab.defaults import Defaults, Source, in_effect
from peft_lab.errors import DataProblem, PeftLabError, RunProblem
from peft_lab.offline import back_online, go_offline
from peft_lab.operations import About
from peft_lab.recipe import Recipe, checked, compose
from peft_lab.run import Run

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.rows import StudyRows
    from peft_lab.selfcheck import Check
    from peft_lab.study.progress import StudyProgress
    from peft_lab.training.progress import Progress, Watcher
    from peft_lab.training.restore import Restored
    from pluggy_specs import Task

DEFAULT_MODEL, DEFAULT_DATA = "minilm", "helpdesk"

RunName = Annotated[str, About("a run: run-2, just 2, or a variable that holds one", completes="runs")]


@dataclass(frozen=True)
class Served:
    """A model that can answer, and the weights it was built from."""

    of: tuple[Path, int, int]
    restored: Restored


class Busy(RunProblem):
    """Another run is training on a base model."""

    def __init__(self, run: Run, model: str) -> None:
        super().__init__(
            f"{run.id} is training on {model} now",
            f"Say %peft wait {run.id}, or %peft stop {run.id}; or train --beside it, or --replace it",
        )
        self.run = run


class Skin(Protocol):
    """What only a notebook can do."""

    def panel(self, methods: str | None, model: str | None, data: Any, settings: Mapping[str, Any]) -> None:
        """Open the panel, filled with what is given."""

    def explore(self, runs: Sequence[Run], what: str | None) -> None:
        """Open the explorer of runs, with a view."""

    def checks(self) -> Mapping[str, Check]:
        """What only a notebook can look at for ``selfcheck``, by name."""

    def choose_profile(self, name: str) -> None:
        """Set the profile of this notebook, and tell the lab."""


def data_of(run: Run) -> str | None:
    """The hash of the data of a run; None where it is not known."""
    found: str | None = run.record.get("fingerprints", {}).get("data")
    return found


def weights_stamp(run: Run) -> tuple[Path, int, int]:
    """Which weights a run has: their folder, time and size. A run that goes on gets others."""
    file = run.path / runs.WEIGHTS
    stat = file.stat() if file.exists() else None
    return run.path, stat.st_mtime_ns if stat else 0, stat.st_size if stat else 0


class Bench:
    """A host of plugins, a folder of runs, and the model and data that are at hand.

    Args:
        folder: where runs live; ``PEFT_LAB_RUNS`` or ``./peft_runs`` when not given.
        host: the plugins; those installed when not given.
        namespace: names of the notebook, in which data can be found.
        watch: called with the progress of a run and the function that trains it; shows it live and returns the run.
        follow: called with a run that goes on in another process; shows it live and returns it when it has ended.
        defaults: settings used where nothing is said; those built in when not given.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        host: Host | None = None,
        namespace: Mapping[str, Any] | None = None,
        watch: Watcher | None = None,
        follow: Callable[[Run], Run] | None = None,
        defaults: Defaults | None = None,
    ) -> None:
        self._defaults = in_effect(Source(""))
        self.defaults = defaults or self._defaults
        self.folder = runs.runs_folder(folder or self.defaults.get("runs"))
        self.namespace = namespace if namespace is not None else {}
        self.watch = watch
        self.follow = follow
        self.trouble = ""
        """The traceback of the last error of a ``%peft``, as text: frames would keep a model in memory."""
        self._chosen_model: str | None = None
        self._chosen_data: DataSpec | None = None
        self.last: Run | None = None
        self.plans: dict[str, dict[str, Any]] = {}
        """Forecasts of plans made here, by the recipe's fingerprint."""
        self.served: Served | None = None
        """The model that answered last, kept so that it answers again at once."""
        self.served_base: Restored | None = None
        """Its base model, where that was asked too."""
        self.session = Session()
        """What cells of this kernel have shown; a skin that has cells keeps it."""
        self.read_cell: Callable[[str], list[Any]] | None = None
        """Reads the calls of operations in a cell's text; given by a skin that knows how they are typed."""
        self.watch_study: Callable[[StudyProgress, Callable[[], StudyRows]], StudyRows] | None = None
        """Carries a study out by calling its second argument, and shows it live; given by a skin that can."""
        self.tells: Callable[[], AbstractContextManager[Progress]] | None = None
        """Shows how far something is that leaves no run, inside the block; given by a skin that can."""
        self.skin: Skin | None = None
        """Given by a skin that can show widgets."""
        self._host = host

    @property
    def host(self) -> Host:
        """The plugins, loaded on first need."""
        if self._host is None:
            from peft_lab.host import Host

            self._host = Host()
        return self._host

    @property
    def defaults(self) -> Defaults:
        """Settings used where nothing is said."""
        return self._defaults

    @defaults.setter
    def defaults(self, defaults: Defaults) -> None:
        before, self._defaults = self._defaults, defaults
        if defaults.get("offline"):
            go_offline()
        elif before.get("offline"):  # only what was switched off for this bench
            back_online()

    @property
    def model(self) -> str:
        """The base model at hand: the one chosen last, else that of the settings. None gives the choice up."""
        return self._chosen_model or str(self.defaults.get("model", DEFAULT_MODEL))

    @model.setter
    def model(self, name: str | None) -> None:
        self._chosen_model = name

    @property
    def spec(self) -> DataSpec:
        """The data at hand: those chosen last, else those of the settings. None gives the choice up."""
        return self._chosen_data or DataSpec(source=self.defaults.get("data", DEFAULT_DATA))

    @spec.setter
    def spec(self, spec: DataSpec | None) -> None:
        self._chosen_data = spec

    def add(self, item: Any) -> None:
        """Offer a method, view, task, model or data set written in the notebook. Adding it again replaces it."""
        self.host.add(item)
        self.forget_served()

    def run(self, name: str | Run) -> Run:
        """A run by id, by path, or by the name of a variable of the notebook that holds one.

        Raises:
            RunProblem: there is none, or its record is damaged.
        """
        value = self.namespace.get(name) if isinstance(name, str) else name
        return (value if isinstance(value, Run) else runs.find_run(self.folder, str(name))).readable()

    def writing_run(self, name: str | Run, hint: str) -> Run:
        """A run whose model writes.

        Args:
            hint: what is said where it does not; ``{}`` stands for its id.

        Raises:
            RunProblem: it does not, or there is none.
        """
        run = self.run(name)
        if not run.record.get("generates"):
            task = run.record.get("task", "not known")
            raise RunProblem(f"{run.id} does not write: its task is {task}", hint.format(run.id))
        return run

    def serve(self, run: Run) -> Restored:
        """The model of a run, built when it is not the one that answered last. One is kept at a time."""
        from peft_lab.training.restore import restore

        if self.served is None or self.served.of != weights_stamp(run):
            self.forget_served()
            self.keep_served(run, restore(run, self.host))
        assert self.served is not None
        return self.served.restored

    def keep_served(self, run: Run, restored: Restored) -> None:
        """Keep a model that was built, in place of the one before."""
        self.served = Served(weights_stamp(run), restored)

    def serve_base(self, run: Run) -> Restored:
        """The base model of a run, beside the model of the run itself."""
        from peft_lab.training.restore import untrained

        self.serve(run)  # another run's models are given up first
        if self.served_base is None:
            self.served_base = untrained(run, self.host)
        return self.served_base

    def forget_served(self) -> None:
        """Give up the memory of the model that answered last."""
        self.served = self.served_base = None

    # --- for programs -------------------------------------------------------------------------------------------------

    def recipe(self, methods: str, *, model: str | None = None, data: Any = None, **settings: Any) -> Recipe:
        """The recipe that ``train`` would train, without training it; its model and data are remembered."""
        recipe = self.composed(methods, model=model, data=data, **settings)
        # Remembered only once it is known to be right.
        self.model, self.spec = model or self._chosen_model, self._chosen_data if data is None else recipe.data
        return recipe

    def composed(self, methods: str, *, model: str | None = None, data: Any = None, **settings: Any) -> Recipe:
        """The same recipe, with nothing remembered."""
        spec = self.spec if data is None else data if isinstance(data, DataSpec) else DataSpec(source=self._place(data))
        return compose(
            self.host,
            methods,
            settings,
            model=model or self.model,
            data=spec,
            defaults=self.defaults.training,
            find_run=self.run,
            task=self._task_of(spec),
        )

    def data_spec(self, source: Any, *, test: Any = None, validation: Any = None, **said: Any) -> DataSpec:
        """Which data is meant; tables of the notebook are kept as files first."""
        files = {"source": source, "test": test, "validation": validation}
        placed = {name: self._place(value) for name, value in files.items() if value is not None}
        return checked(DataSpec, {**said, **placed}, "data")

    def train_recipe(self, recipe: Recipe, *, anyway: bool = False) -> Run:
        """Train a recipe and wait for it, shown live where there is someone to show it to."""
        return self.watched(self.training_of(recipe, anyway=anyway))

    def training_of(self, recipe: Recipe, *, anyway: bool = False) -> Callable[[Progress], Run]:
        """What trains a recipe in this process when it is called, with the forecast of a plan that was made here."""
        from peft_lab.training.session import train

        forecast = self.plans.get(recipe.fingerprint)
        return lambda progress: train(recipe, self.host, self.folder, progress, forecast=forecast, anyway=anyway)

    def train_in_background(self, recipe: Recipe, *, anyway: bool = False) -> Run:
        """Begin to train a recipe in a process of its own, and return its run at once."""
        from peft_lab.training.worker import train_in_background

        forecast = self.plans.get(recipe.fingerprint)
        self.last = train_in_background(recipe, self.host, self.folder, forecast=forecast, anyway=anyway)
        return self.last

    def told(self) -> AbstractContextManager[Progress]:
        """A progress for what leaves no run, shown inside the block where there is someone to show it to."""
        from peft_lab.training.progress import Progress

        return self.tells() if self.tells else nullcontext(Progress())

    def watched(self, train: Callable[[Progress], Run]) -> Run:
        """Call a function that trains, shown live where there is someone to show it to."""
        from peft_lab.training.progress import Progress

        self.forget_served()  # its memory is needed
        progress = Progress()

        def work() -> Run:
            # Here, not behind the watcher: it raises when a person stops the run, which is kept all the same.
            self.last = train(progress)
            return self.last

        return self.watch(progress, work) if self.watch else work()

    def must_be_free(self, model: str) -> None:
        """Refuse to train on a base model that another run is training on.

        Raises:
            Busy: there is one.
        """
        busy = self.training_on(model)
        if busy is not None:
            raise Busy(busy, model)

    def training_on(self, model: str) -> Run | None:
        """The run that is training on a base model now; None where there is none."""
        from peft_lab.training.together import place

        if place():  # of several processes, all of which are about to train on it, the main one has asked
            return None
        return next((r for r in runs.readable_runs(self.folder) if r.active and r.recipe.model == model), None)

    def train_each(self, recipes: Iterable[Recipe], *, on: str = "here") -> list[Run]:
        """Train recipes one after another on an executor; what one of them raises ends the rest."""
        raised: list[BaseException] = []

        def train(data: Mapping[str, Any]) -> str:
            try:
                return self.train_recipe(Recipe.read(data)).id
            except BaseException as error:  # of the training, whatever the executor makes of it
                raised.append(error)
                raise

        with self.host.asking("executors", on, "train_each"):
            try:
                ids = list(
                    self.host.find("executors", on)().train_each(
                        train, (recipe.model_dump(mode="json") for recipe in recipes)
                    )
                )
            except Exception as error:
                if not any(error is one for one in raised) or isinstance(error, PeftLabError):
                    raise
                ids = []
            if wrong := [name for name in ids if not isinstance(name, str)]:
                raise gave("executors", on, "train_each", named(wrong[0]), "the id of each run")
        if raised and not ids:
            raise raised[-1]
        return [self.run(name) for name in ids]

    def _task_of(self, spec: DataSpec) -> type[Task] | None:
        """The task that data will be of, as far as it can be told without much reading; some need other settings."""
        from peft_lab.sources.guessing import task_of

        name = task_of(spec, self.host)
        return self.host.find("tasks", name) if name is not None and name in self.host.offers("tasks") else None

    def _place(self, data: Any) -> str:
        """A table of the notebook is kept as a file, so that its recipe can be trained again."""
        table = self.namespace.get(data) if isinstance(data, str) else data
        if isinstance(data, str) and (table is None or isinstance(table, (str, Path))):
            return data if table is None else str(table)
        from peft_lab.sources.tables import keep_table

        name = data if isinstance(data, str) else "table"
        return str(keep_table(table, name, self.folder / "data"))

    def _latest(self) -> Run:
        known = runs.readable_runs(self.folder)
        if not known:
            raise RunProblem("there is no run yet", "Train one: %peft train bitfit")
        return known[-1]

    def _comparable(self) -> list[Run]:
        """Runs on the data of the latest run with scores."""
        scored = [r for r in runs.readable_runs(self.folder) if r.metrics]
        if not scored:
            raise DataProblem("there is no finished run to compare", "Train some: %peft train bitfit")
        data = data_of(scored[-1])
        return [r for r in scored if data_of(r) == data]
