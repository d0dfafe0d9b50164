"""A config of PEFT as a person would write it: what differs from PEFT's defaults, modules by the ends of names."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from peft_lab.errors import RunProblem
from peft_lab.keeping.script_names import beginnings, ends

# What PEFT fills in by itself, and what the script says in its own way.
OWN = (
    "peft_type",
    "task_type",
    "auto_mapping",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "peft_version",
    "modules_to_save",
    "runtime_config",
    "target_modules",
)
# What a reader looks for first, written even where it is PEFT's default.
ALWAYS = ("r", "lora_alpha")
# PEFT's classifiers keep copies of modules with these ends, whether they are asked to or not.
COPIED = ("classifier", "score")


@dataclass(frozen=True)
class Written:
    """A config in source form, and which parameters of the head it leaves to the script."""

    name: str
    """Of PEFT's class: ``LoraConfig``."""
    arguments: dict[str, Any]
    head_left: frozenset[str]


def written(config: Any, modules: Sequence[str], head: Collection[str], parameters: Sequence[str]) -> Written:
    """Read a config that was used.

    Args:
        config: as the method gave it to PEFT.
        modules: names of all modules of the base model.
        head: names of the head's parameters.
        parameters: names of all parameters of the base model.

    Raises:
        RunProblem: it holds what cannot be written down, or PEFT would not take it so.
    """
    arguments: dict[str, Any] = {}
    fields = {field.name: field for field in dataclasses.fields(config) if field.init}
    copies = "modules_to_save" in fields
    copied = _copied(modules, parameters, head) if copies else None
    if copied is not None or not copies:
        arguments["task_type"] = "SEQ_CLS"
    for name, field in fields.items():
        value = getattr(config, name)
        if name not in OWN and (name in ALWAYS or value != _default(field)):
            arguments[name] = _plain(value, name, config)
    targets = getattr(config, "target_modules", None)
    if isinstance(targets, str):
        arguments["target_modules"] = targets
    elif targets:
        arguments["target_modules"] = _targets(set(targets), modules)
    if copied:
        arguments["modules_to_save"] = copied
    try:
        type(config)(**arguments)
    except (TypeError, ValueError) as error:
        raise RunProblem(f"PEFT does not take the settings of this run in one piece: {error}") from error
    left = frozenset() if copied is not None else frozenset(head)
    return Written(type(config).__name__, arguments, left)


def _copied(modules: Sequence[str], parameters: Sequence[str], head: Collection[str]) -> list[str] | None:
    """Names for ``modules_to_save`` that mean the head and nothing else; None where there are no such names."""
    whole = [start.removesuffix(".") for start in beginnings(head, parameters) if start.endswith(".")]
    for names in ([name.rpartition(".")[2] for name in whole], whole):
        meant = [m for m in modules if m.endswith((*names, *COPIED))]  # PEFT compares without a dot
        covered = {p for p in parameters if any(p.startswith(f"{m}.") for m in meant)}
        if covered == set(head):
            return list(dict.fromkeys(names))
    return None


def _targets(targets: set[str], modules: Sequence[str]) -> list[str]:
    known = [name for name in modules if name]
    chosen = [name for name in known if name in targets or any(name.endswith(f".{target}") for target in targets)]
    short = [end.removeprefix(".") for end in ends(chosen, [name for name in known if name not in set(chosen)])]
    return short or sorted(targets)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _plain(value: Any, name: str, config: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item, name, config) for item in value)
    if isinstance(value, (list, tuple)):
        return [_plain(item, name, config) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, name, config) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise RunProblem(f"{name} of {type(config).__name__} is a {type(value).__name__}, which has no plain form")
