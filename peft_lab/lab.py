"""Every operation as an ordinary method. Magics, panels and the command line are generated from this class."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from peft_lab import run as runs
from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption, DataProblem, RunProblem, UnknownName
from peft_lab.operations import About, operation
from peft_lab.recipe import Recipe, checked, compose
from peft_lab.run import Run

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.present.picture import Picture
    from peft_lab.present.table import Table
    from peft_lab.training.progress import Watcher

DEFAULT_MODEL, DEFAULT_DATA = "minilm", "helpdesk"

RunName = Annotated[str, About("a run: run-2, just 2, or a variable that holds one", completes="runs")]


class Lab:
    """A bench: a host of plugins, a folder of runs, and the model and data that are at hand.

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

    # --- operations ---------------------------------------------------------------------------------------------------

    @operation("", "status")
    def status(self) -> Table:
        """Where am I: device, precision, model, data, runs, and what to type next."""
        from peft_lab.listings import status

        return status(self)

    @operation("methods", "methods lora")
    def methods(self, *names: Annotated[str, About("show the options of these methods", completes="methods")]) -> Table:
        """List PEFT methods, or the options of some of them."""
        from peft_lab.listings import method_options, methods

        return method_options(self.host, names) if names else methods(self.host)

    @operation("views")
    def views(self) -> Table:
        """List views and what they need."""
        from peft_lab.listings import views

        return views(self.host)

    @operation("models")
    def models(self) -> Table:
        """List base models that need no network."""
        from peft_lab.listings import sources

        return sources(self.host, "models")

    @operation("datasets")
    def datasets(self) -> Table:
        """List data sets that need no network."""
        from peft_lab.listings import sources

        return sources(self.host, "datasets")

    @operation("plugins")
    def plugins(self) -> Table:
        """List plugins: distribution, version, what they offer, seconds to load."""
        from peft_lab.listings import plugins

        return plugins(self.host)

    @operation("problems", "problems --details")
    def problems(self, details: Annotated[bool, About("with tracebacks")] = False) -> Table:
        """List what went wrong in plugins."""
        from peft_lab.listings import problems

        return problems(self.host, details)

    @operation("data helpdesk", "data tickets.csv --text message --label queue --test tickets_test.csv", "data df")
    def data(
        self,
        source: Annotated[
            str, About("a name, a file, a folder, a hub id, or a table of the notebook", completes="datasets")
        ],
        text: Annotated[str | None, About("column with the text")] = None,
        text_pair: Annotated[str | None, About("column with the second text of a pair")] = None,
        label: Annotated[str | None, About("column with the label")] = None,
        test: Annotated[str | None, About("file or table with the test rows", completes="files")] = None,
        validation: Annotated[str | None, About("file or table with the validation rows", completes="files")] = None,
        task: Annotated[str | None, About("what is predicted", completes="tasks")] = None,
        limit: Annotated[int | None, About("use at most this many training rows")] = None,
    ) -> Table:
        """Choose the data, read it and show what is in it."""
        from peft_lab.listings import data
        from peft_lab.sources.datasets import load_data

        columns = {"text": text, "text_pair": text_pair, "label": label, "task": task, "limit": limit}
        files = {"source": source, "test": test, "validation": validation}
        placed = {name: self._place(value) for name, value in files.items() if value is not None}
        spec = checked(DataSpec, {**columns, **placed}, "data")
        loaded = load_data(spec, self.host)
        self.spec = spec
        return data(loaded)

    @operation("model minilm", "model ./my-model")
    def model_(self, name: Annotated[str, About("a name, a folder or a hub id", completes="models")]) -> Table:
        """Choose the base model and show what it is."""
        from peft_lab.listings import model

        shown = model(self.host, name)
        self.model = name
        return shown

    @operation(
        "train lora --rank 8",
        "train bitfit --data helpdesk --model minilm --epochs 3",
        "train lora --learning-rate 1e-3 --seed 1",
    )
    def train(
        self,
        methods: Annotated[str, About("one method, or several joined by +", completes="methods")],
        model: Annotated[str | None, About("base model; remembered", completes="models")] = None,
        data: Annotated[str | None, About("data; remembered", completes="datasets")] = None,
        **settings: Any,
    ) -> Run:
        """Fine-tune the base model with one or more PEFT methods."""
        return self.train_recipe(self.recipe(methods, model=model, data=data, **settings))

    @operation("runs")
    def runs(self) -> Table:
        """List the runs in the folder, those of other kernels too."""
        from peft_lab.listings import runs as list_them

        return list_them(self.folder)

    @operation("show run-2", "show change-map run-2", "show curves run-1 run-2")
    def show(
        self,
        what: Annotated[str, About("a view, or a run", completes="views+runs")],
        *names: Annotated[str, About("runs; the last one when none is named", completes="runs")],
        **settings: Any,
    ) -> Picture | Run:
        """Draw a view of a run, or show the run's card."""
        from peft_lab.present.picture import render

        try:
            cls = self.host.find("views", what)
        except UnknownName as error:
            try:
                return self.run(what)
            except RunProblem:
                raise error from None
        view = cls(checked(cls.Options, {k.replace("-", "_"): v for k, v in settings.items()}, what))
        chosen = [self.run(name) for name in names] or [self._latest()]
        if not view.many and len(chosen) > 1:
            raise BadOption(f"{what} draws one run, not {len(chosen)}", "Name one of them")
        for run in chosen:
            for kind in view.needs:
                run.artifact(kind)
        return render(view.draw(chosen))

    @operation("compare", "compare run-1 run-2", "compare --against seconds")
    def compare(
        self,
        *names: Annotated[str, About("runs; all on the present data when none is named", completes="runs")],
        against: Annotated[str, About("what quality is drawn against: trainable, seconds or memory")] = "trainable",
    ) -> Any:
        """One table and one picture of runs on the same data."""
        from peft_lab.listings import comparison

        chosen = [self.run(name) for name in names] or self._comparable()
        return comparison(self.host, chosen, against)

    @operation('predict run-2 "my badge does not open the garage"')
    def predict(
        self,
        name: RunName,
        *texts: Annotated[str, About("texts to answer for")],
        pair: Annotated[str | None, About("second text, for tasks on text pairs")] = None,
        top: Annotated[int, About("how many answers to show")] = 3,
    ) -> Table:
        """Answer for new texts with a trained run."""
        from peft_lab.listings import predictions
        from peft_lab.training.restore import restore

        if not texts:
            raise BadOption("no text to answer for", 'Put it in quotes: predict run-2 "my badge does not work"')
        run = self.run(name)
        wants_pair = run.record["data"]["columns"].get("text_pair") is not None
        if wants_pair != (pair is not None):
            raise BadOption(
                f"{run.id} was trained on {'pairs of texts' if wants_pair else 'single texts'}",
                "Give the second text with --pair" if wants_pair else "Leave out --pair",
            )
        rows = [{"text": t, **({"text_pair": pair} if pair is not None else {})} for t in texts]
        restored = restore(run, self.host)
        answers = restored.task.answers(restored.outputs(rows), restored.targets)
        return predictions(run, rows, answers, top)

    # --- for programs -------------------------------------------------------------------------------------------------

    def recipe(self, methods: str, *, model: str | None = None, data: Any = None, **settings: Any) -> Recipe:
        """The recipe that :meth:`train` would train, without training it."""
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
