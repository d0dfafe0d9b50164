"""Studies: many trainings that answer one question, with their spread, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from peft_lab.bench import Bench
from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption, nearest
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.listings.study import StudyShown
    from peft_lab.present.table import Table
    from peft_lab.study.engine import Engine
    from peft_lab.study.plan import Plan

VERBS = ("show", "forecast", "stop", "resume")
SPLITS = ("test", "validation")
JUDGED = ("text", "text_pair", "label", "task", "metric")


class Studying(Bench):
    """Operations on studies."""

    @operation(
        "study --methods full,lora,bitfit --examples 100,all --seeds 3",
        "study",
        "study show pilot --against lora",
        "study forecast pilot",
        "study resume pilot --on processes --workers 2",
        "study stop pilot",
    )
    def study(
        self,
        what: Annotated[
            str | None,
            About("show, forecast, stop or resume; left out: run what the cell says", completes="studies", word=True),
        ] = None,
        name: Annotated[
            str | None, About("of the study; the latest one when none is named", completes="studies", word=True)
        ] = None,
        methods: Annotated[Any, About("what is compared: [full, lora, {lora: {rank: 2}}, prefix length=24]")] = None,
        examples: Annotated[Any, About("training rows: [100, 30%, all]")] = None,
        budget: Annotated[Any, About("time of training: [30s, 2m]; all steps when not given")] = None,
        seeds: Annotated[Any, About("how many, or which: 5, [0, 1, 2]; 3 when not given")] = None,
        sweep: Annotated[Any, About("learning rates tried on validation: auto, {learning_rate: [1e-3, 3e-3]}")] = None,
        model: Annotated[str | None, About("base model; remembered", completes="models")] = None,
        data: Annotated[Any, About("data; remembered", completes="datasets")] = None,
        test: Annotated[str | None, About("file or table with the test rows", completes="files")] = None,
        validation: Annotated[str | None, About("file or table with the validation rows", completes="files")] = None,
        text: Annotated[str | None, About("column with the text")] = None,
        text_pair: Annotated[str | None, About("column with the second text of a pair")] = None,
        label: Annotated[str | None, About("column with the label")] = None,
        task: Annotated[str | None, About("what is predicted", completes="tasks")] = None,
        metric: Annotated[str | None, About("the score that decides, such as matthews")] = None,
        keep: Annotated[
            Literal["auto", "none", "best", "all"] | None, About("whose weights stay; auto: small ones")
        ] = None,
        subsets: Annotated[Literal["by seed", "same"] | None, About("whether each seed trains on its own rows")] = None,
        validation_rows: Annotated[int | None, About("rows that choose the best state and the rate")] = None,
        on: Annotated[str, About("where cells are trained", completes="executors")] = "here",
        workers: Annotated[int | None, About("cells side by side, where the executor can")] = None,
        bg: Annotated[bool, About("in a process of its own; the next cells stay usable")] = False,
        forecast: Annotated[bool, About("only say what would be done, and how long it takes")] = False,
        again: Annotated[bool, About("try cells that failed once more")] = False,
        against: Annotated[str | None, About("of show: the method that others are compared with")] = None,
        **settings: Annotated[Any, About("", completes="training")],
    ) -> StudyShown | Table:
        """Compare methods over data sizes, time budgets and seeds; finished cells are never run twice."""
        from peft_lab.listings import study as listings
        from peft_lab.study.book import find_study

        verb, name = _verb(what, name)
        said = {"examples": examples, "budget": budget, "seeds": seeds, "sweep": sweep, "keep": keep}
        said |= {"subsets": subsets, "validation_rows": validation_rows}
        about_data = {"test": test, "validation": validation}
        about_data |= {"text": text, "text_pair": text_pair, "label": label, "task": task, "metric": metric}
        if verb == "stop":
            study = find_study(self.folder, name)
            study.ask_to_stop()
            return listings.state_table(study, _rows(study))
        if methods is None:
            loose = [k for k, v in {**said, **about_data, **settings, "data": data}.items() if v is not None]
            if loose:
                raise BadOption("a study needs methods", "Write methods: [full, lora]", loose[0])
            if verb in ("", "show"):
                return listings.shown(find_study(self.folder, name), self.host, against)
            plan = find_study(self.folder, name).plan
            name = name or find_study(self.folder).name
        elif verb in ("show", "resume"):
            raise BadOption(f"{verb} takes no methods", "Leave the word out to run what the cell says", "methods")
        else:
            plan = self._planned(model, data, about_data, methods, {**said, "name": name}, settings)
        engine = self._engine(plan, name, again)
        executor = self._executor(engine, on, workers, bg=bg)
        if forecast or verb == "forecast":
            from peft_lab.study.choosing import width_of

            return listings.forecast(engine.foretell(width_of(executor), all_methods=True))
        if bg:
            from peft_lab.study.worker import in_background

            engine.open()
            in_background(engine.study, on, workers, again=again)
            return listings.shown(engine.study, self.host, against)
        self._carried_out(engine, executor)
        return listings.shown(engine.study, self.host, against)

    @operation("studies")
    def studies(self) -> Table:
        """List the studies in the folder of runs."""
        from peft_lab.listings.study import listing

        return listing(self.folder)

    def _planned(
        self,
        model: str | None,
        data: Any,
        about_data: Mapping[str, Any],
        methods: Any,
        said: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> Plan:
        """The plan that a cell asks for; its model and data are remembered once it is known to be right."""
        from peft_lab.study.plan import Plan

        spec = self._data_of(data, about_data)
        training = {name: value for name, value in self.defaults.training.items() if name not in ("seed",)}
        training.pop("learning_rate", None)
        if (most := training.pop("max_seconds", None)) is not None and said.get("budget") is None:
            said = {**said, "budget": [most]}
        plan = Plan.ask(
            model=model or self.model, data=spec, methods=methods, training={**training, **settings}, **said
        )
        self.model, self.spec = model or self._chosen_model, self._chosen_data if data is None else spec
        return plan

    def _data_of(self, data: Any, about: Mapping[str, Any]) -> DataSpec:
        """Which data is meant: those at hand, a name, or a mapping of a source and its columns."""
        said = {name: value for name, value in about.items() if value is not None}
        if isinstance(data, DataSpec) or data is None:
            spec = self.spec if data is None else data
            return self.data_spec(spec.source, **{**spec.model_dump(exclude={"source"}), **said}) if said else spec
        if not isinstance(data, Mapping):
            return self.data_spec(data, **said)
        inside = {str(name).replace("-", "_"): value for name, value in data.items() if value is not None}
        source = inside.pop("source", None)
        if source is None:
            raise BadOption("data: a mapping needs a source", "Write data: {source: tickets.csv, label: queue}", "data")
        unknown = [name for name in inside if name not in DataSpec.model_fields]
        if unknown:
            hint = nearest(unknown[0], DataSpec.model_fields, most=40)
            raise BadOption(f"data has no {unknown[0]!r}", hint, f"data.{unknown[0]}")
        return self.data_spec(source, **{**inside, **said})

    def _engine(self, plan: Plan, name: str | None, again: bool) -> Engine:
        """What carries a plan out, with its cells known."""
        from peft_lab.study.book import place_for
        from peft_lab.study.engine import Engine
        from peft_lab.study.grid import Grid
        from peft_lab.study.ground import survey

        study = place_for(plan.model_copy(update={"name": name}) if name else plan, self.folder)
        same = study.begun and study.plan.data == plan.data
        ground = survey(plan, self.host, study.content.get("settled") if same else None)
        return Engine(study, Grid(plan, ground, self.host, self.run), self.host, again=again)

    def _executor(self, engine: Engine, on: str, workers: int | None, *, bg: bool) -> Any:
        from peft_lab.study.choosing import executor_of, is_here
        from peft_lab.training.worker import must_be_seen_elsewhere

        executor = executor_of(self.host, on, workers)
        if bg or not is_here(executor):
            for recipe in (*engine.grid.recipes.values(), engine.grid.base):
                must_be_seen_elsewhere(recipe, self.host)
        return executor

    def _carried_out(self, engine: Engine, executor: Any) -> None:
        self.forget_served()  # its memory is needed

        if self.watch_study is not None:
            self.watch_study(engine.progress, lambda: engine.run(executor))
        else:
            engine.run(executor)


def _verb(what: str | None, name: str | None) -> tuple[str, str | None]:
    """What is asked for, and of which study. A word that is no verb is a study's name."""
    if what is None or what in VERBS:
        return what or "", name
    if name is not None:
        raise BadOption(f"study has no {what!r}", nearest(what, VERBS), "what")
    return "", what


def _rows(study: Any) -> Any:
    from peft_lab.study.outcome import rows_of

    return rows_of(study)
