"""What becomes of a method on each family of base models: it trains, or it is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from peft_lab.errors import MethodRefused
from peft_lab.host import Host
from peft_lab.recipe import Training, checked
from peft_lab.testing.contract import changes_weights
from peft_lab.testing.tiny import FAMILIES, tiny_causal_model, tiny_model, tiny_rows
from pluggy_specs import Method

if TYPE_CHECKING:
    import torch

    from peft_lab.training.build import Built

TRAINS = "trains"
LABELS: Mapping[str, Callable[[Mapping[str, str]], Any]] = {
    "classification": lambda row: row["label"],
    "regression": lambda row: float(row["text"].count("red") + row["text"].count("ship")),
    "causal": lambda row: " ".join(reversed(row["text"].split())),
    "tagging": lambda row: ["B-" + word if word in ("red", "ship") else "O" for word in row["text"].split()],
}
"""By task: a label that the texts of :func:`tiny_rows` decide."""
LONGEST = 64
"""Tokens of a text."""
SAME = 1e-4
"""Largest difference between the outputs for a text alone and in a padded batch."""


def check_families(
    method: type[Method],
    folder: Path,
    options: Mapping[str, Any] | None = None,
    families: Iterable[str] = FAMILIES,
    task: str = "classification",
) -> dict[str, str]:
    """Try a method on tiny random models of some families; return ``trains`` or the reason of its refusal for each.

    To train means: all that should learn does so in the first steps and nothing frozen moves by a bit; the whole head
    trains; a text alone gets the outputs that it gets in a padded batch; and what was kept, loaded strictly into a
    fresh model, gives the same outputs bit for bit.

    Args:
        options: of the method.
        task: ``classification``, ``regression``, ``tagging`` or ``causal``.

    Raises:
        AssertionError: the method trains a family, but not so.
    """
    from peft_lab.training.randomness import kept_apart

    host = Host(entry_points=False)
    found = {}
    for family in families:
        model = folder / family
        if not model.is_dir():
            (tiny_causal_model if task == "causal" else tiny_model)(model, family)
        file = folder / f"{method.name.replace(':', '-')}-{family}.safetensors"
        with kept_apart():
            trial = _Trial(host, method, options or {}, model, f"{method.name} on {family}", task)
            found[family] = trial.outcome(file)
    return found


class _Trial:
    """One method on one model."""

    def __init__(
        self, host: Host, method: type[Method], options: Mapping[str, Any], model: Path, about: str, task: str
    ) -> None:
        import datasets

        from peft_lab.sources.models import find_model, load_tokenizer
        from peft_lab.training.batches import Batcher
        from peft_lab.training.conversing import encode_for
        from peft_lab.training.hardware import open_accelerator

        self.host, self.method, self.options, self.about = host, method, options, about
        self.found = find_model(str(model), host)
        self.task = host.find("tasks", task)()
        self.tokenizer = load_tokenizer(self.found)
        rows = datasets.Dataset.from_list([{**row, "label": LABELS[task](row)} for row in tiny_rows(32)])
        self.targets = self.task.targets(rows)
        labels = self.task.encode_labels(rows, self.targets)
        self.encode = lambda tokenizer: encode_for(self.task, rows, labels, tokenizer, LONGEST)
        self.accelerator = open_accelerator(Training(device="cpu", precision="fp32"))
        self.batcher = lambda tokenizer: Batcher(tokenizer, self.accelerator.device)

    def outcome(self, file: Path) -> str:
        """Build, train, compare, keep and restore."""
        import numpy as np
        import torch

        from peft_lab.training.weights import load_weights, save_weights, saved_masks, saved_whole

        try:
            built = self.build(seed=0)
        except MethodRefused as refusal:
            assert "\n" not in str(refusal) and len(refusal.message.split()) > 3, f"{self.about}: {refusal}"
            return str(refusal)
        trainable = built.trainable()
        heads = [name for name in trainable if built.is_head(name)]
        assert len(heads) == len(built.head), f"{self.about}: of the head {built.head} only {heads} trains"
        assert len(trainable) > len(heads) or not changes_weights(self.method), f"{self.about}: only the head trains"
        for mark in self.train(built):
            assert mark["ok"], f"{self.about}: {mark['text']}"
        texts = np.arange(3)
        together = self.outputs(built, texts)
        alone = torch.cat([self.outputs(built, texts[i : i + 1]) for i in texts])
        apart = float((together - alone).abs().max())
        assert apart < SAME, f"{self.about}: outputs for a text alone and in a batch are {apart:.2g} apart"
        save_weights(built, file)
        fresh = self.build(seed=1, masks=saved_masks(file), whole=saved_whole(file))
        load_weights(fresh, file)
        assert torch.equal(self.outputs(fresh, texts), together), f"{self.about}: restored, it gives other outputs"
        return TRAINS

    def build(self, seed: int, masks: Mapping[str, torch.Tensor] | None = None, whole: Collection[str] = ()) -> Built:
        """The model with the method attached, ready to train."""
        import torch

        from peft_lab.training.build import adapt_tokenizer, build, build_base
        from peft_lab.training.context import Context

        companion = [self.host.find("methods", self.method.companion)()] if self.method.companion else []
        methods = [*companion, self.method(checked(self.method.Options, self.options, self.method.name))]
        generator = torch.Generator().manual_seed(0)
        context = Context(self.accelerator.device, generator, self.tokenizer, self.task, 16)
        rows = adapt_tokenizer(methods, context)
        self.train_texts = context.train = self.encode(context.tokenizer)
        self.batches = context.batcher = self.batcher(context.tokenizer)
        context.longest = LONGEST
        context.make_base = lambda: build_base(self.found, self.targets, context, rows)
        return build(self.found, methods, self.targets, context, seed, masks=masks, rows=rows, whole=whole)

    def train(self, built: Built) -> list[dict[str, Any]]:
        """Some steps of the loop's own, as many as it takes to see what learns; returns the marks of the proof."""
        import numpy as np

        from peft_lab.training.loop import backward, make_optimizer, move
        from peft_lab.training.proof import FIRST_STEPS, PATIENCE, Proof

        proof = Proof(built)
        optimizer = make_optimizer(built, Training(learning_rate=1e-2))
        job: Any = SimpleNamespace(built=built, task=self.task, accelerator=self.accelerator)
        texts = np.arange(len(self.train_texts))
        while proof.steps < FIRST_STEPS or (proof.watching and proof.steps < PATIENCE):
            built.model.train()
            backward(job, [self.batches.batch(self.train_texts, texts)])
            proof.after_backward()
            move(job, optimizer)
            proof.after_step()
            self.outputs(built, texts[:2])  # what a method keeps of an evaluation must not spoil the next step
        proof.finish()
        return proof.marks()

    def outputs(self, built: Built, texts: Any) -> torch.Tensor:
        """Outputs for some of the training texts, [text, label], or [word, label], padded to the longest of them."""
        import torch

        data = self.train_texts
        built.model.eval()
        with torch.inference_mode():
            outputs = self.task.outputs(built.model, self.batches.batch(data, texts))
        if data.borders is not None:
            ends = [outputs.shape[1] if self.batches.left else int(data.lengths[text]) for text in texts]
            answers = zip(outputs, ends, (data.lengths - data.borders)[texts], strict=True)
            return torch.cat([row[end - count : end, 0] for row, end, count in answers])
        if data.words is None:
            return outputs
        before = [outputs.shape[1] - int(data.lengths[text]) if self.batches.left else 0 for text in texts]
        places = [data.words[text] + skipped for text, skipped in zip(texts, before, strict=True)]
        return torch.cat([row[torch.from_numpy(at)] for row, at in zip(outputs, places, strict=True)])
