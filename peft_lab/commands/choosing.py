"""Which data and which base model are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from peft_lab.bench import Bench
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.present.table import Table


class Choosing(Bench):
    """Operations that choose data and base model."""

    @operation(
        "data helpdesk",
        "data tickets.csv --text message --label queue --test tickets_test.csv",
        "data df",
        "data glue/cola",
        "data entities.conll --test entities_test.conll",
        "data prices.csv --task regression",
        "data talks.jsonl",
    )
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
        metric: Annotated[str | None, About("the score that chooses the best state, such as matthews")] = None,
        limit: Annotated[int | None, About("use at most this many training rows")] = None,
    ) -> Table:
        """Choose the data, read it and show what is in it."""
        from peft_lab.listings.inputs import data
        from peft_lab.sources.datasets import load_data
        from peft_lab.training.preparing import choose_score, make_task

        if task is not None:
            self.host.find("tasks", task)
        columns = {"text": text, "text_pair": text_pair, "label": label}
        judged = {"task": task, "metric": metric}
        spec = self.data_spec(source, test=test, validation=validation, **columns, **judged, limit=limit)
        loaded = load_data(spec, self.host)
        if loaded.spec.metric is not None:
            judge = make_task(self.host, loaded.task)
            choose_score(judge, judge.targets(loaded.splits["train"]), loaded.spec.metric)
        self.spec = spec
        return data(loaded)

    @operation("model minilm", "model ./my-model")
    def model_(self, name: Annotated[str, About("a name, a folder or a hub id", completes="models")]) -> Table:
        """Choose the base model and show what it is."""
        from peft_lab.listings.inputs import model

        shown = model(self.host, name)
        self.model = name
        return shown
