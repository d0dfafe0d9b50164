"""What all cells of a study stand on: one test split, one validation split, the number of rows, and hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption
from peft_lab.study import texts
from peft_lab.study.plan import Plan
from peft_lab.study.reading import rows_asked

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.sources.datasets import Data

TEST_SHARE = 0.2
"""Of all rows, carved out as test where the data has no test split."""
FEWEST = 50
"""Rows that validate at least: with fewer, one answer moves the score by more than two hundredths."""


@dataclass(frozen=True)
class Ground:
    """What was found in the data, and settled once for all cells."""

    spec: DataSpec
    """The data with its carving spelled out, and no limit."""
    rows: int
    """Training rows that are there, behind the carving."""
    labels: int
    """Different labels; 0 where labels are no classes."""
    data: str
    """Hash of the data's content."""
    model: str
    """Hash of the base model's weights."""
    task: str
    generates: bool
    notes: tuple[str, ...]
    settled: Mapping[str, Any]
    """What was chosen here, kept with the study: cells that are added later must stand on the same."""


def survey(plan: Plan, host: Host, settled: Mapping[str, Any] | None = None) -> Ground:
    """Read the data once, and settle what all cells share.

    Args:
        settled: what was settled when the study began.

    Raises:
        PeftLabError: data or model cannot be found, there are fewer rows than a cell needs, or no such metric.
    """
    from peft_lab.sources.datasets import load_data
    from peft_lab.sources.models import find_model
    from peft_lab.training.preparing import choose_score, make_task

    settled = dict(settled or {})
    spec = plan.data.model_copy(update={"test_share": plan.data.test_share or settled.get("test_share") or TEST_SHARE})
    found = load_data(spec, host)
    if "test" not in found.carved:
        spec = spec.model_copy(update={"test_share": None})
    wanted = _validation(plan, found, settled)
    spec = spec.model_copy(update=wanted)
    if wanted:
        found = load_data(spec, host)
    labels = len(found.labels)
    there, sizes = len(found.splits["train"]), {}
    for at, asked in enumerate(plan.examples):
        sizes[asked] = count = rows_asked(asked, there)
        if count < labels:
            few = f"examples: {asked} are {count} training rows, too few for {labels} labels"
            raise BadOption(few, "Each label needs one row at least", f"examples.{at}")
    task = make_task(host, found.task)
    choose_score(task, task.targets(found.splits["train"]), spec.metric)  # now, rather than in each cell
    return Ground(
        spec=spec,
        rows=there,
        labels=labels,
        data=found.fingerprint,
        model=find_model(plan.model, host).fingerprint,
        task=found.task,
        generates=task.generates,
        notes=tuple(_notes(plan, found, min(sizes.values()))),
        settled={name: getattr(spec, name) for name in CHOSEN},
    )


CHOSEN = ("test_share", "validation_share", "validation_most", "validation_limit")


def _validation(plan: Plan, found: Data, settled: Mapping[str, Any]) -> dict[str, Any]:
    """How many rows validate, as changes of the data's declaration.

    Not more than the smallest cell trains on: whoever has a hundred labelled rows cannot choose on five hundred others.
    """
    if plan.validation_rows is None and settled:
        return {name: settled[name] for name in CHOSEN if name != "test_share"}
    train, there = len(found.splits["train"]), len(found.splits["validation"])
    own = "validation" not in found.carved
    count = plan.validation_rows
    if count is None:
        smallest = min(rows_asked(asked, train) for asked in plan.examples)
        usual = min(there, plan.data.validation_most) if own else there
        count = min(usual, max(smallest, FEWEST))
    if own:
        return {"validation_limit": count} if count < there else {}
    if count == there:
        return {}
    share = plan.data.validation_share
    needed = (count + 0.5) / (train + there)
    return {"validation_most": count} | ({"validation_share": min(0.9, needed)} if needed > share else {})


def _notes(plan: Plan, found: Data, smallest: int) -> list[str]:
    validation, notes = len(found.splits["validation"]), []
    if "test" in found.carved:
        notes.append(texts.TEST_CARVED.format(count=len(found.splits["test"])))
    notes.append(texts.VALIDATION.format(count=validation))
    if validation > smallest:
        notes.append(texts.VALIDATION_LARGE.format(validation=validation, smallest=smallest))
    if plan.subsets == "same" and len(plan.seeds) > 1 and smallest < len(found.splits["train"]):
        notes.append(texts.SAME_SUBSETS)
    return notes
