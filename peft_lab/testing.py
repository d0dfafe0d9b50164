"""For authors of methods: one call that holds a method to the contract, on a tiny model, in seconds, offline.

from peft_lab.testing import check_method
def test_mine(tmp_path):
    check_method(MyMethod, tmp_path)
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from peft_lab.errors import MethodRefused
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.run import WEIGHTS, Run
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
SIZES: Mapping[str, Mapping[str, Any]] = {
    "bert": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
    "llama": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
    },
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
}


def tiny_model(folder: Path, family: str = "bert", **settings: Any) -> Path:
    """Write a random model of a family, with a word-level tokenizer, as a transformers folder; return the folder.

    Args:
        family: a ``model_type`` of transformers; sizes are known for bert, gpt2 and llama, others take ``settings``.
        settings: for the model's config.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

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
        AutoModel.from_config(config).save_pretrained(folder)
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


def check_method(
    method: type[Method], folder: Path, options: Mapping[str, Any] | None = None, family: str = "bert"
) -> Run:
    """Hold a method to the contract; return the run it trained.

    Checked: it is offered and its options survive JSON; something trains; all of it learns within the first steps and
    nothing frozen moves by a bit; the same recipe gives the same numbers; what was kept on disk, loaded into a fresh
    model, gives the same outputs bit for bit; its artifacts can be read.

    Raises:
        AssertionError: says which of these does not hold.
        MethodRefused: the method refuses the tiny model, with its own reason.
    """
    built_in = method.name in Host(entry_points=False).offers("methods")
    lab = tiny_lab(folder, *(() if built_in else (method,)), family=family)
    recipe = lab.recipe(method.name, epochs=2, batch_size=8, device="cpu", precision="fp32", **(options or {}))
    same = type(recipe).model_validate_json(recipe.model_dump_json())
    assert same.fingerprint == recipe.fingerprint, f"{method.name}: its options change when they go through JSON"
    run = lab.train_recipe(recipe)
    assert run.status == "finished", f"{method.name}: the run ended as {run.status}"
    assert run.cost["trainable"] > run.cost["trainable_head"] or not _changes_weights(method), (
        f"{method.name}: nothing but the head trains"
    )
    for mark in run.record["proof"]:
        assert mark["ok"], f"{method.name}: {mark['text']}"
    again = lab.train_recipe(recipe)
    for point, other in zip(_numbers(run), _numbers(again), strict=True):
        assert point == other, f"{method.name}: the same recipe gave {other} after {point}"
    _check_restored(lab, run, again)
    for kind in run.artifacts:
        for name, array in run.artifact(kind).arrays.items():
            assert array.values.ndim == len(array.axes), f"{method.name}: {kind}/{name} has other axes than it names"
    return run


def _changes_weights(method: type[Method]) -> bool:
    return method.name != "head" and any(getattr(method, h) is not getattr(Method, h) for h in ("attach", "masks"))


def _numbers(run: Run) -> Iterable[dict[str, Any]]:
    return [{k: v for k, v in point.items() if k != "seconds"} for point in run.points]


def _check_restored(lab: Lab, run: Run, again: Run) -> None:
    import numpy as np

    from peft_lab.training.restore import restore

    rows = tiny_rows(24, seed=2)
    first, second = (restore(r, lab.host) for r in (run, again))
    outputs = first.outputs(rows)
    method = run.recipe.method
    assert np.array_equal(outputs, second.outputs(rows)), f"{method}: two equal runs kept different weights"
    scores = first.score(lab.host.find("datasets", "tiny").splits()["test"])
    for name, measured in run.metrics["test"].items():
        assert scores[name] == measured, (
            f"{method}: on test the run measured {name} {measured}, its saved weights give {scores[name]}"
        )
    assert (run.path / WEIGHTS).stat().st_size > 0


__all__ = ["MethodRefused", "check_method", "tiny_lab", "tiny_model", "tiny_rows"]
