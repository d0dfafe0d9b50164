"""What is there: where a person is, plugins and what they offer, results drawn and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from peft_lab.bench import Bench
from peft_lab.errors import BadOption, UnknownName, UnknownRun
from peft_lab.operations import About, operation
from peft_lab.recipe import checked
from peft_lab.run import Run

if TYPE_CHECKING:
    from peft_lab.present.picture import Picture
    from peft_lab.present.table import Table


class Looking(Bench):
    """Operations that only look."""

    @operation("", "status")
    def status(self) -> Table:
        """Where am I: device, precision, model, data, runs, and what to type next."""
        from peft_lab.listings.here import status

        return status(self)

    @operation("methods", "methods lora")
    def methods(self, *names: Annotated[str, About("show the options of these methods", completes="methods")]) -> Table:
        """List PEFT methods, or the options of some of them."""
        from peft_lab.listings.offers import method_options, methods

        return method_options(self.host, names) if names else methods(self.host)

    @operation("views")
    def views(self) -> Table:
        """List views and what they need."""
        from peft_lab.listings.offers import views

        return views(self.host)

    @operation("models")
    def models(self) -> Table:
        """List base models that need no network."""
        from peft_lab.listings.offers import sources

        return sources(self.host, "models")

    @operation("datasets")
    def datasets(self) -> Table:
        """List data sets that need no network."""
        from peft_lab.listings.offers import sources

        return sources(self.host, "datasets")

    @operation("plugins")
    def plugins(self) -> Table:
        """List plugins: distribution, version, what they offer, seconds to load."""
        from peft_lab.listings.offers import plugins

        return plugins(self.host)

    @operation("problems", "problems --details")
    def problems(self, details: Annotated[bool, About("with tracebacks")] = False) -> Table:
        """List what went wrong in plugins."""
        from peft_lab.listings.offers import problems

        return problems(self.host, details)

    @operation("runs")
    def runs(self) -> Table:
        """List the runs in the folder, those of other kernels too."""
        from peft_lab.listings.results import runs as list_them

        return list_them(self.folder)

    @operation("show run-2", "show change-map run-2", "show curves run-1 run-2")
    def show(
        self,
        what: Annotated[str, About("a view, or a run", completes="views+runs")],
        *names: Annotated[str, About("runs; the last one when none is named", completes="runs")],
        **settings: Any,
    ) -> Picture | Run:
        """Draw a view of a run, or show the run's card."""
        from peft_lab.listings.results import drawn

        try:
            cls = self.host.find("views", what)
        except UnknownName as error:
            try:
                return self.run(what)
            except UnknownRun:
                raise error from None
        view = cls(checked(cls.Options, {k.replace("-", "_"): v for k, v in settings.items()}, what))
        chosen = [self.run(name) for name in names] or [self._latest()]
        if not view.many and len(chosen) > 1:
            raise BadOption(f"{what} draws one run, not {len(chosen)}", "Name one of them")
        for run in chosen:
            for kind in view.needs:
                run.artifact(kind)
        return drawn(self.host, what, view, chosen)

    @operation("distance run-2", "distance run-1 run-2")
    def distance(
        self, *names: Annotated[str, About("runs; the last one when none is named", completes="runs")]
    ) -> Picture | Run:
        """Show how far each layer went from where it started."""
        return self.show("distance", *names)

    @operation("compare", "compare run-1 run-2", "compare --against seconds")
    def compare(
        self,
        *names: Annotated[str, About("runs; all on the present data when none is named", completes="runs")],
        against: Annotated[str, About("what quality is drawn against: trainable, seconds or memory")] = "trainable",
    ) -> Any:
        """One table and one picture of runs on the same data."""
        from peft_lab.listings.results import comparison

        chosen = [self.run(name) for name in names] or self._comparable()
        return comparison(self.host, chosen, against)
