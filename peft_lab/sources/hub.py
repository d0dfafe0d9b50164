"""Read a data set from the hub, or say in one line why not and what would work instead."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from peft_lab.errors import DataProblem, nearest
from peft_lab.sources.files import Found, split_of
from peft_lab.sources.known_tasks import KnownTask, meant
from peft_lab.sources.quiet import hub_reachable, quiet_datasets, why_not_reachable


def read_hub(
    name: str, registered: Iterable[str], known: KnownTask | None = None
) -> tuple[dict[str, Found], list[str]]:
    """Return the splits of a hub data set, and the names of those that have no use here.

    ``corpus/news`` may be an owner and a data set, or a data set and its configuration: both are tried. Where a public
    task is ``known``, its own ways are.
    """
    import datasets

    near = meant(name) or nearest(name, registered)
    instead = f"{near}{'' if near.endswith('?') else '.'} Or name a file such as tickets.csv"
    before, _, last = name.rpartition("/")
    ways: list[tuple[tuple[str, ...], dict[str, Any]]] = [((name,), {})] if name.count("/") < 2 else []
    ways += [((before, last), {})] if before else []
    if known:
        instead = (
            f"Put its files, as the hub has them, into a folder {known.name}: train.parquet, validation.parquet. "
            "Or name a file such as tickets.csv"
        )
        ways = [way.asked for way in known.ways]
    if not hub_reachable() and not any(_cached(way[0]) for way, _ in ways):
        raise DataProblem(f"no data named {name!r} here, and {why_not_reachable()}", instead)
    found, problem = None, None
    for way, settings in ways:
        try:
            with quiet_datasets():
                found = datasets.load_dataset(*way, **settings)
            break
        except Exception as error:  # not found, gated, offline, a script instead of data, ...: no common family
            if problem is None or not isinstance(error, datasets.exceptions.DatasetNotFoundError):
                problem = error
    if found is None:
        said = (str(problem).strip().splitlines() or [""])[0].rstrip(".")[:200]
        raise DataProblem(f"{name!r} cannot be loaded from the hub: {said}", instead) from problem
    splits: dict[str, Found] = {}
    unused = []
    for split_name, table in found.items():
        split = split_of(str(split_name)) or split_of(str(split_name).split("_")[0])  # validation_matched
        if split and split not in splits:
            splits[split] = Found(table, tuple(file["filename"] for file in table.cache_files))
        else:
            unused.append(str(split_name))
    return splits, unused


def _cached(name: str) -> bool:
    import datasets

    cache = Path(datasets.config.HF_DATASETS_CACHE)
    return any((cache / folder).is_dir() for folder in (name.replace("/", "___"), name.replace("/", "___").lower()))
