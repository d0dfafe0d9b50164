"""Tiny random models of every family, tiny data, and a lab that offers both: all that a test needs, offline."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft_lab.host import Host
from peft_lab.lab import Lab
from pluggy_specs import DatasetSource, Method, ModelSource

WORDS = (
    "red",
    "green",
    "blue",
    "ship",
    "dock",
    "crane",
    "rope",
    "wave",
    "wind",
    "salt",
    "gull",
    "tide",
    "the",
    "a",
    "is",
    "on",
)
SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
ENDS = {"bos_token_id": 2, "eos_token_id": 3}
# Small, and with what sets a family apart: embeddings narrower than layers, keys shared by heads, heads wider than
# their share, positions by distance, attention to near tokens.
SIZES: Mapping[str, Mapping[str, Any]] = {
    "bert": SIZE,
    "roberta": {**SIZE, "type_vocab_size": 1},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    "electra": {**SIZE, "embedding_size": 16},
    "deberta-v2": {
        **SIZE,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "position_biased_input": False,
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "type_vocab_size": 0,
    },
    "modernbert": {**SIZE, **ENDS, "cls_token_id": 2, "sep_token_id": 3, "local_attention": 8},
    "albert": {**SIZE, "embedding_size": 16},
    "llama": {**SIZE, **ENDS, "num_key_value_heads": 2},
    "qwen2": {**SIZE, **ENDS, "num_key_value_heads": 2},
    "qwen3": {**SIZE, **ENDS, "num_key_value_heads": 2, "head_dim": 16},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, **ENDS},
}
FAMILIES = tuple(SIZES)
"""Families of base models that every built-in method is tried on, by their ``model_type`` in transformers."""


NEEDED: Mapping[str, Mapping[str, Any]] = {
    "peft:trainable_tokens": {"token_indices": [5, 6, 7]},
    "peft:fourierft": {"n_frequency": 100},
    "peft:waveft": {"n_frequency": 100},
    "peft:miss": {"r": 16},
    "peft:psoft": {"r": 8},
    "peft:shira": {"r": 4},
}
"""What built-in methods cannot do without, and sizes that models of 32 dimensions can hold; else defaults do."""


def tiny_model(folder: Path, family: str = "bert", **settings: Any) -> Path:
    """Write a random model of a family, with a word-level tokenizer, as a transformers folder; return the folder.

    Args:
        family: one of :data:`FAMILIES`; any other ``model_type`` of transformers takes its sizes from ``settings``.
        settings: for the model's config.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    from peft_lab.sources.quiet import quiet_transformers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )
    shape = {"vocab_size": len(vocabulary), "max_position_embeddings": 64, "pad_token_id": 0, **SIZES.get(family, {})}
    config = AutoConfig.for_model(family, **{**shape, **settings})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModel.from_config(config)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # fresh biases are zero, and what is multiplied by zero cannot learn
                torch.nn.init.normal_(parameter, std=0.02)
        with quiet_transformers():
            model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_rows(count: int = 96, seed: int = 0) -> list[dict[str, str]]:
    """Sentences of which one word decides the label."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        label = WORDS[number % 3]
        words = [*draw.choices(WORDS[3:], k=draw.randint(2, 9)), label]
        draw.shuffle(words)
        rows.append({"text": " ".join(words), "label": f"about-{label}"})
    return rows


def tiny_lab(folder: Path, *methods: type[Method], family: str = "bert", **settings: Any) -> Lab:
    """A lab in a folder with the built-in plugins, a model ``tiny`` and a data set ``tiny``, and some methods added."""
    host = Host(entry_points=False)
    model = tiny_model(folder / f"tiny-{family}", family, **settings)
    host.add(ModelSource("tiny", f"a random {family} of two layers", lambda: model))
    splits = {"train": tiny_rows(96), "test": tiny_rows(48, seed=1)}
    host.add(DatasetSource("tiny", "one word decides the label", lambda: splits))
    for method in methods:
        host.add(method)
    lab = Lab(folder / "runs", host=host)
    lab.recipe("head", model="tiny", data="tiny")
    return lab
