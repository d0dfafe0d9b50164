"""Runs to look into: a few trained in seconds, and one whose tokens try to do harm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

METHODS = {"run-1": "sparse", "run-2": "apt", "run-3": "lora"}
TOKENS = "run-4"
HOSTILE = [
    '"><img src=x onerror="window.hacked=1">',
    "<script>window.hacked=1</script>",
    "<svg onload=window.hacked=1>",
    "</div></details><iframe srcdoc='<script>parent.hacked=1</script>'>",
    "' onmouseover='window.hacked=1",
    "<!-- --",
    "\u202egnp.exe",
    "$a$ `b` **c**",
]
PROMPT, ANSWER = ["What ", "is ", "this? "], ["{", " name", ": ", "Kyoto", ", ", "unit", ": ", "C", "}"]
LD = [-0.4, -0.2, -0.3, 2.5, -0.1, 0.6, 0.05, 1.2, -0.5]
"""Of the answer: above 0 is reasoning. A higher threshold leaves fewer."""


def make_tiny(folder: Path) -> None:
    """A base model of a few thousand weights in ``tiny``, and ``colours.csv`` that it can learn."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "blue", "stone", "leaf", "here", *map(str, range(60))]
    tokenizer = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks).save_pretrained(folder / "tiny")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=32, **sizes)).save_pretrained(folder / "tiny")
    rows = [f"{c} {t} here {at},{c}" for at in range(60) for c in ("red", "blue") for t in ("stone", "leaf")]
    (folder / "colours.csv").write_text("\n".join(["text,label", *rows]))


def make_runs(folder: Path, books: Path) -> None:
    """``run-1`` to ``run-3`` of METHODS, and ``run-4`` with tokens."""
    from peft_lab.lab import Lab

    lab = Lab(folder)
    for method in METHODS.values():
        given = {"model": str(books / "tiny"), "data": str(books / "colours.csv"), "device": "cpu"}
        lab.train(method, max_steps=16, batch_size=8, **given)
    put_tokens(folder)


def put_tokens(folder: Path) -> None:
    """A run as ``lora+rft`` leaves it, with two samples: one plain, one that is hostile."""
    source = json.loads((folder / "run-3" / "run.json").read_text())
    source |= {"id": TOKENS}
    source["recipe"] |= {"methods": [{"name": "lora", "options": {}}, {"name": "rft", "options": {}}]}
    run = folder / TOKENS
    (run / "artifacts").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps(source))
    (run / "metrics.jsonl").write_text((folder / "run-3" / "metrics.jsonl").read_text())
    answers = [ANSWER, HOSTILE]
    pieces, sample, kind, ld = [], [], [], []
    for number, answer in enumerate(answers):
        pieces += [*PROMPT, *answer]
        sample += [number] * (len(PROMPT) + len(answer))
        kind += [0] * len(PROMPT) + [1] * len(answer)
        ld += [np.nan] * len(PROMPT) + (LD if answer is ANSWER else [1.0, -1.0] * (len(answer) // 2))
    levels = np.array(ld, np.float32)
    role = np.where(np.isnan(levels), -1, levels > 0).astype(np.int8)
    rows = {
        "sample": np.array(sample, np.int32),
        "kind": np.array(kind, np.int8),
        "token": np.arange(len(pieces), dtype=np.int32),
    }
    roles = {
        "role": role,
        "ld": levels,
        "weight": np.where(role < 0, np.nan, np.where(role == 1, 1.5, 0.5)).astype(np.float32),
    }
    before = np.where(role < 0, np.nan, np.abs(np.nan_to_num(levels)) + 1).astype(np.float32)
    for artifact, own in {"token-roles": roles, "token-losses": {"before": before, "after": before / 2}}.items():
        arrays = rows | own
        about = {name: {"axes": ["token"], "labels": {"token": pieces}} for name in arrays}
        arrays["digest"] = np.arange(len(answers))
        about["digest"] = {"axes": ["sample"], "labels": {"sample": ["plain", "hostile"]}}
        if artifact == "token-roles":
            arrays["held_out"] = np.ones(len(answers), np.int8)
            about["held_out"] = {"axes": ["sample"], "labels": {}}
        save_file(arrays, run / "artifacts" / f"{artifact}.safetensors")
        (run / "artifacts" / f"{artifact}.json").write_text(json.dumps({"note": "", "arrays": about}))
