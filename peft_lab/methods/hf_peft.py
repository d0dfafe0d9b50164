"""Every tuner of Hugging Face PEFT as a method of its own: ``peft:vera``, ``peft:prefix_tuning``, ``peft:ia3``, ..."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

from peft_lab.methods._peft import KINDS, adaptable, effective_change, inject, linear_layers, matching, quiet_peft
from peft_lab.methods._peft_options import Discovered, config_class, peft_types
from peft_lab.methods._peft_prompts import PROMPTS, PromptMethod, answer_task_zero
from pluggy_specs import Artifact, Method, MethodContext, MethodRefused

if TYPE_CHECKING:
    import torch

REFUSED = {
    "XLORA": ("mixes LoRA adapters that were trained before, and needs their folders", "Use lora"),
    "LILY": (
        "mixes its experts by the mean over all texts of a batch: an answer would depend on the texts beside it",
        "Use lora",
    ),
    "CPT": ("is made for generating text after examples, with a loss of its own", "Use peft:prefix_tuning"),
}
# Sizes that must divide the layers; by default the largest divisor up to PEFT's own default is taken.
FITTED = {"C3A": ("block_size", 256), "VBLORA": ("vector_length", 256), "ROAD": ("group_size", 64)}
WRITTEN = {
    "LORA": "LoRA",
    "ADALORA": "AdaLoRA's factors at a fixed rank",
    "VERA": "VeRA",
    "IA3": "(IA)³",
    "XLORA": "X-LoRA",
}


def peft_methods() -> Iterator[type[Method]]:
    """One method class for each of PEFT's tuners; PEFT itself is imported when one is used."""
    for peft_type in peft_types():
        title = WRITTEN.get(peft_type) or peft_type.replace("_", " ").capitalize().replace("lora", "LoRA")
        members = {
            "name": f"peft:{peft_type.lower()}",
            "summary": f"{title}, by Hugging Face PEFT",
            "peft_type": peft_type,
            "Options": Discovered(peft_type),
            "__doc__": f"{title}, by Hugging Face PEFT.",
            "__module__": __name__,
        }
        kind = PromptMethod if peft_type in PROMPTS else AdaLoraMethod if peft_type == "ADALORA" else TunerMethod
        yield type("Peft" + peft_type.title().replace("_", ""), (kind,), members)


