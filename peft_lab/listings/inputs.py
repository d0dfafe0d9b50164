"""What data and a base model are, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from peft_lab.present import style
from peft_lab.present.table import Table
from peft_lab.texts import cards
from peft_lab.texts import tables as texts

if TYPE_CHECKING:
    from peft_lab.host import Host


MOST_LABELS = 30
RANGES = 5
FEW = 10
"""So many different numbers are shown each."""


def data(loaded: Any) -> Table:
    """Splits with rows, labels with counts, examples, and what to know."""
    about = loaded.describe()
    splits = ", ".join(
        texts.ROWS_OF_SPLIT.format(count=f"{count:,}", split=cards.SPLITS.get(split, split))
        for split, count in about["rows"].items()
    )
    labels = dict(list(about.get("labels", {}).items())[:MOST_LABELS])
    notes = [texts.NOTE.format(note=f"{n[:1].upper()}{n[1:]}") for n in about["notes"]]
    columns = texts.LABELS_COLUMNS
    if labels and about["task"] == "tagging":
        examples = loaded.examples(labels)
        rows = [[_clip(name, 60), count, _in_context(examples[name], name)] for name, count in labels.items()]
        columns = texts.TAGS_COLUMNS
    elif labels:
        examples = loaded.examples(labels)
        rows = [[_clip(name, 60), count, _example(examples[name])] for name, count in labels.items()]
    elif loaded.spoken is not None:
        columns, rows = texts.TURNS_COLUMNS, _turns(loaded)
        layout = loaded.spoken.layout
        notes.insert(0, texts.LAYOUT.format(layout=f"{layout[:1].upper()}{layout[1:]}"))
    elif loaded.spread is not None:
        rows = _ranges(loaded)
        mean, deviation = style.number(loaded.spread.mean), style.number(loaded.spread.deviation)
        notes.insert(0, texts.SPREAD.format(mean=mean, deviation=deviation))
    else:
        rows = [[str(row["label"]), None, _example(row)] for row in loaded.splits["train"].select(range(5))]
        notes.insert(0, texts.FIRST_ROWS)
    if labels and about["label_count"] > len(labels):
        notes.insert(0, texts.MOST_FREQUENT.format(shown=len(labels), every=f"{about['label_count']:,}"))
    return Table(texts.DATA_TITLE.format(name=about["name"], splits=splits), columns, rows, note=" ".join(notes))


def _turns(loaded: Any) -> list[list[Any]]:
    """Of conversations: how many, with how many answers, of which tool calls, and tools; each with an example."""
    from peft_lab.sources.conversation_reading import is_call

    said, train = loaded.spoken, loaded.splits["train"]
    firsts: dict[bool, str] = {}
    for row in train:
        answered = texts.ANSWERED.format(text=_clip(row["text"], 60), answer=row["label"])
        firsts.setdefault(is_call(row["label"]), _clip(answered, 150))
        if len(firsts) == 1 + bool(said.calls["train"] and said.calls["train"] < len(train)):
            break
    words = said.turns["train"] - said.calls["train"]
    rows: list[list[Any]] = [[texts.CONVERSATIONS, said.conversations["train"], ""]]
    rows += [[texts.IN_WORDS, words, firsts[False]]] if words else []
    rows += [[texts.CALLS, said.calls["train"], firsts[True]]] if said.calls["train"] else []
    return [*rows, *([[texts.TOOLS, len(said.tools), _clip(", ".join(said.tools), 150)]] if said.tools else [])]


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
        name = texts.RANGE.format(low=style.number(edges[at]), high=style.number(edges[at + 1]))
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
    text = row["text"][:400]
    if "text_pair" in row:
        text = texts.TEXT_PAIR.format(text=text, pair=row["text_pair"][:400])
    return _clip(text, 90)


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
        [texts.FAMILY, config.model_type],
        [texts.LAYERS, getattr(config, "num_hidden_layers", None)],
        [texts.HIDDEN, getattr(config, "hidden_size", None)],
        [texts.VOCABULARY, getattr(config, "vocab_size", None)],
        [texts.LONGEST, position_limit(found)],
        [texts.HEAD, "; ".join(f"{part} {style.count(entries)}" for part, entries in head.items())],
        [texts.FINGERPRINT, found.fingerprint[:12]],
        [texts.FROM, texts.THIS_MACHINE if found.local else texts.THE_HUB],
    ]
    return Table(name, texts.MODEL_COLUMNS, rows, note=texts.HEAD_NOTE)
