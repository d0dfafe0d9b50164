"""BitFit: bias terms and the task head (Ben-Zaken et al. 2022; compared with adapters in arXiv:2401.04051)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pluggy_specs import Method, MethodContext, MethodRefused, Options

if TYPE_CHECKING:
    import torch

# Module paths within a layer, as BERT and its kin, DistilBERT, ALBERT, Llama and its kin, and GPT-2 name them. Families
# that join query, key and value in one module have one bias for the three.
PARTS = {
    "query": r"attention\.(self\.)?query(_proj)?|attention\.q_lin|self_attn\.q_proj",
    "key": r"attention\.(self\.)?key(_proj)?|attention\.k_lin|self_attn\.k_proj",
    "value": r"attention\.(self\.)?value(_proj)?|attention\.v_lin|self_attn\.v_proj",
    "intermediate": r"intermediate\.dense|ffn\.lin1|ffn|mlp\.(gate|up)_proj|mlp\.c_fc|mlp\.Wi",
    "output": r"(attention\.)?output\.dense|attention\.out_lin|ffn\.lin2|attention\.dense|ffn_output"
    r"|self_attn\.o_proj|mlp\.down_proj|(attn|mlp)\.c_proj|(attn|mlp)\.Wo",
    "norm": r"(attention\.)?(output\.)?LayerNorm|sa_layer_norm|output_layer_norm|full_layer_layer_norm|ln_[12]"
    r"|(attn|mlp)_norm",
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
        found = {name: bias for name, bias in found.items() if f"{name}.bias" not in context.head}
        body = {n for n in found if not re.search(r"pooler(\.dense)?$", n)}
        if not body:
            raise MethodRefused("bitfit trains biases, and this model has none outside its head", "Try lora")
        chosen = {n for n in body if every or any(w.search(n) for w in wanted)}
        if not chosen:
            raise MethodRefused(f"no module of this model is a {' or '.join(self.options.biases)}", "Say --biases all")
        for name in chosen | (set(found) - body):
            found[name].requires_grad_(True)


def _bias(module: torch.nn.Module) -> torch.nn.Parameter | None:
    return module._parameters.get("bias")
