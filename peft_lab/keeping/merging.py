"""A run merged into its base model: a plain transformers folder that needs neither peft nor peft_lab."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import MethodRefused
from peft_lab.keeping.folders import new_folder
from peft_lab.keeping.manifest import README, describe, digests, write_manifest
from peft_lab.keeping.readme import merged_readme
from peft_lab.keeping.saving import must_have_ended
from peft_lab.run import Run
from peft_lab.sources.quiet import quiet_peft, quiet_transformers
from peft_lab.training.restore import restore
from peft_lab.training.sample_texts import largest_difference, on_pairs, sample_rows, take_sample

if TYPE_CHECKING:
    import numpy as np
    import torch

    from peft_lab.host import Host
    from peft_lab.training.restore import Restored

MOST = 1e-4
"""By which the logits of the merged model may differ from those of the run, both in fp32."""
INSTEAD = "Keep it as an adapter: %peft save"


@dataclass(frozen=True)
class Merged:
    """A merged model on disk, and how its logits compare with those of the run."""

    folder: Path
    size: int
    """Bytes."""
    difference: float
    auto_class: str
    precision: str
    """The run's own; the comparison is in fp32."""
    own_difference: float
    """From the run's answers in its own precision."""


def merge(run: Run, host: Host, folder: str | Path, *, replace: bool = False) -> Merged:
    """Write the weights in effect as a transformers folder, and compare it, loaded by transformers, with the run.

    Raises:
        MethodRefused: the run's methods do more than change weights, or the merged model answers otherwise.
        RunProblem: the run is being trained, the folder holds something else or cannot be written.
    """
    must_have_ended(run)
    own = restore(run, host)
    precision, answers = own.place.precision, own.outputs(sample_rows(on_pairs(run)))
    del own
    # From the base model's files, in fp32: what was held in bf16 while training would lose digits for good.
    restored = restore(run, host, precision="fp32", device="cpu")
    sample = take_sample(restored, run)
    expected = restored.outputs(sample["rows"])
    with new_folder(folder, "merged", replace=replace) as staged:
        with quiet_peft():
            model = merged(restored, run)
        with quiet_transformers():
            model.config.name_or_path = ""
            model.save_pretrained(staged)
            restored.tokenizer.save_pretrained(staged)
        for file in staged.iterdir():  # transformers lets nobody else read the weights it writes
            file.chmod((staged / "config.json").stat().st_mode)
        found = _answers_of(staged, restored, sample["rows"])
        difference = largest_difference(found, expected)
        if difference > MOST:
            raise MethodRefused(
                f"{run.recipe.method} cannot be merged: the merged model's logits differ by {difference:.2g}", INSTEAD
            )
        manifest = describe(run, host, kind="merged", layout="transformers", files=digests(staged), sample=sample)
        write_manifest(staged, manifest)
        (staged / README).write_text(
            merged_readme(manifest, restored.task.auto_class, restored.max_length), encoding="utf-8"
        )
        size = sum(file.stat().st_size for file in staged.iterdir())
    place = Path(folder).expanduser().absolute()
    apart = largest_difference(found, answers)
    return Merged(place, size, difference, restored.task.auto_class, precision, apart)


def merged(restored: Restored, run: Run) -> Any:
    """The plain model with the weights in effect; what was restored is used up by it.

    Raises:
        MethodRefused: something of a method is no change of weights, and would be lost.
    """
    name = run.recipe.method
    model = _without_wrapper(restored.built.model, name)
    _merge_tuners(model, name)
    plain = _names_of_plain(model)
    here = set(model.state_dict())
    if strange := sorted(here ^ plain):
        what = "adds" if strange[0] in here else "replaces"
        raise MethodRefused(
            f"{name} cannot be merged: it {what} {strange[0]}, which no plain {type(model).__name__} could hold",
            INSTEAD,
        )
    return model


def _without_wrapper(model: Any, name: str) -> Any:
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        return model
    if model.active_peft_config.is_prompt_learning:
        raise MethodRefused(f"{name} cannot be merged: its virtual tokens are an input, no weights", INSTEAD)
    return model.get_base_model()


def _merge_tuners(model: torch.nn.Module, name: str) -> None:
    """Let every layer of PEFT write its change into the weight it stands beside, and give its place back to it."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    kinds = (BaseTunerLayer, AuxiliaryTrainingWrapper)
    layers = {path: module for path, module in model.named_modules() if isinstance(module, kinds)}
    outer = {path for path in layers if not any(path.startswith(f"{other}.") for other in layers)}
    for path in outer:
        layer: Any = layers[path]
        try:
            if hasattr(layer, "unload_and_optionally_merge_module"):
                inside = layer.unload_and_optionally_merge_module(merge=True, safe_merge=False, adapter_names=None)
            else:
                layer.merge()
                inside = layer.get_base_layer()
        except (NotImplementedError, ValueError, AttributeError) as error:
            text = "" if isinstance(error, AttributeError) else " ".join(str(error).split()).rstrip(".")
            said = f" ({text})" if text else ""
            raise MethodRefused(f"{name} cannot be merged: PEFT has no merge for its layers{said}", INSTEAD) from error
        parent, _, last = path.rpartition(".")
        setattr(model.get_submodule(parent), last, inside)


def _names_of_plain(model: Any) -> set[str]:
    import torch

    with torch.device("meta"):
        return set(type(model)(model.config).state_dict())


def _answers_of(folder: Path, restored: Restored, rows: list[dict[str, str]]) -> np.ndarray:
    """What transformers alone makes of the texts."""
    import torch
    import transformers

    with quiet_transformers(), torch.inference_mode():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        auto = getattr(transformers, restored.task.auto_class)
        model, info = auto.from_pretrained(folder, output_loading_info=True, use_safetensors=True, dtype=torch.float32)
        if lost := sorted(info["missing_keys"]) + sorted(info["unexpected_keys"]):
            raise MethodRefused(
                f"it cannot be merged: transformers does not find {lost[0]} in what was written", INSTEAD
            )
        if restored.task.by_word or restored.task.generates:  # only the core knows which tokens count
            return replace(restored, built=replace(restored.built, model=model), tokenizer=tokenizer).outputs(rows)
        columns = [[row[name] for row in rows] for name in ("text", "text_pair") if name in rows[0]]
        batch = tokenizer(*columns, padding=True, truncation=True, max_length=restored.max_length, return_tensors="pt")
        return restored.task.outputs(model.eval(), batch).float().numpy()
