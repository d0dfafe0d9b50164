"""Which task data is of, told before the data is read: settings of training depend on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.data_spec import DataSpec
from peft_lab.errors import PeftLabError

if TYPE_CHECKING:
    from peft_lab.host import Host

CONVERSING = (".json", ".jsonl", ".ndjson", ".parquet")
"""Endings of files that may hold conversations; nothing else is looked into."""
_seen: dict[tuple[str, int, int], str | None] = {}
"""What was found, by what was asked for and by time and size of the file."""


def task_of(spec: DataSpec, host: Host) -> str | None:
    """The task that is named, or that registered data has, or that a file seems to be for; None where it is not known.

    What is wrong with the data is told when it is read.
    """
    if spec.task is not None:
        return spec.task
    offered = host.offers("datasets")
    if spec.source in offered:
        task: str = offered[spec.source].item.task
        return task
    file = Path(spec.source).expanduser()
    try:
        if file.suffix.lower() not in CONVERSING or not file.is_file():
            return None
        stat = file.stat()
    except OSError:
        return None

    known = spec.model_dump_json(), stat.st_mtime_ns, stat.st_size
    if known not in _seen:
        _seen[known] = _read(spec, host)
    return _seen[known]


def _read(spec: DataSpec, host: Host) -> str | None:
    from peft_lab.sources.conversation_layouts import TASK, find_layout
    from peft_lab.sources.datasets import sample_of
    from peft_lab.sources.finding import find_data

    try:
        raw, known, _ = find_data(spec, host)
        return TASK if "train" in raw and find_layout(sample_of(raw["train"].table), known) else None
    except PeftLabError:
        return None
