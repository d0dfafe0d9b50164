"""What data and a base model are, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from peft_lab.present import style
from peft_lab.present.table import Table

if TYPE_CHECKING:
    from peft_lab.host import Host


MOST_LABELS = 30


def data(loaded: Any) -> Table:
    """Splits with rows, labels with counts, examples, and what to know."""
    about = loaded.describe()
    splits = ", ".join(f"{count:,} {split}" for split, count in about["rows"].items())
    labels = dict(list(about.get("labels", {}).items())[:MOST_LABELS])
    notes = [f"{n[:1].upper()}{n[1:]}." for n in about["notes"]]
    if labels:
        examples = loaded.examples(labels)
        rows = [[_clip(name, 60), count, _example(examples[name])] for name, count in labels.items()]
        if about["label_count"] > len(labels):
            notes.insert(0, f"The {len(labels)} most frequent of {about['label_count']:,} labels.")
    else:
        rows = [[str(row["label"]), None, _example(row)] for row in loaded.splits["train"].select(range(5))]
        notes.insert(0, "The first rows.")
    columns = ("label", "train rows", "for example")
    return Table(f"{about['name']}: {splits}", columns, rows, note=" ".join(notes))


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
