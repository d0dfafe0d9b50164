"""Whether all that a run was trained with is here and is the same: plugins, base model, tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from peft_lab.errors import RunProblem, nearest
from peft_lab.loading import OWN
from peft_lab.run import Run

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.recipe import Recipe
    from peft_lab.sources.models import FoundModel

NOTEBOOK = "notebook"


def offered_by(host: Host, recipe: Recipe, task: str) -> dict[str, dict[str, dict[str, str]]]:
    """Which distribution offers each method and the task of a recipe, as JSON data.

    ``{"methods": {"lora": {"distribution": "peft-lab", "version": "1.0"}}, "tasks": {...}}``; what was written in a
    notebook has the distribution ``notebook``.
    """
    plugins = {info.distribution: info.version for info in host.plugins()}

    def source(kind: str, name: str) -> dict[str, str]:
        provider = host.offers(kind)[name].plugin
        distribution = "peft-lab" if provider == OWN else provider
        return {"distribution": distribution, "version": plugins.get(distribution, "")}

    names = {"methods": [spec.name for spec in recipe.methods], "tasks": [task]}
    return {kind: {name: source(kind, name) for name in wanted} for kind, wanted in names.items()}


def must_be_offered(run: Run, host: Host) -> None:
    """Refuse where a method or the task of a run is missing, and say who offered it.

    Raises:
        RunProblem: names what is missing, and its distribution where the run knows it.
    """
    wanted = [("methods", spec.name) for spec in run.recipe.methods]
    wanted += [("tasks", run.record["task"])] if "task" in run.record else []
    sources = run.record.get("offered_by") or {}
    for kind, name in wanted:
        known = host.offers(kind)
        if name not in known:
            source = sources.get(kind, {}).get(name)
            said, hint = _who(source, host) if source else ("nothing here offers", nearest(name, known))
            raise RunProblem(f"{run.id} needs the {kind[:-1]} {name!r}, which {said}", hint)


def _who(source: Mapping[str, Any], host: Host) -> tuple[str, str]:
    distribution, version = source["distribution"], source.get("version", "")
    if distribution == NOTEBOOK:
        return "was written in a notebook", "Run the cell that defines it, and lab.add(...) it"
    here = next((info for info in host.plugins() if info.distribution == distribution), None)
    if here is None:
        exactly = f"{distribution}=={version}" if version else distribution
        return f"{distribution} {version} offered".rstrip(), f"pip install {exactly}"
    if here.status == "blocked":
        return f"{distribution} offers", "That plugin is blocked by PEFT_LAB_BLOCK"
    return (
        f"{distribution} {version} offered and {here.version} does not",
        "See %peft problems, or install that version",
    )


def must_be_same_model(run: Run, found: FoundModel) -> None:
    """Refuse another base model under the same name.

    Raises:
        RunProblem: the hash of its weights, or its commit, is another.
    """
    expected = run.record["fingerprints"].get("model")
    if expected != found.fingerprint:
        raise RunProblem(
            f"{run.id} was trained on another {run.recipe.model}: its fingerprint is {str(expected)[:12]}, "
            f"here {found.fingerprint[:12]}",
            "Put the same weights in place",
        )


def must_be_same_tokenizer(run: Run, tokenizer: Any) -> None:
    """Refuse another tokenizer; runs that kept no fingerprint of theirs are let through.

    Raises:
        RunProblem: it would cut texts into other ids.
    """
    from peft_lab.sources.tokenizers import tokenizer_fingerprint

    expected = run.record["fingerprints"].get("tokenizer")
    if expected is None:
        return
    here = tokenizer_fingerprint(tokenizer)
    if expected != here:
        raise RunProblem(
            f"{run.id} was trained with another tokenizer of {run.recipe.model}: its fingerprint is {expected[:12]}, "
            f"here {here[:12]}",
            "Put the same tokenizer files beside the weights",
        )
