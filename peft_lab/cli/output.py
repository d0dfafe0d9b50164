"""What the lab returns as text, as JSON, as a page."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft_lab.cli.line import NotUnderstood
from peft_lab.present.picture import Picture
from peft_lab.present.stack import Stack
from peft_lab.present.style import esc
from peft_lab.present.table import Table
from peft_lab.run import Run

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
</head>
<body style="font-family:sans-serif;max-width:1100px;margin:16px auto;padding:0 16px">
{body}
</body>
</html>
"""


def spoken(text: str) -> str:
    """What operations say to a notebook, as it is typed in a shell."""
    return re.sub(r"(?<!%)%peft\b", "peft-lab", text)


def as_text(result: Any) -> str:
    """The plain form of a result; nothing for nothing."""
    if result is None:
        return ""
    bundle = getattr(result, "_repr_mimebundle_", None)
    return spoken(str(bundle()["text/plain"] if bundle else result)).rstrip("\n")


def as_json(result: Any) -> str:
    """The data of a result.

    Raises:
        NotUnderstood: it has none.
    """
    return json.dumps(_data(result), ensure_ascii=False, indent=1, default=str)


def _data(result: Any) -> Any:
    if isinstance(result, Table):
        return [dict(zip(map(str, result.columns), row, strict=True)) for row in result.rows]
    if isinstance(result, Run):
        return dict(result.record)
    if isinstance(result, Stack):
        return [_data(part) for part in result.parts]
    if isinstance(result, Picture):
        return {"alt": result.alt}
    raise NotUnderstood("this has no form as JSON", "Leave out --json")


def write_page(results: Sequence[Any], file: Path) -> Path:
    """Write results as one page that needs nothing but itself."""
    parts = [bundle["text/html"] for result in results if (bundle := _bundle(result)).get("text/html")]
    named = next((result.id for result in results if isinstance(result, Run)), "")
    title = esc(f"peft_lab: {named}" if named else "peft_lab")
    unfinished = file.with_name(f".{file.name}.tmp")
    unfinished.write_text(PAGE.format(title=title, body="\n".join(map(spoken, parts))), encoding="utf-8")
    unfinished.replace(file)
    return file


def _bundle(result: Any) -> dict[str, str]:
    bundle = getattr(result, "_repr_mimebundle_", None)
    found: dict[str, str] = bundle() if bundle else {}
    return found