class TunerMethod(Method):
    """A tuner that puts its own layers into the model."""

    peft_type: ClassVar[str]

    def attach(self, model: torch.nn.Module, context: MethodContext) -> torch.nn.Module | None:
        """Let PEFT put its layers in, at the targets that were named or that are usual for this kind of model."""
        if self.peft_type in REFUSED:
            reason, hint = REFUSED[self.peft_type]
            raise MethodRefused(f"{self.name} {reason}", hint)
        attach = {"ADAPTION_PROMPT": self._attach_adaption_prompt, "SHADOW": self._attach_shadow}
        return attach.get(self.peft_type, self._attach_layers)(model, context)

    def artifacts(self, model: torch.nn.Module, context: MethodContext) -> Iterator[Artifact]:
        """The change of the weights in effect, where the tuner changes weights."""
        yield from effective_change(model)

    def _attach_layers(self, model: torch.nn.Module, context: MethodContext) -> None:
        given = self.options.model_dump()
        if self.peft_type == "TRAINABLE_TOKENS":
            self._check_tokens(model)
        elif "target_modules" in given:
            given["target_modules"] = self._targets(model, context)
        if self.peft_type in FITTED:
            option, most = FITTED[self.peft_type]
            given[option] = given[option] or _fitting(model, given["target_modules"], most)
        if self.peft_type in ("FROD", "SHIRA"):
            import torch

            torch.sparse.check_sparse_tensor_invariants.disable()  # as it is, but said, so that nothing warns of it
        if self.peft_type == "FROD":
            given["progressbar"] = False
        if self.peft_type == "ADALORA":
            given["total_step"] = 1  # PEFT asks for one, to plan what it is never asked to do here
        targets = given.pop("target_modules", None)
        with quiet_peft():
            config = config_class(self.peft_type)(**given)
        config.target_modules = targets  # after the checks of IA3, which compare patterns by their text
        if self.peft_type == "IA3" and config.feedforward_modules is None and not self._usual(model):
            config.feedforward_modules = []
        inject(model, config)
        self.peft_config = config
        if self.peft_type == "POLY":
            for name in config.target_modules:
                answer_task_zero(model.get_submodule(name))

    def _attach_adaption_prompt(self, model: Any, context: MethodContext) -> None:
        from peft.tuners.adaption_prompt import AdaptionPromptModel
        from peft.tuners.adaption_prompt.config import TRANSFORMERS_MODEL_CONFIG

        given = self.options.model_dump()
        kind = model.config.model_type
        if kind not in TRANSFORMERS_MODEL_CONFIG:
            raise MethodRefused(
                f"{self.name} knows {', '.join(TRANSFORMERS_MODEL_CONFIG)} only, not {kind}", "Use lora"
            )
        given["adapter_layers"] = given["adapter_layers"] or model.config.num_hidden_layers
        training = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with quiet_peft():
            self.peft_config = config_class(self.peft_type)(**given)
            AdaptionPromptModel(model, {"default": self.peft_config}, "default")
        for parameter in training:
            parameter.requires_grad_(True)

    def _attach_shadow(self, model: Any, context: MethodContext) -> torch.nn.Module:
        """The shadow network is no part of any layer: PEFT's wrapper must hold it."""
        from peft import get_peft_model

        if model.config.is_encoder_decoder or not _is_decoder(model):
            raise MethodRefused(f"{self.name} needs a decoder with its blocks in a list (llama, qwen, ...)", "Use lora")
        with quiet_peft():
            self.peft_config = config_class(self.peft_type)(**self.options.model_dump())
            wrapped: Any = get_peft_model(model, self.peft_config)
        # The state after the last block goes nowhere, and a shared embedding table is the base model's.
        last = [module for module in wrapped.modules() if hasattr(module, "shadow_update_gate")][-1]
        unused = [last.shadow_update_gate, last.shadow_update_transform]
        if self.options.share_embeddings and not self.options.shadow_hidden_size:
            unused += [m for n, m in wrapped.base_model.shadow_backbone.named_modules() if n.endswith(".wte")]
        for module in unused:
            module.requires_grad_(False)
        return wrapped

    def _check_tokens(self, model: Any) -> None:
        tokens, rows = self.options.token_indices, model.config.vocab_size
        if not tokens:
            raise MethodRefused(f"{self.name} trains chosen tokens and got none", "Say token_indices: [2100, 2101]")
        if outside := [token for token in tokens if not 0 <= token < rows]:
            raise MethodRefused(f"token {outside[0]} is outside the vocabulary of {rows}")

    def _targets(self, model: torch.nn.Module, context: MethodContext) -> list[str] | None:
        """Full names, so that nothing of the head is meant by accident and each pattern is known to match."""
        wanted = self.options.target_modules or self._usual(model)
        known = adaptable(model, context.head)
        if wanted is None:
            wanted = _norms(known) if self.peft_type == "LN_TUNING" else ["query-value"]
        if isinstance(wanted, str) and wanted not in KINDS:
            names = [name for name in known if re.fullmatch(wanted, name)]  # PEFT reads a lone string so
            if not names:
                raise MethodRefused(f"no module of this model matches {wanted!r}", "A list names ends: ['query']")
        else:
            wanted = [wanted] if isinstance(wanted, str) else list(wanted)
            kinds = [word for word in wanted if word in KINDS]
            names = linear_layers(model, kinds, context.head) if kinds else []
            names += matching(known, [word for word in wanted if word not in kinds])
        layers = getattr(self.options, "layers_to_transform", None)
        if layers is None:
            return names
        numbers = {layers} if isinstance(layers, int) else set(layers)
        chosen = [n for n in names if (number := re.search(r"\.(\d+)\.", n)) and int(number[1]) in numbers]
        if not chosen:
            raise MethodRefused(f"layers_to_transform {layers} leaves nothing of {len(names)} modules")
        return chosen

    def _usual(self, model: Any) -> Any:
        from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

        tuner = PEFT_TYPE_TO_TUNER_MAPPING[self.peft_type]  # type: ignore[index]
        return (getattr(tuner, "target_module_mapping", None) or {}).get(model.config.model_type)


class AdaLoraMethod(TunerMethod):
    """AdaLoRA's three factors at a fixed rank: giving rank to the layers that need it is no part of the contract."""

    def penalty(self, model: torch.nn.Module) -> torch.Tensor:
        """Keep the two outer factors near orthogonal, as PEFT's own training would."""
        import torch

        outer = [p.T if ".lora_B." in n else p for n, p in model.named_parameters() if re.search(r"\.lora_[AB]\.", n)]
        distances = [torch.linalg.norm(f @ f.T - torch.eye(len(f), device=f.device)) for f in outer]
        return torch.stack(distances).mean() * self.options.orth_reg_weight


def _norms(modules: Mapping[str, torch.nn.Module]) -> list[str]:
    return [name for name, module in modules.items() if "norm" in type(module).__name__.lower()]


def _fitting(model: torch.nn.Module, targets: list[str], most: int) -> int:
    """The largest number up to ``most`` that divides both sides of every target."""
    sides: Any = (side for name in targets for side in model.get_parameter(f"{name}.weight").shape)
    common = math.gcd(*sides)
    return max(size for size in range(1, most + 1) if common % size == 0)


def _is_decoder(model: torch.nn.Module) -> bool:
    return "past_key_values" in signature(model.forward).parameters
