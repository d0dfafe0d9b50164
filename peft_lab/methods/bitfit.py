"""BitFit: bias terms and the task head (Ben-Zaken et al. 2022; compared with adapters in arXiv:2401.04051)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pluggy_specs import Method, MethodContext, MethodRefused, Options

if TYPE_CHECKING:
    import torch

# Module paths within a layer. BERT and RoBERTa name them as on the left, DistilBERT as on the right.
PARTS = {
    "query": r"attention\.self\.query|attention\.q_lin",
    "key": r"attention\.self\.key|attention\.k_lin",
    "value": r"attention\.self\.value|attention\.v_lin",
    "intermediate": r"intermediate\.dense|ffn\.lin1",
    "output": r"(attention\.)?output\.dense|attention\.out_lin|ffn\.lin2",
    "norm": r"(attention\.)?output\.LayerNorm|sa_layer_norm|output_layer_norm",
}
Part = Literal["all", "query", "key", "value", "intermediate", "output", "norm"]


class BitFitOptions(Options):
    """Which biases train."""

    biases: tuple[Part, ...] = Field(("all",), min_length=1, description="kinds of modules whose bias trains")


class BitFit(Method):
    """Trains the bias of every module that has one, or of chosen kinds of modules; the pooler's bias always.

    With ``train_head: top`` this is the paper's set to the last entry: on BERT-base with two labels 102,912 biases and
    1,538 entries of the classifier.
    """

    name = "bitfit"
    summary = "bias terms only: about 0.1 % of the weights"
    paper = "arXiv:2106.10199, arXiv:2401.04051"
    training = {"learning_rate": 3e-3}

    Options = BitFitOptions

    def attach(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Mark biases, chosen by module: a name that merely contains 'bias' is none."""
        wanted = [re.compile(rf"\.\d+\.({PARTS[p]})$") for p in self.options.biases if p != "all"]
        every = "all" in self.options.biases
        found = {name: bias for name, module in model.named_modules() if (bias := _bias(module)) is not None}
        if not found:
            raise MethodRefused("bitfit trains biases, and this model has none", "Try lora")
        chosen = {n for n in found if every or n.endswith("pooler.dense") or any(w.search(n) for w in wanted)}
        if not chosen - {n for n in found if n.endswith("pooler.dense")}:
            raise MethodRefused(f"no module of this model is a {' or '.join(self.options.biases)}", "Say --biases all")
        for name in chosen:
            found[name].requires_grad_(True)


def _bias(module: torch.nn.Module) -> torch.nn.Parameter | None:
    return module._parameters.get("bias")
