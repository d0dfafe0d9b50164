"""Read CoNLL files: a word and its tags on each line, an empty line after each sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.errors import DataProblem
from peft_lab.sources.words import BLANKS

if TYPE_CHECKING:
    import datasets

BLANK = " \t\r\n\f\v"
"""Taken off the ends of lines and fields. Other blanks of Unicode may be all there is of a word."""
DOCUMENT = "-DOCSTART-"
NEEDED = "A word and its tag on each line, with a tab or blanks between them, are needed"
WORDS, TAGS = "tokens", "tags"


@dataclass
class _Reading:
    """What is found in the lines of one file."""

    name: str
    rows: list[list[Sequence[str]]] = field(default_factory=list)
    """Sentences, each a list of lines cut into fields."""
    documents: int = 0
    comments: int = 0


def read_conll(path: Path) -> tuple[datasets.Dataset, list[str]]:
    """Return a table with a row for each sentence, and notes.

    The columns are lists: ``tokens`` from the first field of the lines, ``tags`` from the last, ``column_2`` and so on
    from those between.

    Raises:
        DataProblem: a line has other fields than most, or there is but one.
    """
    from datasets import Dataset

    lines = path.read_text(encoding="utf-8-sig").split("\n")
    found = _sentences(lines, path.name)
    notes = []
    if found.documents:
        lines_ = "line" if found.documents == 1 else "lines"
        notes.append(f"{found.documents} {DOCUMENT} {lines_} of {path.name} passed over")
    if found.comments:
        notes.append(
            f"{found.comments} comment {'line' if found.comments == 1 else 'lines'} of {path.name} passed over"
        )
    width = len(found.rows[0][0]) if found.rows else 2
    word = 0
    if width > 2 and _counts(found.rows):
        word = 1
        notes.append(f"the first column of {path.name} counts the words; the second is taken for them")
    names = {word: WORDS, width - 1: TAGS, **{n: f"column_{n + 1}" for n in range(word + 1, width - 1)}}
    columns = {name: [[line[n] for line in rows] for rows in found.rows] for n, name in sorted(names.items())}
    return Dataset.from_dict(columns), notes


def _sentences(lines: Sequence[str], name: str) -> _Reading:
    found = _Reading(name)
    content = {number: stripped for number, line in enumerate(lines, 1) if (stripped := line.strip(BLANK))}
    cut, usual = _cut(content)
    if usual == 1:
        raise DataProblem(f"{name} has one column, a word or a tag on each line", NEEDED)
    sentence: list[Sequence[str]] = []
    for number in range(1, len(lines) + 1):
        fields = cut.get(number)
        if fields is not None and not fields[0].startswith(DOCUMENT):
            if len(fields) == usual:
                sentence.append(fields)
            elif fields[0].startswith("#"):
                found.comments += 1
            else:
                raise _uneven(name, number, fields, usual)
            continue
        found.documents += fields is not None
        if sentence:
            found.rows.append(sentence)
            sentence = []
    if sentence:  # the last line may end without a line break, and without an empty line behind it
        found.rows.append(sentence)
    return found


def _cut(content: Mapping[int, str]) -> tuple[dict[int, tuple[str, ...]], int]:
    """Cut lines into fields at tabs, or else at any blanks, whichever suits more lines; and how many most have."""
    best: tuple[dict[int, tuple[str, ...]], int] = {}, 2
    most = -1
    for tabbed in (True, False):
        cut = {number: tuple(_fields(line, tabbed)) for number, line in content.items()}
        widths = Counter(len(fields) for fields in cut.values() if not fields[0].startswith((DOCUMENT, "#")))
        usual, lines = widths.most_common(1)[0] if widths else (2, 0)
        if (suited := lines if usual > 1 else 0) > most:
            best, most = (cut, usual), suited
    return best


def _fields(line: str, tabbed: bool) -> Iterator[str]:
    """The fields of a line. Between tabs a word may hold blanks; two tabs in a row are taken for one."""
    for part in line.split("\t") if tabbed else BLANKS.split(line):
        if kept := part.strip(BLANK):
            yield kept


def _counts(rows: Sequence[Sequence[Sequence[str]]]) -> bool:
    """Whether the first field of all lines counts the words of their sentence, from 0 or from 1."""
    return any(
        all(line[0] == str(number) for row in rows for number, line in enumerate(row, start)) for start in (0, 1)
    )


def _uneven(name: str, number: int, fields: Sequence[str], usual: int) -> DataProblem:
    what = "field" if len(fields) == 1 else "fields"
    begins = " ".join(fields)[:30]
    return DataProblem(
        f"{name} has {len(fields)} {what} in line {number} ({begins!r}), and {usual} in most lines",
        "Mend that line" if len(fields) > 1 else "Each word needs its tag on the same line",
    )
