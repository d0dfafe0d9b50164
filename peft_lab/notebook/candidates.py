"""What a value could be: names that plugins offer, runs, files, values of the notebook, choices, modules of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.loading import KINDS
from peft_lab.notebook.names import is_table, visible
from peft_lab.operations import Argument
from peft_lab.run import RUN_JSON, STUDIES, STUDY_JSON, Run, list_runs

if TYPE_CHECKING:
    from peft_lab.bench import Bench

MOST_FILES, MOST_HINTS = 2000, 50
QUOTED = frozenset(" \t'\"#;,")


@dataclass(frozen=True)
class Candidate:
    """One completion: the text, and a hint what it is."""

    text: str
    type: str
    open: bool = False
    """Whether more is to follow, as after the name of a folder."""
    path: bool = False
    """Whether it is a path, which may hold blanks and then needs quotes."""

    def on_line(self, quote: str, after: str) -> Candidate:
        """As it is written on a line, inside of an open quote or not."""
        if quote:
            closes = not self.open and not after.startswith(quote)
            return replace(self, text=self.text + quote) if closes else self
        if not self.path or QUOTED.isdisjoint(self.text):
            return self
        mark = "'" if '"' in self.text else '"'
        return replace(self, text=mark + self.text + ("" if self.open else mark))


def beginning(found: Iterable[Candidate], fragment: str) -> list[Candidate]:
    """Those that begin with what is there, each once."""
    low = fragment.lower()
    return list({one.text: one for one in found if one.text.lower().startswith(low)}.values())


def candidates(bench: Bench, argument: Argument, fragment: str, model: str = "") -> list[Candidate]:
    """What an argument could take, given the beginning of it; ``model`` is the base model if the line names one."""
    found = [Candidate(str(c).lower() if isinstance(c, bool) else str(c), "choice") for c in argument.choices]
    for kind in argument.completes.split("+"):
        if kind in SPECIAL:
            found += SPECIAL[kind](bench, fragment, model)
        elif kind in KINDS:
            found += offers(bench, kind)
    if argument.is_switch:
        found += [Candidate(word, "choice") for word in ("yes", "no")]
    default = argument.default
    if isinstance(default, int | float | str) and not isinstance(default, bool) and default != "":
        found.append(Candidate(str(default), "default"))
    return beginning(found, fragment)


def offers(bench: Bench, kind: str) -> list[Candidate]:
    """Names that plugins offer."""
    names = bench.host.offers(kind)
    # PEFT's own types are many: behind the others.
    return [Candidate(name, kind.removesuffix("s")) for name in sorted(names, key=lambda name: ":" in name)]


def variables(bench: Bench, closing: str) -> list[Candidate]:
    """Every value of the notebook that a person gave a name."""
    return [Candidate(n + closing, type(bench.namespace[n]).__name__) for n in visible(bench.namespace)]


def _runs(bench: Bench, fragment: str, model: str) -> Iterator[Candidate]:
    known = list_runs(bench.folder)[::-1]
    for run in known[:MOST_HINTS]:
        yield Candidate(run.id, _hint(run))
    yield from (Candidate(run.id, "run") for run in known[MOST_HINTS:])
    for name in visible(bench.namespace):
        value = bench.namespace[name]
        if isinstance(value, Run):
            yield Candidate(name, value.id)


def _studies(bench: Bench, fragment: str, model: str) -> Iterator[Candidate]:
    found = bench.folder.glob(f"{STUDIES}/[!.]*/{STUDY_JSON}")
    yield from (Candidate(name, "study") for name in sorted(file.parent.name for file in found))


def _hint(run: Run) -> str:
    try:
        methods = "+".join(method["name"] for method in run.record["recipe"]["methods"])
        return f"{methods}, {run.status}"
    except Exception:  # half a record is no reason to hide the run
        return "run"


def _datasets(bench: Bench, fragment: str, model: str) -> Iterator[Candidate]:
    from peft_lab.sources.files import KINDS

    yield from offers(bench, "datasets")
    tables = (n for n in visible(bench.namespace) if is_table(bench.namespace[n]))
    yield from (Candidate(name, type(bench.namespace[name]).__name__) for name in tables)
    endings = KINDS.keys() - {".txt"}  # may be read, but most are no data
    yield from _paths(fragment, lambda file: file.suffix.lower() in endings)


def _models(bench: Bench, fragment: str, model: str) -> Iterator[Candidate]:
    yield from offers(bench, "models")
    for path in _paths(fragment, lambda file: False):
        if "/" in fragment or fragment.startswith((".", "~")) or (Path(path.text) / "config.json").is_file():
            yield path


def _files(bench: Bench, fragment: str, model: str) -> Iterator[Candidate]:
    yield from _paths(fragment, lambda file: True)


def _folders(bench: Bench, fragment: str, model: str) -> Iterator[Candidate]:
    yield from _paths(fragment, lambda file: False)


def _modules(bench: Bench, fragment: str, model: str) -> Iterator[Candidate]:
    from peft_lab.notebook.model_names import modules_of

    yield from (Candidate(name, "module") for name in modules_of(model or bench.model, bench.host))


def _paths(fragment: str, wanted: Callable[[Path], bool]) -> Iterator[Candidate]:
    """Folders, and the files that are wanted, where the fragment points to. Hidden ones only when asked for."""
    head, slash, last = fragment.rpartition("/")
    try:
        folder = Path(head + slash or ".").expanduser()
        there = sorted(islice(folder.iterdir(), MOST_FILES))
    except (OSError, RuntimeError, ValueError):  # no such folder, no such home, a NUL
        return
    for path in there:
        if path.name.startswith(".") and not last.startswith("."):
            continue
        try:
            is_folder = path.is_dir()
        except OSError:
            continue
        if is_folder and not (path / RUN_JSON).is_file():
            yield Candidate(f"{head}{slash}{path.name}/", "folder", open=True, path=True)
        elif not is_folder and wanted(path) and not {"'", '"'} <= set(path.name):
            yield Candidate(f"{head}{slash}{path.name}", "file", path=True)


SPECIAL: dict[str, Callable[[Bench, str, str], Iterator[Candidate]]] = {
    "runs": _runs,
    "studies": _studies,
    "datasets": _datasets,
    "models": _models,
    "files": _files,
    "folders": _folders,
    "modules": _modules,
}
