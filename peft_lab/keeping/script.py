"""The plain script that equals a run, and the files it reads: torch, transformers and PEFT, nothing of peft_lab."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption, RunProblem
from peft_lab.keeping.script_facts import as_lines, read_facts
from peft_lab.keeping.script_text import data_folder, text_of
from peft_lab.present.style import PLAIN, esc
from peft_lab.run import Run

if TYPE_CHECKING:
    from peft_lab.host import Host


@dataclass(frozen=True)
class Script:
    """A script, and the files it reads. Shows itself; ``text`` is the script, ``files`` where it was written to."""

    text: str
    tables: dict[str, str] = field(repr=False)
    """Rows by split as JSON lines."""
    masks: dict[str, Any] = field(default_factory=dict, repr=False)
    files: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return "\n".join(_written(self.files)) if self.files else self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        html = f'<pre {PLAIN} style="white-space:pre-wrap;line-height:1.4;margin:4px 0">{esc(self)}</pre>'
        return {"text/html": html, "text/plain": str(self)}

    def save(self, file: Path, *, replace: bool = False) -> Script:
        """Write the script, and the rows it reads into a folder beside it.

        Raises:
            RunProblem: something else stands there, or the folder cannot be written to.
        """
        from safetensors.torch import save

        data = data_folder(file)
        contents = {data / f"{split}.jsonl": text.encode() for split, text in self.tables.items()}
        if self.masks:
            contents[data / "masks.safetensors"] = save(self.masks)
        contents[file] = self.text.encode()
        try:
            for path, content in contents.items():
                if path.exists() and not replace and path.read_bytes() != content:
                    raise RunProblem(f"{path.name} is there already, and says something else", "Say --replace")
            data.mkdir(parents=True, exist_ok=True)
            for path, content in contents.items():
                unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
                unfinished.write_bytes(content)
                unfinished.replace(path)
        except OSError as error:
            said = error.strerror or str(error)
            raise RunProblem(
                f"{file.name} cannot be written: {said}", "Name a folder that can be written to"
            ) from error
        return Script(self.text, self.tables, self.masks, tuple(contents))


def script_of(run: Run, host: Host, file: str | os.PathLike[str] | None = None, *, replace: bool = False) -> Script:
    """The script that equals a run; written to a file, with the rows it reads beside it, where one is named.

    Raises:
        BadOption: the file is not named as a Python file is.
        RunProblem: data or model are not what they were, or the run cannot be written as a plain script.
    """
    place = Path(file).expanduser() if file is not None else None
    if place is not None and place.suffix != ".py":
        raise BadOption(f"{place.name} is no name of a Python file", f"Such as {place.stem or run.id}.py")
    facts = read_facts(run, host)
    tables = {split: as_lines(rows) for split, rows in facts.tables.items()}
    script = Script(text_of(facts, place or Path(f"{run.id}.py")), tables, facts.masks)
    return script.save(place, replace=replace) if place is not None else script


def _written(files: Iterable[Path]) -> Iterator[str]:
    *rest, script = files
    yield f"Written: {script}"
    yield from (f"         {path}" for path in rest)
    yield f"Run it:  python {script}"
