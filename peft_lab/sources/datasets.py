"""Load the data a recipe names: find it, read it, choose columns, clean rows, make the splits, say what was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem
from peft_lab.sources import repeats
from peft_lab.sources.amounts import Spread, like_amounts, spread_of
from peft_lab.sources.carving import carve
from peft_lab.sources.columns import SAMPLE, Columns, find_columns, find_word_columns
from peft_lab.sources.conversation_layouts import TASK, find_layout
from peft_lab.sources.conversations import Spoken, spoken, unfold
from peft_lab.sources.files import BATCH, Found, read_file
from peft_lab.sources.finding import find_data
from peft_lab.sources.labels import about_labels, as_number, look_alike, shown, strange_labels
from peft_lab.sources.repeats import Repeats
from peft_lab.sources.rows import Rows, clean, fingerprint

if TYPE_CHECKING:
    import datasets

    from peft_lab.host import Host


@dataclass(frozen=True)
class Data:
    """Data ready to train on: columns ``text``, maybe ``text_pair``, and ``label``."""

    name: str
    spec: DataSpec
    """As asked for, with the guessed columns and task filled in."""
    task: str
    splits: Mapping[str, datasets.Dataset]
    """``train``, ``validation``, and ``test`` where there is one."""
    fingerprint: str
    """Hash of the rows of all splits before carving; the same for any file format."""
    notes: tuple[str, ...]
    labels: Mapping[str, int]
    """Training rows of each label; of words with labels, how many entities of each kind; empty for numbers."""
    spread: Spread | None = None
    """Where the labels of the training rows lie, where they are numbers."""
    spoken: Spoken | None = None
    """Of conversations, what is in them."""
    carved: frozenset[str] = frozenset()
    """Splits that were carved out of train."""

    def describe(self) -> dict[str, Any]:
        """Return what the data is, as JSON data; labels with their training rows, the most frequent first."""
        described: dict[str, Any] = {
            "name": self.name,
            "task": self.task,
            "rows": {split: len(table) for split, table in self.splits.items()},
            "columns": {role: getattr(self.spec, role) for role in ("text", "text_pair", "label")},
            "notes": list(self.notes),
            "fingerprint": self.fingerprint,
        }
        if self.spread is not None:
            described["spread"] = asdict(self.spread)
        if self.spoken is not None:
            described["conversations"] = self.spoken.described()
        if self.labels:
            ordered = sorted(self.labels.items(), key=lambda item: (-item[1], item[0]))
            described |= {"labels": dict(islice(ordered, 100)), "label_count": len(ordered)}
        return described

    def examples(self, labels: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the first training row of each of some labels; no other text is read."""
        wanted, places, start = set(labels), {}, 0
        train = self.splits["train"]
        for batch in train.select_columns(["label"]).iter(BATCH):
            for place, label in enumerate(batch["label"], start):
                for found in wanted.intersection(kinds_in(label)):
                    places[found] = place
                    wanted.remove(found)
            if not wanted:
                break
            start += len(batch["label"])
        return {label: train[place] for label, place in places.items()}


GUESSED = {"tagging": "a label for each word", TASK: "the answers are text"}


def load_data(spec: DataSpec, host: Host) -> Data:
    """Load the data that ``spec`` names: among what is registered, then on disk, then on the hub.

    Raises:
        DataProblem: it cannot be found or read, or cannot teach anything.
    """
    raw, spec, notes = find_data(spec, host)
    for split, file in (("validation", spec.validation), ("test", spec.test)):
        if file is not None:
            if split in raw:
                notes.append(f"the {split} split of {spec.source} is not used, as {Path(file).name} is")
            raw[split] = read_file(Path(file).expanduser())
    if "train" not in raw or not len(raw["train"].table):
        there = ", ".join(raw) or "nothing"
        raise DataProblem(f"{spec.source!r} has no training rows, only: {there}", "A split named train is needed")
    notes += [note for found in raw.values() for note in found.notes]
    sample = sample_of(raw["train"].table)
    layout, of_words = find_layout(sample, spec), None
    tools: tuple[str, ...] = ()
    if layout is not None:
        raw, columns, tools, more = unfold(raw, layout, spec)
        notes += more
    else:
        of_words = find_word_columns(sample, spec)
        columns = of_words or find_columns(sample, spec)
    task = spec.task or (TASK if layout else "tagging" if of_words else "classification")
    guessed = spec.task is None
    spec = spec.model_copy(update={**(layout or columns).names, "task": task})
    notes += [columns.note] if columns.note else []
    notes += [f"task guessed: {task}, {GUESSED[task]}"] if guessed and task in GUESSED else []
    splits, more = _cleaned(raw, columns, spec, task)
    notes += more
    repeated = {split: Repeats(rows.keys) for split, rows in splits.items()}
    notes += repeats.notes(repeated, splits)
    if task == "classification":
        _must_be_classes(splits, columns.label, guessed="label=" in columns.note)
        notes += look_alike(sorted(set().union(*(rows.labels() for rows in splits.values()))))
        notes += about_labels(splits["train"].labels(), carved="validation" not in splits)
        notes += like_amounts(splits["train"].labels(), columns.label) if guessed else []
    elif task == "tagging":
        _must_be_tags(splits, columns.label)
    parts, more = carve(splits, repeated["train"], spec)
    tables = {split: part.take() for split, part in parts.items()}
    name = spec.source if not Path(spec.source).suffix else Path(spec.source).name
    spread = spread_of(tables["train"], columns.label) if task == "regression" else None
    groups = {split: found for split, part in parts.items() if (found := part.groups) is not None}
    said = spoken(layout, tables, groups, tools) if layout is not None else None
    return Data(
        name,
        spec,
        task,
        {split: tables[split] for split in ("train", "validation", "test") if split in tables},
        fingerprint(splits),
        (*notes, *more),
        splits["train"].labels(parts["train"].chosen),
        spread,
        said,
        frozenset(parts) - frozenset(splits),
    )


