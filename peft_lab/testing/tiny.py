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


CITIES = ("Kyoto", "Lima", "Oslo", "Cairo", "Quito", "Perth", "Turin", "Dakar", "Leeds", "Osaka", "Malmo", "Accra")
DAYS = ("Monday", "Tuesday", "Friday", "Saturday", "Sunday")
MONEY = ("yen", "soles", "kroner", "pounds", "francs")
CALLS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "get_weather": ("What is the weather in {city} on {day}?", ("city", "day")),
    "convert_money": ("How much are {amount} euros in {money}?", ("amount", "money")),
    "find_train": ("I need a train from {start} to {city} on {day}.", ("start", "city", "day")),
}
"""By tool: how it is asked for, and its arguments, which stand in what is asked."""
CHAT = (
    "{%- if tools %}{{ '<|system|>Tools: ' + tools | tojson + '<|end|>\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<|assistant|>' }}{%- endif %}"
)
"""A chat template that writes tools."""


def tiny_causal_model(folder: Path, family: str = "llama", template: str | None = CHAT, **settings: Any) -> Path:
    """Write a random language model with a byte-level tokenizer as a transformers folder; return the folder.

    Its output table is its input table, as in most small models.

    Args:
        family: a decoder of :data:`FAMILIES`.
        template: the chat template; None for a tokenizer without one.
        settings: for the model's config.
    """
    import json

    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    from peft_lab.sources.quiet import quiet_transformers

    special = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rows = tiny_calls(160)
    inner.train_from_iterator([text for row in rows for text in row.values()] + [json.dumps(list(CALLS))], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|end|>", pad_token="<|pad|>", extra_special_tokens=special[2:]
    )
    tokenizer.chat_template = template
    shape = {
        **SIZES[family],
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 1,
        "tie_word_embeddings": True,
    }
    with torch.random.fork_rng(), quiet_transformers():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**shape, **settings}))
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.02)
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_calls(count: int = 80, seed: int = 0) -> list[dict[str, str]]:
    """Different requests, each with the tool call that answers it, as rows of the task ``causal``."""
    import json

    draw = random.Random(seed)
    rows: list[dict[str, str]] = []
    while len(rows) < count:
        name = list(CALLS)[len(rows) % len(CALLS)]
        asked, arguments = CALLS[name]
        start, city = draw.sample(CITIES, 2)
        values = {"start": start, "city": city, "amount": draw.randint(11, 99), "money": draw.choice(MONEY)}
        values["day"] = draw.choice(DAYS)
        if any(row["text"] == asked.format(**values) for row in rows):
            continue
        kinds = {a: {"type": "integer" if a == "amount" else "string"} for a in arguments}
        tool = {"name": name, "parameters": {"type": "object", "properties": kinds}}
        rows.append(
            {
                "text": asked.format(**values),
                "label": json.dumps({"name": name, "arguments": {a: values[a] for a in arguments}}),
                "text_pair": json.dumps({"tools": [tool]}, separators=(",", ":")),
            }
        )
    return rows


def tiny_causal_lab(folder: Path, *methods: type[Method], family: str = "llama", **settings: Any) -> Lab:
    """A lab in a folder with the built-in plugins, a language model ``tiny`` and tool calls ``tiny``; methods added."""
    host = Host(entry_points=False)
    model = tiny_causal_model(folder / f"tiny-causal-{family}", family, **settings)
    host.add(ModelSource("tiny", f"a random {family} of two layers that writes", lambda: model))
    rows = tiny_calls(96)
    splits = {"train": rows[:80], "test": rows[80:]}
    host.add(DatasetSource("tiny", "requests and tool calls", lambda: splits, task="causal", text_pair="text_pair"))
    for method in methods:
        host.add(method)
    lab = Lab(folder / "runs", host=host)
    lab.recipe("lora", model="tiny", data="tiny")
    return lab
