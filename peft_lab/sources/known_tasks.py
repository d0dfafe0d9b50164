"""Public tasks by name: where they are on the hub, what is in their columns, and the metric they are judged by.

A name is also looked for as a folder of files in the layout of the hub: ``glue/mrpc/train.parquet``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem, nearest
from peft_lab.sources.files import Found

Row = Mapping[str, Any]
EXPORT = "refs/convert/parquet"
"""The hub's own copy as parquet of data sets that come as a script, which nobody runs any more."""


@dataclass(frozen=True)
class Way:
    """Where on the hub a task is."""

    repository: str
    part: str = ""
    exported: bool = False
    """In the hub's own copy, which knows no configurations: a part is a folder there."""

    @property
    def asked(self) -> tuple[tuple[str, ...], dict[str, Any]]:
        """What ``datasets.load_dataset`` is given."""
        if self.exported:
            return (self.repository,), {"revision": EXPORT, **({"data_dir": self.part} if self.part else {})}
        return (self.repository, self.part) if self.part else (self.repository,), {}


@dataclass(frozen=True)
class Turned:
    """How a task that is no text, no pair and no row of words becomes a pair of texts."""

    columns: tuple[str, ...]
    pair: Callable[[Row], tuple[str, str]]
    said: str


@dataclass(frozen=True)
class KnownTask:
    """What is known of a public task."""

    name: str
    ways: tuple[Way, ...]
    text: str
    text_pair: str | None
    metrics: tuple[str, ...]
    """Its official ones; the first chooses the best state."""
    task: str = "classification"
    label: str = "label"
    turned: Turned | None = None

    def fit(self, spec: DataSpec) -> DataSpec:
        """Fill in what a person left open."""
        known: dict[str, str | None] = {"task": self.task, "label": self.label, "metric": self.metrics[0]}
        if spec.text is None:
            known |= {"text": self.text, "text_pair": spec.text_pair or self.text_pair}
        if spec.task not in (None, self.task):
            del known["metric"]
        return spec.model_copy(update={name: v for name, v in known.items() if getattr(spec, name) is None})

    def turn(self, raw: Mapping[str, Found]) -> dict[str, Found]:
        """The splits with a text and a second text in each row.

        Raises:
            DataProblem: a column is missing.
        """
        return {split: self._turn(split, found) if self.turned else found for split, found in raw.items()}

    def _turn(self, split: str, found: Found) -> Found:
        from datasets import Dataset
        from datasets.fingerprint import generate_random_fingerprint

        assert self.turned is not None
        here = found.table.column_names
        for column in self.turned.columns:
            if column not in here:
                raise DataProblem(f"{split} of {self.name} has no column {column!r}", nearest(column, here))
        pairs = [self.turned.pair(row) for row in found.table.select_columns(list(self.turned.columns))]
        columns = {"text": [text for text, _ in pairs], "text_pair": [pair for _, pair in pairs]}
        if self.label not in here:
            return Found(Dataset.from_dict(columns), notes=found.notes)
        table = found.table.select_columns([self.label])  # which may know the names of its labels
        for name, texts in columns.items():
            table = table.add_column(name, texts, new_fingerprint=generate_random_fingerprint())
        return Found(table, notes=found.notes)

    @property
    def notes(self) -> list[str]:
        """What to say about it."""
        official = " and ".join(SAID[metric] for metric in self.metrics)
        first = f"; {SAID[self.metrics[0]]} chooses the best state" if len(self.metrics) > 1 else ""
        return [f"{self.name} is judged by {official}{first}", *([self.turned.said] if self.turned else [])]


SAID = {
    "accuracy": "accuracy",
    "f1": "F1",
    "macro_f1": "macro F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "entity_f1": "entity F1",
}


def known_task(source: str) -> KnownTask | None:
    """What is known under a name; None where nothing is.

    Raises:
        DataProblem: it is known that nothing here can be trained on it.
    """
    name = source.strip("/").removeprefix("./").lower()
    owner, _, rest = name.partition("/")
    name = rest if owner in OWNERS else name
    name = ALIASES.get(name, name).replace("superglue/", "super_glue/")
    if name in REFUSED:
        raise DataProblem(f"{name} cannot be trained on here: {REFUSED[name]}", f"Others: {', '.join(sorted(TASKS))}")
    return TASKS.get(name)


def meant(source: str) -> str:
    """The names of public tasks that one that nothing has is near to, as a question; empty where there is none."""
    name = source.strip("/").lower()
    near = [task for task in TASKS if task.rpartition("/")[2] == name] or get_close_matches(
        name, TASKS, n=1, cutoff=0.7
    )
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else ""


# --- how some tasks become pairs of texts -----------------------------------------------------------------------------


def _copa(row: Row) -> tuple[str, str]:
    asked = "What was the cause of this?" if row["question"] == "cause" else "What happened as a result?"
    return f"{row['premise']} {asked}", f"1: {row['choice1']} 2: {row['choice2']}"


