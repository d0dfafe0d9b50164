"""``peft_lab.json``: what a saved folder is, where it comes from, and what its files must be."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from peft_lab.errors import BadOption, RunProblem
from peft_lab.files import sha256_of
from peft_lab.present.style import shorten
from peft_lab.recipe import checked
from peft_lab.run import RUN_JSON, Run
from peft_lab.training.journal import plain, versions
from peft_lab.training.sameness import offered_by

if TYPE_CHECKING:
    from peft_lab.host import Host

FORMAT = 1
MANIFEST, README = "peft_lab.json", "README.md"
AGAIN = "Copy it again from where it was saved"
NUMBER = r"(?:-?\d[-+.\deE]*|null)"
# Of a run's record: what it was and what came out, nothing of the process and the machine's folders.
KEPT = (
    "id",
    "status",
    "recipe",
    "task",
    "generates",
    "targets",
    "memory",
    "cutting",
    "headline",
    "head",
    "fingerprints",
    "versions",
    "hardware",
    "data",
    "metrics",
    "cost",
    "proof",
    "notes",
    "steps",
    "best",
    "started",
    "ended",
    "resumed",
    "forecast",
    "origin",
)


class Sample(BaseModel):
    """A few fixed texts and what the model answers to them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: list[dict[str, str]]
    outputs: list[Any]
    precision: str


class Manifest(BaseModel):
    """The content of ``peft_lab.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    kind: Literal["adapter", "merged"]
    layout: Literal["peft", "peft_lab", "transformers"]
    why_not_peft: str = ""
    """Why an adapter of Hugging Face PEFT is not in PEFT's own layout."""
    saved: str
    """When, UTC."""
    saved_with: dict[str, str]
    """Versions at that time; those that trained it are in ``run``."""
    offered_by: dict[str, dict[str, dict[str, str]]]
    """Which distribution, in which version, each method and the task comes from."""
    run: dict[str, Any]
    """The record of the run, without what concerns only the machine it was trained on."""
    files: dict[str, str]
    """SHA-256 of every other file but the README."""
    tensors: dict[str, str] = Field(default_factory=dict)
    """Of PEFT's layout: the key in ``adapter_model.safetensors`` of each tensor, by its name in a run."""
    worked_out: list[str] = Field(default_factory=list)
    """Of PEFT's layout: keys that PEFT works out from the tensors when it saves, and only PEFT reads."""
    sample: Sample


def describe(run: Run, host: Host, **facts: Any) -> Manifest:
    """The manifest of a run that is being saved."""
    record = {name: run.record[name] for name in KEPT if name in run.record}
    return Manifest(
        saved=datetime.now(UTC).isoformat(timespec="seconds"),
        saved_with=versions(),
        offered_by=offered_by(host, run.recipe, run.record["task"]),
        run=plain(record),
        **facts,
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``peft_lab.json``, rows of numbers on one line each."""
    text = json.dumps(plain(manifest.model_dump(mode="json")), ensure_ascii=False, indent=1)
    # A line break is never inside a JSON string, so that no text is touched.
    text = re.sub(rf"\[\n\s*({NUMBER}(?:,\n\s*{NUMBER})*)\n\s*\]", _on_one_line, text)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _on_one_line(found: re.Match[str]) -> str:
    return f"[{', '.join(part.strip() for part in found[1].split(','))}]"


def read_manifest(folder: Path) -> Manifest:
    """Read ``peft_lab.json``.

    Raises:
        RunProblem: it is missing, damaged, or of a newer format.
    """
    file = folder / MANIFEST
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise _nothing_saved(folder) from None
    except (OSError, ValueError) as error:
        raise _damaged(folder, error) from None
    if not isinstance(data, Mapping):
        raise _damaged(folder, "it holds no record")
    if isinstance(data.get("format"), int) and data["format"] > FORMAT:
        raise RunProblem(
            f"{folder.name} was saved by a newer peft_lab: its format is {data['format']}, this one reads {FORMAT}",
            "pip install --upgrade peft-lab",
        )
    try:
        return checked(Manifest, data, MANIFEST)
    except BadOption as error:
        raise _damaged(folder, shorten(error.message, 160)) from None


def check_files(folder: Path, manifest: Manifest) -> None:
    """Every file must be there and be what was saved, to the bit.

    Raises:
        RunProblem: names the first that is not.
    """
    for name, expected in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise RunProblem(f"{folder.name} lacks {name}", "Copy the whole folder again")
        if sha256_of(file) != expected:
            raise RunProblem(f"{name} in {folder.name} is not what was saved: it is damaged or was changed", AGAIN)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the files in a folder that is about to get its manifest."""
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f.name not in (MANIFEST, README))
    return {file.relative_to(folder).as_posix(): sha256_of(file) for file in files}


def _damaged(folder: Path, error: object) -> RunProblem:
    return RunProblem(f"{MANIFEST} in {folder.name} is damaged: {error}", AGAIN)


def _nothing_saved(folder: Path) -> RunProblem:
    if (folder / "adapter_config.json").is_file():
        return RunProblem(
            f"{folder.name} is an adapter that was not saved by peft_lab", "PeftModel.from_pretrained of peft opens it"
        )
    if not folder.is_dir():
        return RunProblem(f"there is no folder {folder.name}", "Save a run first: %peft save run-1 my-adapter")
    hint = "It is a run: name it as one" if (folder / RUN_JSON).is_file() else "Save a run first: %peft save run-1 X"
    return RunProblem(f"{folder.name} holds nothing saved: it has no {MANIFEST}", hint)
