"""What is wrong with a JSON file, said better than the fast readers say it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft_lab.errors import DataProblem


def json_fault(path: Path) -> str:
    """Return where a file is no JSON, such as ``line 2, column 10: Expecting value``; empty where all of it is."""
    with path.open(encoding="utf-8-sig") as file:
        if file.read(1) == "[":
            file.seek(0)
            return _fault(file.read(), 1)
        file.seek(0)
        for number, line in enumerate(file, 1):
            if line.strip() and (said := _fault(line, number)):
                return said
    return ""


def must_be_rows(path: Path, only: Mapping[str, Any]) -> None:
    """Refuse a file of one object that holds whole columns, or the rows under one of its keys."""
    text = f"json.loads(Path({path.name!r}).read_text())"
    if all(isinstance(value, list) for value in only.values()) and len({len(value) for value in only.values()}) == 1:
        raise DataProblem(
            f"{path.name} holds columns, not rows", f"Turn it: pd.DataFrame({text}).to_csv('new.csv', index=False)"
        )
    under = [name for name, value in only.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if under:
        raise DataProblem(
            f"{path.name} holds one object, with rows under {under[0]!r}",
            f"Keep those: Path('new.json').write_text(json.dumps({text}[{under[0]!r}]))",
        )


def _fault(text: str, line: int) -> str:
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        return f"line {line + error.lineno - 1}, column {error.colno}: {error.msg}"
    except UnicodeEncodeError:
        return f"line {line} holds half a character, a lone surrogate"
    return ""
