"""PEFT's virtual tokens: trained vectors before the text, at the input or as keys and values of every layer."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

from peft_lab.methods._peft import quiet_peft
from peft_lab.methods._peft_options import config_class
from pluggy_specs import Method, MethodContext, MethodRefused

if TYPE_CHECKING:
    import torch

AS_PAST = ("PREFIX_TUNING", "CARTRIDGE")
PROMPTS = (*AS_PAST, "PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING")


class PromptMethod(Method):
    """Virtual tokens, by PEFT's wrapper for classification. It copies the head; the core finds the copy."""

    peft_type: ClassVar[str]

    def attach(self, model: torch.nn.Module, context: MethodContext) -> torch.nn.Module:
        """Wrap the model, where PEFT and the model agree on how virtual tokens get in."""
        from peft import get_peft_model

        config: Any = model.config
        if context.task.auto_class != "AutoModelForSequenceClassification":
            raise MethodRefused(f"{self.name} puts tokens before the text, which works for classification only")
        decoder = "past_key_values" in signature(model.forward).parameters
        if self.peft_type in AS_PAST and not (decoder or _takes_past(model)):
            raise MethodRefused(
                f"{self.name} hands trained keys and values to a model; {config.model_type} takes none", "Use lora"
            )
        if self.peft_type not in AS_PAST and decoder:
            # With vectors instead of token ids, transformers reads the last position, which is padding in most rows.
            raise MethodRefused(
                f"{self.name} hides the token ids by which {config.model_type}'s head finds the end of a text",
                "Use peft:prefix_tuning",
            )
        shape = {
            "token_dim": config.hidden_size,
            "num_layers": config.num_hidden_layers,
            "num_attention_heads": config.num_attention_heads,
            "num_transformer_submodules": 1,
        }
        training = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with quiet_peft():
            given = config_class(self.peft_type)(task_type="SEQ_CLS", **shape, **self.options.model_dump())
            wrapped = get_peft_model(model, given)
        for parameter in training:  # PEFT froze what an earlier method had let move
            parameter.requires_grad_(True)
        if self.peft_type == "MULTITASK_PROMPT_TUNING":
            answer_task_zero(wrapped)
        _guard_positions(wrapped, given.num_virtual_tokens, self.name)
        return wrapped


def answer_task_zero(module: torch.nn.Module) -> None:
    """Some tuners share between tasks and ask which one a text is of; a run has one task."""
    import torch

    def add(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        texts = args[0] if args else kwargs["input_ids"]
        zeros = torch.zeros(len(texts), dtype=torch.long, device=texts.device)
        return args, {**kwargs, "task_ids": zeros}

    module.register_forward_pre_hook(add, with_kwargs=True)


def _takes_past(model: torch.nn.Module) -> bool:
    base = getattr(model, getattr(model, "base_model_prefix", ""), model)
    return "past_key_values" in signature(base.forward).parameters


def _guard_positions(model: torch.nn.Module, tokens: int, name: str) -> None:
    """Virtual tokens take positions from the text; without this a long text ends in a tensor size error."""
    from torch.nn import Embedding

    tables = [
        m for n, m in model.named_modules() if isinstance(m, Embedding) and n.endswith(("position_embeddings", "wpe"))
    ]
    if not tables:
        return
    # RoBERTa counts positions from its padding index on.
    room = tables[0].num_embeddings - (0 if tables[0].padding_idx is None else tables[0].padding_idx + 1) - tokens

    def check(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        texts = args[0] if args else kwargs["input_ids"]
        if texts.shape[1] > room:
            raise MethodRefused(
                f"{name} takes {tokens} positions, and a text of {texts.shape[1]} tokens has no room beside them",
                f"Say --max-length {room}",
            )

    model.register_forward_pre_hook(check, with_kwargs=True)
