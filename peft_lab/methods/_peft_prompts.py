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
KINDS = {"AutoModelForSequenceClassification": "SEQ_CLS", "AutoModelForCausalLM": "CAUSAL_LM"}
PROMPTS = (*AS_PAST, "PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING")


class PromptMethod(Method):
    """Virtual tokens, by PEFT's wrapper for classification. It copies the head; the core finds the copy."""

    peft_type: ClassVar[str]

    def positions(self, config: Any) -> int:
        """Virtual tokens are counted like those of the text, before it."""
        return int(self.options.num_virtual_tokens)

    def attach(self, model: torch.nn.Module, context: MethodContext) -> torch.nn.Module:
        """Wrap the model, where PEFT and the model agree on how virtual tokens get in."""
        from peft import get_peft_model

        config: Any = model.config
        kind = KINDS.get(context.task.auto_class)
        if kind is None:
            raise MethodRefused(f"{self.name} puts tokens before the text, and labels of words would lose their places")
        decoder = "past_key_values" in signature(model.forward).parameters
        if self.peft_type in AS_PAST and not (decoder or _takes_past(model)):
            raise MethodRefused(
                f"{self.name} hands trained keys and values to a model; {config.model_type} takes none",
                "Use peft:p_tuning",
            )
        given = config_class(self.peft_type)(
            task_type=kind,
            token_dim=config.hidden_size if self.peft_type in AS_PAST else _embedding_size(model),
            num_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            num_transformer_submodules=1,
            **self.options.model_dump(),
        )
        training = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if decoder and self.peft_type not in AS_PAST and kind == "SEQ_CLS":
            _show_where_texts_end(model)
        with quiet_peft():
            wrapped = get_peft_model(model, given)
        self.peft_config = given
        for parameter in training:  # PEFT froze what an earlier method had let move
            parameter.requires_grad_(True)
        if self.peft_type == "MULTITASK_PROMPT_TUNING":
            answer_task_zero(wrapped)
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
    return "past_key_values" in signature(_base(model).forward).parameters


def _embedding_size(model: Any) -> int:
    """ALBERT and ELECTRA may embed tokens in fewer dimensions than their layers have."""
    return int(model.get_input_embeddings().weight.shape[1])


def _show_where_texts_end(model: Any) -> None:
    """Let a decoder's head read the state of each text's last token.

    Given token ids, transformers finds that token; given vectors, it takes the last position, which is padding in all
    but the longest texts of a batch. So the head is given ids that only tell text from padding, and the base vectors.
    """
    import torch

    held: dict[str, torch.Tensor] = {}
    pad = model.config.pad_token_id

    def for_the_head(_: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        vectors, mask = kwargs.get("inputs_embeds"), kwargs.get("attention_mask")
        held.clear()
        if vectors is None or mask is None:
            return None
        held["inputs_embeds"] = vectors
        ids = torch.where(mask.bool(), pad + 1, pad)
        return args, {**kwargs, "inputs_embeds": None, "input_ids": ids}

    def for_the_base(_: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if not held:
            return None
        return (None, *args[1:]), {**kwargs, "inputs_embeds": held.pop("inputs_embeds")}

    model.register_forward_pre_hook(for_the_head, with_kwargs=True)
    _base(model).register_forward_pre_hook(for_the_base, with_kwargs=True)


def _base(model: Any) -> Any:
    return getattr(model, getattr(model, "base_model_prefix", ""), model)
