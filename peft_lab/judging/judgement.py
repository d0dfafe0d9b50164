"""What a judging found, as plain data beside the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from peft_lab.errors import RunProblem

if TYPE_CHECKING:
    from peft_lab.present.table import Table
    from peft_lab.run import Run

FILE = "judgement.json"
FORMAT = 1


@dataclass(frozen=True)
class Judgement:
    """Field measures of one run. What each measure holds stands in docs/judging.md."""

    run: str
    method: str
    model: str
    data: str
    task: str
    headline: str
    seed: int
    judged: str
    """When, UTC."""
    seconds: float
    weights: str
    """SHA-256 of the weights that were judged."""
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]
    asked: Mapping[str, Any]
    """``costs``, ``defer``, ``risk``, ``latency``, ``typos``."""
    measures: Mapping[str, Mapping[str, Any]]
    """By name: ``quality``, ``latency``, ``size``, ``calibration``, ``risk``, ``harm``, ``churn``, ``typos``,
    ``forgetting``, ``mistakes``."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Measures that do not apply or could not be taken, and why."""
    notes: Sequence[str] = ()
    format: int = FORMAT

    def table(self) -> Table:
        """The measures in words that anybody can read."""
        from peft_lab.judging.tables import summary

        return summary(self)

    def as_json(self) -> dict[str, Any]:
        """Plain data; what is no number is null."""
        from peft_lab.training.journal import plain

        found: dict[str, Any] = plain(asdict(self))
        return found

    def save(self, run: Run) -> None:
        """Write it beside the run, in place of an earlier one."""
        from peft_lab.training.journal import write_json, writing

        with writing(f"the judgement of {run.id}"):
            write_json(run.path / FILE, self.as_json())

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Judgement:
        """Out of plain data."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})


def read_judgement(run: Run) -> Judgement | None:
    """What was found of a run when it was judged last; None where it never was.

    Raises:
        RunProblem: the file is damaged, or a newer peft_lab wrote it.
    """
    file = run.path / FILE
    if not file.is_file():
        return None
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        newer = data["format"] > FORMAT
        if not newer:
            return Judgement.of(data)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise RunProblem(f"{run.id}/{FILE} is damaged: {said}", f"Judge it again: %peft judge {run.id}") from None
    raise RunProblem(f"{run.id}/{FILE} was written by a newer peft_lab", "pip install --upgrade peft-lab")