def _multirc(row: Row) -> tuple[str, str]:
    return row["paragraph"], f"{row['question']} {row['answer']}"


def _wic(row: Row) -> tuple[str, str]:
    first, second = (
        f"{row[f'sentence{n}'][: row[f'start{n}']]}*{row[f'sentence{n}'][row[f'start{n}'] : row[f'end{n}']]}*"
        f"{row[f'sentence{n}'][row[f'end{n}'] :]}"
        for n in (1, 2)
    )
    return first, second


def _wsc(row: Row) -> tuple[str, str]:
    words, at = row["text"].split(), row["span2_index"]
    end = at + max(1, len(row["span2_text"].split()))
    place, pronoun = " ".join(words[at:end]), row["span2_text"]
    marked = place.replace(pronoun, f"*{pronoun}*", 1) if pronoun in place else f"*{place}*"
    return " ".join([*words[:at], marked, *words[end:]]), row["span1_text"]


TURNED = {
    "copa": Turned(
        ("premise", "choice1", "choice2", "question"),
        _copa,
        "each question is one row: the premise with what is asked of it, and both choices as the second text",
    ),
    "multirc": Turned(
        ("paragraph", "question", "answer"),
        _multirc,
        "each answer is a row of its own, the question with the answer as the second text; "
        "F1 is over all answers (the official F1a), and whole questions (EM) are not scored",
    ),
    "wic": Turned(
        ("sentence1", "sentence2", "start1", "end1", "start2", "end2"),
        _wic,
        "the word in question stands between *stars* in both texts",
    ),
    "wsc": Turned(
        ("text", "span1_text", "span2_index", "span2_text"),
        _wsc,
        "the pronoun stands between *stars*, and the second text is what it may stand for",
    ),
}


# --- the table --------------------------------------------------------------------------------------------------------


def _glue(name: str, text: str, pair: str | None, *metrics: str, task: str = "classification") -> KnownTask:
    return KnownTask(f"glue/{name}", (Way("nyu-mll/glue", name),), text, pair, metrics, task)


def _super(name: str, text: str, pair: str | None, *metrics: str) -> KnownTask:
    ways = (Way("aps/super_glue", name), Way("aps/super_glue", name, exported=True))
    return KnownTask(f"super_glue/{name}", ways, text, pair, metrics, turned=TURNED.get(name.partition(".")[0]))


_TABLE = (
    _glue("cola", "sentence", None, "matthews"),
    _glue("sst2", "sentence", None, "accuracy"),
    _glue("mrpc", "sentence1", "sentence2", "accuracy", "f1"),
    _glue("stsb", "sentence1", "sentence2", "pearson", "spearman", task="regression"),
    _glue("qqp", "question1", "question2", "accuracy", "f1"),
    _glue("mnli", "premise", "hypothesis", "accuracy"),
    _glue("qnli", "question", "sentence", "accuracy"),
    _glue("rte", "sentence1", "sentence2", "accuracy"),
    _glue("wnli", "sentence1", "sentence2", "accuracy"),
    _super("boolq", "question", "passage", "accuracy"),
    _super("cb", "premise", "hypothesis", "accuracy", "macro_f1"),
    _super("copa", "text", "text_pair", "accuracy"),
    _super("multirc", "text", "text_pair", "f1"),
    _super("rte", "premise", "hypothesis", "accuracy"),
    _super("wic", "text", "text_pair", "accuracy"),
    _super("wsc", "text", "text_pair", "accuracy"),
    _super("wsc.fixed", "text", "text_pair", "accuracy"),
    KnownTask(
        "conll2003",
        (Way("lhoestq/conll2003"), Way("eriktks/conll2003", exported=True)),
        "tokens",
        None,
        ("entity_f1",),
        "tagging",
        "ner_tags",
    ),
    KnownTask(
        "wnut_17", (Way("leondz/wnut_17", exported=True),), "tokens", None, ("entity_f1",), "tagging", "ner_tags"
    ),
)
TASKS: Mapping[str, KnownTask] = {task.name: task for task in _TABLE}
OWNERS = frozenset(("nyu-mll", "aps", "lhoestq", "eriktks", "leondz"))
ALIASES = {
    "glue/sst-2": "glue/sst2",
    "glue/sts-b": "glue/stsb",
    "wnut17": "wnut_17",
    "conll03": "conll2003",
    "conll-2003": "conll2003",
    "conll_2003": "conll2003",
}
TEST_ONLY = "it has rows for testing only"
REFUSED = {
    "glue/ax": TEST_ONLY,
    "super_glue/axb": TEST_ONLY,
    "super_glue/axg": TEST_ONLY,
    "super_glue/record": "its answers are chosen among the names in a passage, which no task here predicts",
}
