"""A run put into a folder that can be moved to another machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import RunProblem
from peft_lab.keeping import peft_layout
from peft_lab.keeping.folders import new_folder
from peft_lab.keeping.manifest import README, Manifest, describe, digests, write_manifest
from peft_lab.keeping.readme import adapter_readme
from peft_lab.keeping.unpacking import unpack
from peft_lab.run import WEIGHTS, Run
from peft_lab.sources.models import find_model
from peft_lab.training.restore import restore
from peft_lab.training.sample_texts import compare_sample, take_sample

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.training.restore import Restored


@dataclass(frozen=True)
class Saved:
    """A saved folder, and how it was seen that it can be loaded."""

    folder: Path
    manifest: Manifest
    size: int
    """Bytes."""
    difference: float
    """Between the logits of the run and those of the folder, loaded into a fresh base model."""
    peft_difference: float | None = None
    """The same when PEFT loads it, in fp32; None where PEFT does not."""


def save(run: Run, host: Host, folder: str | Path, *, replace: bool = False) -> Saved:
    """Write a run into a folder, in PEFT's layout where that is possible, and load it again to see that it works.

    Raises:
        RunProblem: the run has nothing to save or is being trained, the folder holds something else or cannot be
            written, or what was written does not give the same answers.
    """
    must_have_ended(run)
    restored = restore(run, host)
    sample = take_sample(restored, run)
    with new_folder(folder, "adapter", replace=replace) as staged:
        plain = in_fp32(restored, run, host)
        base = find_model(run.recipe.model, host).path_or_id
        written, why = _write_tensors(staged, run, host, plain)
        manifest = describe(
            run,
            host,
            kind="adapter",
            layout="peft" if written else "peft_lab",
            why_not_peft=why,
            files=digests(staged),
            tensors=written.tensors if written else {},
            worked_out=written.worked_out if written else [],
            sample=sample,
        )
        write_manifest(staged, manifest)
        (staged / README).write_text(_readme(manifest, plain, base), encoding="utf-8")
        del restored, plain
        difference = _loaded_again(staged, manifest, host, run.id)
        size = sum(file.stat().st_size for file in staged.iterdir())
    peft_difference = written.difference if written else None
    return Saved(Path(folder).expanduser().absolute(), manifest, size, difference, peft_difference)


def must_have_ended(run: Run) -> None:
    """Refuse what is still changing."""
    if run.status == "running":
        raise RunProblem(f"{run.id} is being trained", f"Wait for it, or stop it: %peft stop {run.id}")


def in_fp32(restored: Restored, run: Run, host: Host) -> Restored:
    """The same model in fp32 on the CPU: what other libraries load by default."""
    if restored.place.precision == "fp32" and restored.place.device.type == "cpu":
        return restored
    return restore(run, host, precision="fp32", device="cpu")


def _write_tensors(staged: Path, run: Run, host: Host, plain: Restored) -> tuple[peft_layout.Written | None, str]:
    try:
        return peft_layout.write(staged, run, host, plain), ""
    except peft_layout.NotInPeft as error:
        for file in staged.iterdir():
            file.unlink()
        shutil.copyfile(run.path / WEIGHTS, staged / WEIGHTS)
        from_peft = any(method.peft_config is not None for method in plain.built.methods)
        return None, str(error) if from_peft else ""


def _readme(manifest: Manifest, plain: Restored, base: str) -> str:
    config = next((m.peft_config for m in plain.built.methods if m.peft_config is not None), None)
    settings: dict[str, Any] = dict(plain.task.model_settings(plain.targets))
    pad = plain.tokenizer.pad_token_id if not _pads_itself(plain) else None
    kind = getattr(config, "peft_type", "") if config is not None else ""
    return adapter_readme(
        manifest, plain.task.auto_class, settings, base=base, length=plain.max_length, peft_type=kind, pad=pad
    )


def _pads_itself(plain: Restored) -> bool:
    """Whether the base model's files name the pad token, so that batches work as they are."""
    from transformers import AutoConfig

    config: Any = plain.built.model.config
    before = AutoConfig.from_pretrained(config.name_or_path) if config.name_or_path else config
    return bool(before.pad_token_id == plain.tokenizer.pad_token_id)


def _loaded_again(staged: Path, manifest: Manifest, host: Host, name: str) -> float:
    """Load what was written into a fresh base model and compare its answers."""
    check = staged / name
    try:
        run = unpack(staged, manifest, check)
        return compare_sample(restore(run, host), manifest.sample.model_dump(), f"what was saved of {name}")
    finally:
        shutil.rmtree(check, ignore_errors=True)
