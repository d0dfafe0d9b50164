"""Begin where another run ended: its trained tensors instead of fresh ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import RunProblem
from peft_lab.files import sha256_of
from peft_lab.recipe import Recipe, Start
from peft_lab.run import WEIGHTS, Run
from peft_lab.training.weights import kept_tensors, put_tensors, read_tensors, saved_masks, saved_whole

if TYPE_CHECKING:
    import torch

    from peft_lab.training.build import Built


def start_from(run: Run) -> Start:
    """What a recipe says about the run it begins from.

    Raises:
        RunProblem: the run kept no weights.
    """
    file = run.path / WEIGHTS
    if run.active or not file.is_file():
        raise RunProblem(f"{run.id} is {run.status} and has no weights to begin from", "Name a finished run")
    return Start(run=str(run.path), weights=sha256_of(file))


def masks_of(start: Start) -> dict[str, torch.Tensor] | None:
    """The entries that trained in the run before; None where it had no masks, so that the methods are asked."""
    return saved_masks(_run_before(start).path / WEIGHTS) or None


def memory_of(start: Start) -> Mapping[str, Any]:
    """The record of the run before, with what its methods learned from its training texts."""
    return _run_before(start).record


def whole_of(start: Start) -> set[str]:
    """Names of what trained whole in the run before."""
    return saved_whole(_run_before(start).path / WEIGHTS)


def _run_before(start: Start) -> Run:
    """The run that another one begins from.

    Raises:
        RunProblem: it is not there any more.
    """
    folder = Path(start.run)
    if not (folder / WEIGHTS).is_file():
        what = "has no weights any more" if folder.is_dir() else "is gone"
        raise RunProblem(f"{folder.name}, which this run begins from, {what}", "Put its folder back, or train anew")
    return Run(folder)


def take_over(recipe: Recipe, built: Built, record: Mapping[str, Any]) -> str:
    """Put the trained tensors of the run before into the model; return what to note.

    The head is taken over where the labels are the same; otherwise it starts anew.

    Raises:
        RunProblem: the run was trained with other methods or on another base model, or changed since.
    """
    assert recipe.start is not None
    run = _run_before(recipe.start)
    if sha256_of(run.path / WEIGHTS) != recipe.start.weights:
        raise RunProblem(f"the weights of {run.id} are not those that this recipe began from", "Write a new recipe")
    if run.recipe.method != recipe.method:
        raise RunProblem(
            f"{run.id} was trained with {run.recipe.method}, not {recipe.method}",
            f"Train {run.recipe.method} on from it, or merge it into a model first: %peft merge {run.id} FOLDER",
        )
    if run.record["fingerprints"].get("model") != record["fingerprints"].get("model"):
        raise RunProblem(f"{run.id} was trained on another base model ({run.recipe.model})", "Name the same --model")
    found = dict(read_tensors(run.path / WEIGHTS))
    same = run.record.get("targets") == record.get("targets")
    if not same:
        found = {n: t for n, t in found.items() if not built.is_head(n)}
        found |= {n: t for n, t in kept_tensors(built).items() if built.is_head(n)}
    put_tensors(built, found, f"{run.id}/{WEIGHTS}")
    return f"Begun from {run.id}" + ("" if same else "; the labels are others, so the head starts anew")
