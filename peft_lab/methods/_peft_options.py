"""The options of Hugging Face PEFT's tuners, read from their config classes when they are first asked for.

Importing PEFT takes seconds, and listing methods must not: the names of the tuners come from PEFT's source text.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model

# What the core decides (head, device, saving), what a classifier has no use for, and what needs more than options:
# layers copied or base weights rewritten, other adapters, extra inputs to each forward pass.
INTERNAL = (
    "peft_type auto_mapping base_model_name_or_path revision task_type inference_mode peft_version modules_to_save "
    "fan_in_fan_out megatron_config megatron_core runtime_config layers_pattern layer_replication target_parameters "
    "ensure_weight_tying loftq_config eva_config corda_config lora_ga_config velora_config use_bdlora arrow_config "
    "monteclora_config kasa_config alora_invocation_tokens trainable_token_indices use_qalora qalora_group_size "
    "save_projection save_indices save_precomputed_indices save_only_topk_weights progressbar "
    "runtime_offload_base_weight use_effective_conv2d token_dim num_transformer_submodules num_attention_heads "
    "num_layers n_tasks num_tasks poly_type mask_type auxiliary_loss_weight prompt_tuning_init_state_dict_path"
)
# What changes ranks while training, which the contract has no place for, and what can only be one thing.
INTERNAL_TO = {
    "ADALORA": "r target_r tinit tfinal deltaT beta1 beta2 total_step",
    "ADAMSS": "use_asa asa_target_subspaces init_warmup final_warmup mask_interval asa_importance_beta "
    "asa_uncertainty_beta asa_schedule_exponent",
    "ADAPTION_PROMPT": "target_modules",
}
# Defaults where PEFT has none, or one that most models refuse. "Fits" is worked out from the model.
DEFAULTS: dict[tuple[str, str], tuple[Any, str]] = {
    ("ADAPTION_PROMPT", "adapter_len"): (10, "Number of prompt tokens in each adapted layer"),
    ("ADAPTION_PROMPT", "adapter_layers"): (None, "Number of adapted layers, from the top; all when not given"),
    ("C3A", "block_size"): (None, "Size of the circulant blocks; the largest up to 256 that fits when not given"),
    ("VBLORA", "vector_length"): (None, "Length of the shared vectors; the largest up to 256 that fits when not given"),
    ("ROAD", "group_size"): (None, "Size of the rotated groups; the largest up to 64 that fits when not given"),
}
VIRTUAL_TOKENS = 20
# Other ways to start rewrite the base weights, or must see data before.
TYPES = {"init_lora_weights": bool | Literal["gaussian", "orthogonal"]}
JSON = (bool, int, float, str)


def peft_types() -> list[str]:
    """Names of all of PEFT's tuners, without importing it where its source can be read."""
    from importlib.util import find_spec

    try:
        spec = find_spec("peft")
        assert spec is not None and spec.origin is not None
        tree = ast.parse((Path(spec.origin).parent / "utils" / "peft_types.py").read_text(encoding="utf-8"))
        body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "PeftType")
        return [n.value.value for n in body if isinstance(n, ast.Assign) and isinstance(n.value, ast.Constant)]  # type: ignore[misc]
    except (AssertionError, OSError, SyntaxError, StopIteration):
        from peft import PeftType

        return [member.value for member in PeftType]


class Discovered:
    """Stands where a method class has its ``Options``; becomes them when first looked at."""

    def __init__(self, peft_type: str) -> None:
        self.peft_type = peft_type
        self.made: type[BaseModel] | None = None

    def __get__(self, instance: object, owner: type) -> type[BaseModel]:
        if self.made is None:
            self.made = discover(self.peft_type)
        return self.made


def discover(peft_type: str) -> type[BaseModel]:
    """Options of a tuner: PEFT's own names, defaults and help, as plain JSON types."""
    config = config_class(peft_type)
    hints = _type_hints(config)
    hidden = {*INTERNAL.split(), *INTERNAL_TO.get(peft_type, "").split()}
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        if field.name in hidden:
            continue
        annotation = plain(TYPES.get(field.name, hints.get(field.name, Any)))
        default, text = _default(field), _first_sentence(field.metadata.get("help", ""))
        if (peft_type, field.name) in DEFAULTS:
            default, text = DEFAULTS[peft_type, field.name]
        elif field.name == "num_virtual_tokens":
            default, text = VIRTUAL_TOKENS, "Number of virtual tokens"
        if annotation is not None and _is_plain(default):
            annotation = annotation | None if default is None else annotation
            extra: dict[str, Any] = {"completes": "modules"} if field.name.endswith("_modules") else {}
            fields[field.name] = (annotation, Field(default, description=text, json_schema_extra=extra))
    settings = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
    return create_model(f"{config.__name__}Options", __config__=settings, __doc__=f"Options of {peft_type}.", **fields)


def config_class(peft_type: str) -> Any:
    """The config class of a tuner."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    return PEFT_TYPE_TO_CONFIG_MAPPING[peft_type]  # type: ignore[index]


def plain(annotation: Any) -> Any:
    """A type as one of JSON's, or None where it is none of them."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if annotation in JSON or annotation is type(None):
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return str
    if origin is Literal:  # PEFT writes "pissa_niter_[number of iters]" for a family of values
        return str if any(isinstance(value, str) and "[" in value for value in inside) else annotation
    if origin in (typing.Union, types.UnionType):
        members = [p for a in inside if (p := plain(a)) is not None]
        return typing.Union[tuple(members)] if set(members) - {type(None)} else None  # noqa: UP007
    if annotation in (list, tuple, set) or origin in (list, tuple, set):
        items = plain(inside[0]) if inside else None
        return list[items] if items is not None else list  # type: ignore[valid-type]
    if annotation is dict or origin is dict:
        values = plain(inside[1]) if len(inside) == 2 else None
        return dict[str, values] if values is not None else dict  # type: ignore[valid-type]
    return None


def _type_hints(config: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(config)
    except (NameError, TypeError):  # a name imported for type checkers only
        return {f.name: type(_default(f)) for f in dataclasses.fields(config) if _default(f) is not None}


def _default(field: dataclasses.Field[Any]) -> Any:
    value = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    return value.value if isinstance(value, enum.Enum) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | dict):
        return not value
    return value is None or isinstance(value, JSON)


def _first_sentence(text: str) -> str:
    line = " ".join(str(text).split())
    head, stop, _ = line.partition(". ")
    return head if stop else line.rstrip(".")
