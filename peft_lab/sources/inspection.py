"""Look at a file before it is read: is it there, may it be read, is it what its name says, is it UTF-8."""

from __future__ import annotations

import codecs
import hashlib
import io
import shlex
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from peft_lab.errors import DataProblem

KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".txt": "conll",
}
READABLE = "CSV, TSV, JSON, JSON lines (.jsonl), parquet and CoNLL (.conll, .txt) can be read"
PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".npy", ".npz", ".joblib"}
WORKBOOKS = {".xlsx", ".xls", ".xlsm", ".ods"}

_UNPACKED_BY = {"gzip": (".gz", "gunzip"), "bzip2": (".bz2", "bunzip2"), "xz": (".xz", "unxz")}
_UNPACKED_BY |= {"zstd": (".zst", "unzstd"), "zip": (".zip", "unzip")}
_STARTS = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh91AY&SY", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"\xd0\xcf\x11\xe0", "Excel"),
    (b"PAR1", "parquet"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "a SQLite database"),
)
"""First bytes of what people give the name of a table, and what it really is."""

BLOCK = 1 << 20


@contextmanager
def one_line_for(path: Path) -> Iterator[None]:
    """What the system refuses inside (no permission, disk full, ...) becomes a :class:`DataProblem`."""
    try:
        yield
    except PermissionError as error:
        allow = f"chmod u+r {shlex.quote(path.name)}"
        raise DataProblem(f"{path.name} may not be read: permission denied", f"Allow it: {allow}") from error
    except OSError as error:
        raise DataProblem(
            f"{path.name} cannot be read: {error.strerror or error}", "Look at the disk: its space, its state"
        ) from error


def look_at(path: Path) -> str:
    """Return how to read a file: ``csv``, ``json``, ``parquet`` or ``conll``.

    Raises:
        DataProblem: it is not there, is empty, or is not what its name says.
    """
    if not path.is_file():
        raise missing_file(path)
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise DataProblem(f"{path.name} may hold code, so it is never loaded", "Save the rows as parquet or CSV")
    if path.stat().st_size == 0:
        raise DataProblem(f"{path.name} is empty", "A first line with column names and rows below it are needed")
    really = "Excel" if suffix in WORKBOOKS else _really(path)
    kind = KINDS.get(suffix)
    if really == kind == "parquet":
        return kind
    if really:
        raise _another_kind(path, really)
    if kind is None:
        raise DataProblem(f"{path.name}: {suffix or 'a file without an ending'} cannot be read", READABLE)
    if kind == "parquet":
        raise DataProblem(f"{path.name} is not a parquet file", "Name it by what it holds: .csv, .json or .jsonl")
    return kind


def missing_file(path: Path) -> DataProblem:
    """Return the error for a file that is not there, with the nearest name in its folder."""
    if path.is_symlink():
        return DataProblem(f"{path.name} is a link to {str(path.readlink())!r}, which is not there", "Mend the link")
    if not path.parent.is_dir():
        return DataProblem(f"no file {str(path)!r}", f"There is no folder {str(path.parent)!r} either")
    names = sorted(
        f.name
        for f in path.parent.iterdir()
        if f.suffix.lower() in KINDS or (f.is_dir() and not path.suffix and not f.name.startswith("."))
    )
    close = get_close_matches(path.name, names, n=1, cutoff=0.5)
    if close:
        return DataProblem(f"no file {str(path)!r}", f"Did you mean {str(path.parent / close[0])!r}?")
    there = listed(n for n in names if Path(n).suffix.lower() in KINDS)
    return DataProblem(f"no file {str(path)!r}", f"That folder has: {there}" if there else "That folder has no data")


def must_be_utf8(path: Path) -> str:
    """Return the SHA-256 of a text file's bytes, once it is known that all of them are UTF-8."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        start = file.read(4096)
        wide = _utf16(start)
        if wide:
            raise _encoding_problem(path, wide)
        file.seek(0)
        decoder, lines = codecs.getincrementaldecoder("utf-8")(), 1
        while block := file.read(BLOCK):
            digest.update(block)
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                lines += error.object[: error.start].count(b"\n")
                if _is_half_a_character(error):
                    raise DataProblem(
                        f"{path.name} is not UTF-8 (line {lines}): it holds half a character, a lone surrogate",
                        "Write it again with errors='replace'",
                    ) from None
                raise _encoding_problem(path, _likely(block + file.read(BLOCK)), lines) from None
            lines += block.count(b"\n")
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise _encoding_problem(path, "cp1252", lines) from None
    return digest.hexdigest()


def listed(names: Iterable[str], most: int = 8) -> str:
    """Return some names in one line."""
    some = list(names)
    return ", ".join(some[:most]) + (", ..." if len(some) > most else "")


def _really(path: Path) -> str:
    """What a file is by its first bytes; empty where they say nothing."""
    with path.open("rb") as file:
        start = file.read(16)
        file.seek(-min(4, path.stat().st_size), io.SEEK_END)
        end = file.read()
    really = next((what for mark, what in _STARTS if start.startswith(mark)), "")
    if really == "parquet" and end != b"PAR1" and path.suffix.lower() != ".parquet":
        return ""  # a text that happens to begin so
    if really == "zip" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            really = "Excel" if any(name.startswith("xl/") for name in packed.namelist()) else "zip"
    return really


def _another_kind(path: Path, really: str) -> DataProblem:
    if really == "Excel":
        return DataProblem(
            f"{path.name} is an Excel workbook",
            f"Save the sheet as CSV, or make a table of it: df = pd.read_excel({path.name!r}), then %peft data df",
        )
    if really == "parquet":
        return DataProblem(f"{path.name} is a parquet file", f"Give it its name: {path.stem}.parquet")
    if really in _UNPACKED_BY:
        ending, program = _UNPACKED_BY[really]
        packed = path.name if path.suffix.lower() == ending else path.name + ending
        first = "" if packed == path.name else f"Name it {packed}, then unpack it: "
        return DataProblem(
            f"{path.name} is compressed ({really})", f"{first or 'Unpack it first: '}{program} {shlex.quote(packed)}"
        )
    return DataProblem(f"{path.name} is {really}", READABLE)


def _utf16(start: bytes) -> str:
    """``utf-16`` by its mark, or by the zero bytes that it puts beside every Latin letter; otherwise empty."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) < len(start) / 4 or min(even, odd) > len(start) / 20:
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _is_half_a_character(error: UnicodeDecodeError) -> bool:
    first, second = error.object[error.start : error.start + 1], error.object[error.start + 1 : error.start + 2]
    return first == b"\xed" and b"\xa0" <= second <= b"\xbf"


def _likely(block: bytes) -> str:
    try:
        block.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _encoding_problem(path: Path, likely: str, line: int = 1) -> DataProblem:
    return DataProblem(
        f"{path.name} is not UTF-8 (line {line}); it looks like {likely}",
        f"Convert it: Path('new{path.suffix}').write_text(Path({path.name!r}).read_text({likely!r}), 'utf-8')",
    )
