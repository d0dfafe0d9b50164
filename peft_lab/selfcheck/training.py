"""A tiny training that can only end well when everything works."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft_lab.present.style import score
from peft_lab.selfcheck.findings import FAILED, OK, Finding
from peft_lab.texts import checks as texts

COLOURS = ("red", "green", "blue")
OTHERS = ("ship", "dock", "crane", "rope", "wave", "wind", "salt", "gull")
EPOCHS, LEARNED = 8, 0.9
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
# Without dropout so few steps are enough, whatever the hardware rounds.
STEADY = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def training() -> Iterator[Finding]:
    """Train a tiny random model on a task it can only answer by learning, with everything that a run does."""
    from peft_lab.data_spec import DataSpec
    from peft_lab.host import Host
    from peft_lab.recipe import compose
    from peft_lab.training.session import train
    from pluggy_specs import DatasetSource, ModelSource

    with tempfile.TemporaryDirectory(prefix="peft-lab-") as temporary:
        folder = Path(temporary)
        host = Host(entry_points=False, warn=lambda line: None)
        host.add(ModelSource("selfcheck", "a random model of two layers", lambda: _tiny_model(folder / "model")))
        rows = {"train": _rows(120, seed=0), "test": _rows(48, seed=1)}
        host.add(DatasetSource("selfcheck", "one word decides the label", lambda: rows))
        wanted = {"epochs": EPOCHS, "batch_size": 8, "learning_rate": 3e-3}
        recipe = compose(host, "full", wanted, model="selfcheck", data=DataSpec(source="selfcheck"))
        with _one_thread():
            run = train(recipe, host, folder / "runs")
        reached, steps = run.metrics["test"]["accuracy"], run.record["steps"]["done"]
        marks = [mark["text"] for mark in run.record["proof"] if not mark["ok"]]
        seconds = run.cost["seconds"]
    found = texts.TRAINED.format(steps=steps, time=f"{seconds:.1f}", accuracy=score(reached))
    if marks or reached < LEARNED:
        why = texts.TRAINED_BADLY.format(found=found, marks="; ".join(marks)) if marks else found
        yield Finding(texts.TRAINING, FAILED, why, texts.INSTALL_ALL_AGAIN)
    else:
        yield Finding(texts.TRAINING, OK, found)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices as small as these are computed sooner by one thread than by several that wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _tiny_model(folder: Path) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from peft_lab.sources.quiet import quiet_transformers

    if (folder / "config.json").is_file():
        return folder
    words = {word: number for number, word in enumerate(("[PAD]", "[UNK]", *COLOURS, *OTHERS))}
    inner = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(folder)
    shape: dict[str, Any] = {"vocab_size": len(words), "max_position_embeddings": 32, **SIZES, **STEADY}
    with torch.random.fork_rng(), quiet_transformers():
        torch.manual_seed(0)
        BertModel(BertConfig(**shape)).save_pretrained(folder)
    return folder


def _rows(count: int, seed: int) -> list[dict[str, str]]:
    """Texts of five words, one of which is a colour: the label."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        colour = COLOURS[number % len(COLOURS)]
        words = [colour, *draw.choices(OTHERS, k=4)]
        draw.shuffle(words)
        rows.append({"text": " ".join(words), "label": colour})
    return rows
