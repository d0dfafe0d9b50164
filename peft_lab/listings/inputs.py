"""What data and a base model are, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from peft_lab.present import style
from peft_lab.present.table import Table

if TYPE_CHECKING:
    from peft_lab.host import Host


MOST_LABELS = 30
RANGES = 5
FEW = 10
"""So many different numbers are shown each."""


def data(loaded: Any) -> Table:
    """Splits with rows, labels with counts, examples, and what to know."""
    about = loaded.describe()
    splits = ", ".join(f"{count:,} {split}" for split, count in about["rows"].items())
    labels = dict(list(about.get("labels", {}).items())[:MOST_LABELS])
    notes = [f"{n[:1].upper()}{n[1:]}." for n in about["notes"]]
    columns = ("label", "train rows", "for example")
    if labels and about["task"] == "tagging":
        examples = loaded.examples(labels)
        rows = [[_clip(name, 60), count, _in_context(examples[name], name)] for name, count in labels.items()]
        columns = ("label", "in train", "for example")
    elif labels:
        examples = loaded.examples(labels)
        rows = [[_clip(name, 60), count, _example(examples[name])] for name, count in labels.items()]
    elif loaded.spoken is not None:
        columns, rows = ("", "in train", "for example"), _turns(loaded)
        layout = loaded.spoken.layout
        notes.insert(0, f"{layout[:1].upper()}{layout[1:]}: a row for each answer that is learned.")
    elif loaded.spread is not None:
        rows = _ranges(loaded)
        mean, deviation = style.number(loaded.spread.mean), style.number(loaded.spread.deviation)
        notes.insert(0, f"Numbers, {mean} on average with a deviation of {deviation}.")
    else:
        rows = [[str(row["label"]), None, _example(row)] for row in loaded.splits["train"].select(range(5))]
        notes.insert(0, "The first rows.")
    if labels and about["label_count"] > len(labels):
        notes.insert(0, f"The {len(labels)} most frequent of {about['label_count']:,} labels.")
    return Table(f"{about['name']}: {splits}", columns, rows, note=" ".join(notes))


def _turns(loaded: Any) -> list[list[Any]]:
    """Of conversations: how many, with how many answers, of which tool calls, and tools; each with an example."""
    from peft_lab.sources.conversation_reading import is_call

    said, train = loaded.spoken, loaded.splits["train"]
    firsts: dict[bool, str] = {}
    for row in train:
        firsts.setdefault(is_call(row["label"]), _clip(f"{_clip(row['text'], 60)} ⟶ {row['label']}", 150))
        if len(firsts) == 1 + bool(said.calls["train"] and said.calls["train"] < len(train)):
            break
    words = said.turns["train"] - said.calls["train"]
    rows: list[list[Any]] = [["conversations", said.conversations["train"], ""]]
    rows += [["answers in words", words, firsts[False]]] if words else []
    rows += [["tool calls", said.calls["train"], firsts[True]]] if said.calls["train"] else []
    return [*rows, *([["tools known", len(said.tools), _clip(", ".join(said.tools), 150)]] if said.tools else [])]


def _ranges(loaded: Any) -> list[list[Any]]:
    """Numbers, each or in a few ranges of equal width, with their training rows and the first of them."""
    import numpy as np

    train, spread = loaded.splits["train"], loaded.spread
    numbers = np.array([label for batch in train.select_columns(["label"]).iter(10_000) for label in batch["label"]])
    values, firsts, counts = np.unique(numbers, return_index=True, return_counts=True)
    if len(values) <= FEW:
        told = zip(values, firsts, counts, strict=True)
        return [[style.number(value), int(count), _example(train[int(first)])] for value, first, count in told]
    edges = np.linspace(spread.lowest, spread.highest, RANGES + 1)
    place = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, RANGES - 1)
    rows: list[list[Any]] = []
    for at in range(RANGES):
        here = np.flatnonzero(place == at)
        name = f"{style.number(edges[at])} to {style.number(edges[at + 1])}"
        rows.append([name, len(here), _example(train[int(here[0])]) if len(here) else ""])
    return rows


def _in_context(row: Mapping[str, Any], kind: str) -> str:
    """The words that have a kind of label first in a text, between brackets, with some of the words around them."""
    words = row["text"].split(" ")
    mine = [tag.removeprefix("B-").removeprefix("I-") == kind for tag in row["label"]]
    first = mine.index(True)
    last = first
    while last + 1 < len(words) and mine[last + 1] and not row["label"][last + 1].startswith("B-"):
        last += 1
    before, after = words[max(0, first - 6) : first], words[last + 1 : last + 7]
    inside = " ".join(words[first : last + 1])
    whole = [*(["…"] if first > 6 else []), *before, f"[{inside}]", *after, *(["…"] if last + 7 < len(words) else [])]
    return _clip(" ".join(whole), 90)


def _example(row: Mapping[str, Any]) -> str:
    pair = f" ⟂ {row['text_pair'][:400]}" if "text_pair" in row else ""
    return _clip(row["text"][:400] + pair, 90)


def _clip(text: str, most: int) -> str:
    flat = " ".join(text[: 10 * most].split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def model(host: Host, name: str) -> Table:
    """What a base model is, from its config."""
    from peft_lab.sources.families import position_limit
    from peft_lab.sources.models import empty_model, find_model
    from peft_lab.training.anatomy import head_of

    found = find_model(name, host)
    config = found.config
    head = head_of(empty_model(found, host.find("tasks", "classification").auto_class, {"num_labels": 2}))
    rows: list[list[Any]] = [
        ["family", config.model_type],
        ["layers", getattr(config, "num_hidden_layers", None)],
        ["hidden size", getattr(config, "hidden_size", None)],
        ["vocabulary", getattr(config, "vocab_size", None)],
        ["longest text", position_limit(found)],
        ["head", "; ".join(f"{part} {style.count(entries)}" for part, entries in head.items())],
        ["fingerprint", found.fingerprint[:12]],
        ["from", "this machine" if found.local else "the hub"],
    ]
    note = "The head, with entries for two labels, trains beside every method."
    return Table(name, ("", "value"), rows, note=note)
