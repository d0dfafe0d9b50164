"""Find data by name: among what is registered, then on disk, then on the hub; and what is known under that name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.asking import gave, named
from peft_lab.data_spec import DataSpec
from peft_lab.sources.files import Found, read_file, read_folder
from peft_lab.sources.hub import read_hub
from peft_lab.sources.inspection import KINDS, PICKLES, missing_file, one_line_for
from peft_lab.sources.known_tasks import KnownTask, known_task
from peft_lab.sources.tables import table_of_rows

if TYPE_CHECKING:
    from peft_lab.host import Host
    from pluggy_specs import Table


def find_data(spec: DataSpec, host: Host) -> tuple[dict[str, Found], DataSpec, list[str]]:
    """Return raw splits, the spec with what is known of data of that name filled in, and notes.

    Raises:
        DataProblem: there is none of that name, or it cannot be read.
    """
    offered = host.offers("datasets")
    if spec.source in offered:
        source = host.find("datasets", spec.source)
        given = {"text": source.text, "text_pair": source.text_pair, "label": source.label, "task": source.task}
        given |= {"metric": source.metric or None} if spec.task in (None, source.task) else {}
        missing = {name: value for name, value in given.items() if getattr(spec, name) is None}
        with host.asking("datasets", spec.source, "splits"):
            splits = source.splits()
            if not isinstance(splits, Mapping):
                raise gave("datasets", spec.source, "splits", named(splits), "files or rows by split")
            raw = {split: _as_found(rows) for split, rows in splits.items()}
        return raw, spec.model_copy(update=missing), []
    known = known_task(spec.source)
    raw, notes = _found(spec, offered, known)
    if known is None:
        return raw, spec, notes
    turned = known.turn(raw) if spec.text is None else raw
    return turned, known.fit(spec), [*known.notes, *notes]


def _found(spec: DataSpec, offered: Iterable[str], known: KnownTask | None) -> tuple[dict[str, Found], list[str]]:
    """Return raw splits from disk, or else from the hub."""
    path = Path(spec.source).expanduser()
    suffix = path.suffix.lower()
    with one_line_for(path):
        is_folder, is_file = path.is_dir(), path.is_file() or path.is_symlink()
    if is_folder:
        return read_folder(path)
    if is_file or suffix in KINDS | dict.fromkeys(PICKLES):
        return {"train": read_file(path)}, []
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+){0,2}", spec.source):
        raise missing_file(path)
    raw, unused = read_hub(spec.source, offered, known)
    return raw, [f"splits not used: {', '.join(unused)}"] if unused else []


def _as_found(rows: Path | Table) -> Found:
    import datasets

    if isinstance(rows, Path):
        return read_file(rows)
    return Found(rows if isinstance(rows, datasets.Dataset) else table_of_rows(rows))
