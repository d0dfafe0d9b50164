"""What a report is made of, as plain data: gathered from disk once, shown in any language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from peft_lab.rows import FINISHED, UNTRAINED, Row, StudyRows

if TYPE_CHECKING:
    from peft_lab.evidence import Cell, Summary

BETTER, WORSE, NOT_SHOWN = "better", "worse", "no difference shown"
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Contrast:
    """How a method stands against the best one, seed by seed."""

    method: str
    against: str
    difference: float
    """Mean score of the method less that of the other."""
    low: float
    high: float
    p: float
    """Corrected for the number of comparisons."""
    verdict: str
    """Of the method: ``better``, ``worse`` or ``no difference shown``."""
    seeds: int
    here_only: bool = False
    """A difference is shown where the answer is decided, but not over all numbers of rows and budgets."""
    needed: int | None = None
    """Seeds with which a difference as large as this one is shown in four of five cases; None for very many."""


@dataclass(frozen=True)
class Pair:
    """Two runs on one test set: which of them is right where."""

    one: str
    other: str
    both: int
    only_one: int
    only_other: int
    neither: int
    difference: float
    low: float
    high: float
    p: float
    verdict: str
    """Of the first."""

    @property
    def texts(self) -> int:
        """Of the test set."""
        return self.both + self.only_one + self.only_other + self.neither


@dataclass(frozen=True)
class Drawn:
    """A figure: under which heading it stands, its bytes, and the sentence that says what it shows."""

    what: str
    """``data``, ``time``, ``cost``, ``training``, ``calibration``, ``coverage``: which caption it gets."""
    png: bytes
    alt: str
    width: int = 0


@dataclass(frozen=True)
class Mistake:
    """A test text that was answered wrongly."""

    text: str
    right: str
    answer: str
    confidence: float


@dataclass(frozen=True)
class Risk:
    """What was measured of a run beside its scores; None for what was not."""

    method: str
    run: str
    texts: int | None = None
    p50: float | None = None
    """Seconds for one text: half of all texts take less."""
    p95: float | None = None
    p99: float | None = None
    throughput: float | None = None
    """Texts a second, several at a time."""
    calibration: float | None = None
    """Expected calibration error: how far stated confidence is from how often it is right."""
    calibrated: float | None = None
    """The same once confidence is corrected by a temperature."""
    risk: float | None = None
    """A share of wrong answers that may be let through ..."""
    coverage: float | None = None
    """... and the share of texts the model may then answer alone; None: none."""
    harm: float | None = None
    """Price of a text, where what the model is not sure of is handed over to a person."""
    harm_alone: float | None = None
    """Price of a text, where the model answers all by itself."""
    handed_over: float | None = None
    """Share that is handed over."""
    price: float | None = None
    """Of handing over."""
    priced: bool = False
    """Whether prices of wrong answers were given; else each costs 1."""
    churn: float | None = None
    """Share of texts that another seed answers otherwise."""
    mistyped: float | None = None
    """Share of letters that were mistyped ..."""
    typos: float | None = None
    """... the score then ..."""
    without_typos: float | None = None
    """... and on the same texts without."""
    moved: float | None = None
    """How far training moved neutral sentences, as a share of what sets two of them apart."""
    measured_on: str = ""
    """Where the times were taken."""
    classes: tuple[tuple[str, int, int], ...] = ()
    """Label, texts of it, how many of them were answered wrongly."""
    mistakes: tuple[Mistake, ...] = ()
    path: str = ""
    """The run's folder."""


@dataclass(frozen=True)
class Material:
    """All that a report says."""

    kind: str
    """``study``, ``runs`` or ``run``."""
    rows: StudyRows
    summary: Summary | None
    """None where no run has a score."""
    records: Mapping[str, Record] = field(default_factory=dict)
    """The content of ``run.json`` by the path of a row."""
    contrasts: tuple[Contrast, ...] = ()
    """Where the answer is decided: at the most data and the longest budget."""
    over: tuple[Contrast, ...] = ()
    """Every method against what is there to be compared with only."""
    pair: Pair | None = None
    enough: tuple[str, int] | None = None
    """Method, and the fewest training rows with which it reaches 95 % of the best."""
    risks: tuple[Risk, ...] = ()
    figures: tuple[Drawn, ...] = ()
    summaries: Mapping[str, str] = field(default_factory=dict)
    """What the plugin of a method says about it."""
    builtin: frozenset[str] = frozenset()
    """Methods that come with the package: these have a sentence in each language."""
    names: Mapping[str, str] = field(default_factory=dict)
    """By the path of a row, what is typed to name its run."""
    study_file: str = ""
    when: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def place(self) -> tuple[int, float | None]:
        """Where the answer is decided: most training rows, then the longest budget, of all that have a score."""
        cells = self.scored
        most = max(cell.examples for cell in cells)
        budgets = [cell.budget for cell in cells if cell.examples == most]
        return most, None if None in budgets else max(b for b in budgets if b is not None)

    @property
    def scored(self) -> list[Cell]:
        """Cells with a score; the untrained head alone decides nothing."""
        cells = [cell for cell in self.summary.cells if cell.n] if self.summary else []
        return [cell for cell in cells if cell.method != UNTRAINED] or cells

    def at_place(self) -> list[Cell]:
        """The cells where the answer is decided, best first."""
        if not self.scored or self.summary is None:
            return []
        here = [cell for cell in self.summary.cells if cell.n and cell.place == self.place]
        return sorted(here, key=lambda cell: -cell.mean)

    def contenders(self) -> list[Cell]:
        """Of these, what could be the answer, the best first: not what is there to be compared with only."""
        here = self.at_place()
        asked = [c for c in here if self.summary is not None and c.method not in self.summary.baselines]
        first = self.contrasts[0].against if self.contrasts else ""
        return sorted(asked or here, key=lambda cell: cell.method != first)

    def contrast(self, method: str) -> Contrast | None:
        """How a method stands against the best one; None where that was not computed."""
        return next((one for one in self.contrasts if one.method == method), None)

    @property
    def data(self) -> dict[str, list[Row]]:
        """Finished rows by the hash of their data; those of which it is not known are left out."""
        found: dict[str, list[Row]] = {}
        for row in self.finished:
            if data := (self.records.get(row.path, {}).get("fingerprints") or {}).get("data"):
                found.setdefault(str(data), []).append(row)
        return found

    @property
    def comparable(self) -> bool:
        """Whether all was trained and scored on the same data, as far as records tell."""
        return len(self.data) < 2

    @property
    def finished(self) -> list[Row]:
        """Rows with a run that ended well."""
        return [row for row in self.rows.rows if row.status == FINISHED]

    def record_of(self, rows: Sequence[Row]) -> Record:
        """The first record of some rows; empty where there is none."""
        return next((self.records[row.path] for row in rows if row.path in self.records), {})

    @property
    def record(self) -> Record:
        """Of a run where the answer is decided: that of the other runs differs in method, seed and size."""
        if not self.scored:
            return self.record_of(self.rows.rows)
        most, budget = self.place
        here = [r for r in self.finished if (r.examples, r.budget) == (most, budget) and r.method != UNTRAINED]
        return self.record_of(here) or self.record_of(self.finished) or self.record_of(self.rows.rows)

    def run_of(self, method: str) -> Row | None:
        """The run of a method to put in use: where the answer is decided, the best on validation. Never by its test."""
        most, budget = self.place
        found = [r for r in self.finished if r.method == method and (r.examples, r.budget) == (most, budget)]
        return max(found, key=lambda r: r.validation.get(r.headline, 0.0), default=None)
