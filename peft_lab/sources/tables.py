"""Tables of the notebook, kept on disk so that a recipe can name them and be trained again."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import DataProblem
from peft_lab.sources.quiet import quiet_datasets

if TYPE_CHECKING:
    import datasets


def keep_table(obj: Any, name: str, folder: Path) -> Path:
    """Write rows from the notebook to parquet, named by their content, and return what a recipe can name.

    Takes a pandas DataFrame, a list of dicts, a Hugging Face Dataset, or a DatasetDict (which gives a folder).
    """
    import datasets

    try:
        if isinstance(obj, Mapping):  # a DatasetDict, or a dict of tables by split
            tables = {f"-{split}": _any_table(rows) for split, rows in obj.items()}
        else:
            tables = {"": _any_table(obj)}
    except UnicodeEncodeError as error:
        whole = "text.encode('utf-8', 'replace').decode()"
        raise DataProblem(f"{name!r} holds half a character, a lone surrogate", f"Replace it: {whole}") from error
    except (TypeError, ValueError, ArithmeticError, datasets.table.pa.ArrowException) as error:
        said = ": ".join(str(part).split("\n")[0].rstrip(".") for part in reversed(error.args))  # the column first
        raise DataProblem(f"{name!r} cannot be kept: {said}", "Each column needs one kind of value") from error
    digest = hashlib.sha256()
    for ending, table in tables.items():
        digest.update(json.dumps([ending, str(table.features), len(table)]).encode())
        for row in table:
            digest.update(json.dumps(row, sort_keys=True, default=str).encode())
    stem = f"{re.sub(r'[^A-Za-z0-9_]+', '_', name)}-{digest.hexdigest()[:8]}"
    target = folder / stem if isinstance(obj, Mapping) else folder
    for ending, table in tables.items():
        path = target / f"{stem}{ending}.parquet"
        half = path.with_suffix(f".{os.getpid()}.half")
        try:
            target.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                with quiet_datasets():
                    table.to_parquet(str(half))
                half.replace(path)
        except OSError as error:
            with suppress(OSError):
                half.unlink(missing_ok=True)
            said = error.strerror or " ".join(str(error).split())
            hint = "Make room, or choose another folder of runs"
            raise DataProblem(f"{name!r} cannot be kept in {folder.name}: {said}", hint) from error
    return target if isinstance(obj, Mapping) else target / f"{stem}.parquet"


def table_of_rows(rows: Sequence[Mapping[str, Any]]) -> datasets.Dataset:
    """Return rows as a table with every column that any of them has; ``Dataset.from_list`` looks at the first only."""
    import datasets

    names = dict.fromkeys(name for row in rows for name in row)
    return datasets.Dataset.from_dict({name: [flat(row.get(name)) for row in rows] for name in names})


def flat(value: Any) -> Any:
    """A cell with objects in it, such as messages, as JSON text; a column of objects gives each the keys of all."""
    if isinstance(value, Mapping) or (isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value


def _any_table(obj: Any) -> datasets.Dataset:
    import datasets
    import pandas as pd

    if isinstance(obj, datasets.Dataset):
        return obj
    if isinstance(obj, pd.DataFrame):
        plain = obj.rename(columns=str)
        categories = plain.select_dtypes("category").columns
        plain = plain.astype(dict.fromkeys(categories, object))
        for name in [name for name in plain.columns if plain[name].dtype == object]:
            plain[name] = plain[name].map(flat)
        return datasets.Dataset.from_pandas(plain, preserve_index=False)
    if isinstance(obj, list | tuple) and all(isinstance(row, Mapping) for row in obj):
        return table_of_rows(obj)
    kind = type(obj).__name__
    raise DataProblem(f"{kind} is not a table", "A DataFrame, a Dataset, a DatasetDict or a list of dicts is needed")