def kinds_in(label: Any) -> set[str]:
    """Return the label of a row; of a row of tags, the kinds of entities in it, and the tags that name none."""
    if not isinstance(label, list):
        return {label}
    return {tag[2:] if tag.startswith(("B-", "I-")) else tag for tag in label}


def sample_of(table: datasets.Dataset) -> dict[str, list[Any]]:
    """Return rows from places all over the table, since files are often sorted by label, some at each place."""
    places, together = 20, SAMPLE // 20
    if len(table) <= SAMPLE:
        return dict(table[:])
    starts = [(len(table) - together) * place // (places - 1) for place in range(places)]
    return dict(table.select([row for start in starts for row in range(start, start + together)])[:])


def _cleaned(
    raw: Mapping[str, Found], columns: Columns, spec: DataSpec, task: str
) -> tuple[dict[str, Rows], list[str]]:
    """Return the splits with rows that can teach; one that nobody asked for by name may lack labels."""
    splits, notes = {}, []
    for split in ("train", "validation", "test"):
        if split not in raw:
            continue
        asked_for = split == "train" or getattr(spec, split) is not None
        if not asked_for and columns.label not in raw[split].table.column_names:
            notes.append(f"{split} has no column {columns.label!r} and is left out")
            continue
        rows = clean(raw[split], columns, task, split) if len(raw[split].table) else None
        if rows is not None:
            notes += rows.notes
        if rows is not None and len(rows):
            splits[split] = rows
        elif split == "train":
            raise DataProblem(f"no training row has both {columns.text!r} and {columns.label!r}", "Name other columns")
        else:
            notes.append(f"{split} has no labelled row and is left out")
    return splits, notes


def _must_be_classes(splits: Mapping[str, Rows], column: str, *, guessed: bool) -> None:
    labels = splits["train"].labels()
    if len(labels) < 2:
        raise DataProblem(
            f"every training row has the same label, {shown(next(iter(labels)))}", "Two or more are needed"
        )
    numbers = [as_number(label) for label in islice(labels, 1000)]
    if all(number is not None for number in numbers) and not all(
        number == int(number) for number in numbers if number is not None
    ):
        raise DataProblem(f"column {column!r} holds numbers with fractions, not classes", "Say --task regression")
    if guessed and len(labels) > max(20, labels.total() / 2):
        raise DataProblem(
            f"column {column!r} has {len(labels)} different values in {labels.total()} rows: hardly a label",
            f"Name another with --label, or this one if it is: --label {column}",
        )
    for split, rows in splits.items():
        strange = sorted(set(rows.labels()) - set(labels))
        if strange:
            raise strange_labels(split, strange, labels)


def _must_be_tags(splits: Mapping[str, Rows], column: str) -> None:
    """Rows must be sentences, with two tags at least; every kind of entity, or every tag, must stand in training."""
    train = splits["train"]
    assert train.tags is not None
    kinds = train.labels()
    if train.tags.ends[-1] == len(train.tags.ends):
        raise DataProblem(
            "every training row is a single word", "A row must be a sentence: a list of words and a list of tags"
        )
    if len(train.names) < 2 or (train.tags.found.scheme and not kinds):
        only = train.names[0] if train.names else ""
        raise DataProblem(f"every word of the training rows has the same tag, {shown(only)}", "Name another --label")
    for split, rows in splits.items():
        strange = sorted(set(rows.labels()) - set(kinds))
        if strange:
            raise strange_labels(split, strange, kinds)
