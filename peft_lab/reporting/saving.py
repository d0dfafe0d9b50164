"""Writing the page, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from peft_lab.errors import BadOption, RunProblem
from peft_lab.files import from_here, replacing
from peft_lab.present.style import bytes_
from peft_lab.present.table import Table
from peft_lab.reporting.answering import answer
from peft_lab.reporting.choosing import recommended
from peft_lab.reporting.language import language
from peft_lab.reporting.material import Material

OURS = '<meta name="generator" content="peft_lab">'


def writable(file: str, suffixes: Sequence[str], *, replace: bool) -> Path:
    """Where a page can be written to; an earlier report is written over.

    Raises:
        BadOption: the file is not named as a page is.
        RunProblem: something else stands there, or the folder is missing.
    """
    place = Path(file).expanduser()
    if place.suffix.lower() not in suffixes:
        raise BadOption(f"{place.name} is no name of a page", f"Such as {place.stem or 'report'}.html", "file")
    if not place.parent.is_dir():
        raise RunProblem(f"there is no folder {place.parent}", "Make it, or name another file")
    if place.is_dir() or (place.exists() and not replace and OURS not in _begin(place)):
        raise RunProblem(f"{place.name} is there already, and is no report", "Say --replace, or name another file")
    return place


def written(place: Path, page: str, material: Material, code: str) -> Table:
    """Write the page, and say what its answer is.

    Raises:
        RunProblem: it cannot be written.
    """
    try:
        with replacing(place) as unfinished:
            unfinished.write_text(page, encoding="utf-8")
    except OSError as error:
        said = error.strerror or str(error)
        raise RunProblem(f"{place.name} cannot be written: {said}", "Name a file in another folder") from error
    sentences = answer(material, language(code))
    rows = [["about", material.rows.name], ["answer", sentences[0]], ["size", bytes_(len(page.encode()))]]
    if not material.risks:
        rows.append(["not judged", f"Risks are missing: %peft judge {_to_judge(material)}, then write it again"])
    note = "One file that needs nothing but itself: open it, send it, print it."
    return Table(f"written: {from_here(place.absolute())}", ("", ""), rows, note=note)


def _to_judge(material: Material) -> str:
    """The run of the method to go on with, trained on the most rows."""
    method = recommended(material)
    known = [row for row in material.finished if row.method == method and row.path in material.names]
    return material.names[max(known, key=lambda row: row.examples).path] if known else "RUN"


def _begin(place: Path) -> str:
    with place.open(encoding="utf-8", errors="replace") as file:
        return file.read(2000)
