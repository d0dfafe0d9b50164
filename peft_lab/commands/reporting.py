"""A page to bring to a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from peft_lab.bench import Bench
from peft_lab.errors import BadOption, RunProblem
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.present.table import Table
    from peft_lab.reporting import Material

SUFFIXES = (".html", ".htm")


class Reporting(Bench):
    """Operations that report."""

    @operation(
        "report pilot.html --study pilot",
        "report pilot.html --language ja",
        "report two.html run-7 run-8",
        "report pilot.html --study pilot --costs costs.csv --defer 0.2",
    )
    def report(
        self,
        file: Annotated[str, About("a page to be written", completes="files")],
        *names: Annotated[str, About("runs; the latest study when nothing is named", completes="runs")],
        study: Annotated[str | None, About("a study", completes="studies")] = None,
        language: Annotated[Literal["en", "ja"], About("English or Japanese")] = "en",
        costs: Annotated[Any, About("what wrong answers cost: a CSV file, or a table", completes="files")] = None,
        defer: Annotated[float | None, About("price of handing a text to a person")] = None,
        replace: Annotated[bool, About("although something else stands there")] = False,
    ) -> Table:
        """Write a page about a study or runs for people who decide: answer, costs, risks, how to go back."""
        from peft_lab.reporting import report
        from peft_lab.reporting.saving import writable, written

        if study is not None and names:
            raise BadOption("a report is about a study or about runs", "Leave --study or the runs out", "study")
        place = writable(file, SUFFIXES, replace=replace)
        material = self._material(names, study)
        if costs is not None or defer is not None:
            material = self._priced(material, costs, defer) or self._material(names, study)
        return written(place, report(material, language), material, language)

    def _material(self, names: tuple[str, ...], study: str | None) -> Material:
        from peft_lab.reporting import gathering

        if names:
            return gathering.of_runs([self.run(name) for name in names], self.host)
        found = self._study(study)
        if found is None:
            return gathering.of_runs([self._latest()], self.host)
        from peft_lab.study.outcome import rows_of

        return gathering.of_study(rows_of(found), self.host, file=str(found.path / "study.json"))

    def _study(self, name: str | None) -> Any:
        """A study by name; the latest one, or None, where none is named."""
        from peft_lab.study.book import find_study, studies_in

        if name is not None:
            return find_study(self.folder, name)
        known = studies_in(self.folder)
        return max(known, key=lambda study: study.created) if known else None

    def _priced(self, material: Material, costs: Any, defer: float | None) -> Material | None:
        """With what wrong answers cost, of the run that the report names. None: it was judged just now, and is kept."""
        from dataclasses import replace

        from peft_lab.judging.judge import judge
        from peft_lab.reporting.choosing import recommended
        from peft_lab.reporting.judged import with_prices

        if not material.comparable:
            raise RunProblem("these runs used different data, so none is named to be judged", "Name one run")
        method = recommended(material)
        row = material.run_of(method) if method else None
        if row is None:
            raise RunProblem("no run has ended with a score, so there is nothing to judge", "Leave --costs out")
        self.forget_served()  # its memory is needed
        table = self.namespace.get(costs, costs) if isinstance(costs, str) else costs
        before = next((risk for risk in material.risks if risk.path == row.path), None)
        how: dict[str, Any] = {"costs": table, "defer": defer, "latency": False, "keep": before is None}
        found = judge(self.run(row.path), self.host, **how).as_json()
        if before is None:
            return None
        others = [other for other in material.risks if other.method != method]
        return replace(material, risks=(with_prices(before, found), *others))
