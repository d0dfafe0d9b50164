"""The layout of Hugging Face PEFT: written so that ``PeftModel.from_pretrained`` opens it, and read back strictly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import RunProblem, nearest
from peft_lab.sources.quiet import quiet_peft
from peft_lab.training.anatomy import bare_name
from peft_lab.training.sample_texts import largest_difference, on_pairs, sample_rows
from peft_lab.training.weights import kept_tensors, read_tensors, write_tensors
from pluggy_specs import Method

if TYPE_CHECKING:
    import torch

    from peft_lab.host import Host
    from peft_lab.keeping.manifest import Manifest
    from peft_lab.run import Run
    from peft_lab.training.restore import Restored

CONFIG, TENSORS, REST = "adapter_config.json", "adapter_model.safetensors", "peft_lab_rest.safetensors"
TASKS = {
    "AutoModelForSequenceClassification": "SEQ_CLS",
    "AutoModelForTokenClassification": "TOKEN_CLS",
    "AutoModelForCausalLM": "CAUSAL_LM",
}
WEIGHT_HOOKS = ("attach", "masks", "adapt_tokenizer")
CLOSE = 1e-5
"""Most by which PEFT's logits may differ in fp32: it is the same computation, for some tuners in another order."""
ASKS_FOR_TASKS = ("POLY", "MULTITASK_PROMPT_TUNING")
"""Tuners that share between tasks: ``task_ids`` must be given to them, zeros."""


class NotInPeft(Exception):
    """Why a run cannot be put into PEFT's layout, as a sentence without its end."""


@dataclass(frozen=True)
class Written:
    """What is where in ``adapter_model.safetensors``."""

    tensors: dict[str, str]
    worked_out: list[str]
    difference: float
    """Largest one between PEFT's logits and ours, in fp32."""


def tuner_of(methods: Iterable[Method], auto_class: str) -> Method:
    """The one method that is a tuner of PEFT and the only one to change the model.

    Raises:
        NotInPeft: there is none, or another one changes the model as well.
    """
    changing = [m for m in methods if any(getattr(type(m), h) is not getattr(Method, h) for h in WEIGHT_HOOKS)]
    if len(changing) != 1 or changing[0].peft_config is None:
        raise NotInPeft("it was not trained by one tuner of PEFT alone")
    if auto_class not in TASKS:
        raise NotInPeft(f"PEFT knows no task for {auto_class}")
    return changing[0]


def write(folder: Path, run: Run, host: Host, plain: Restored) -> Written:
    """Write config and tensors, and see that PEFT opens them with the same logits.

    Args:
        plain: the trained model in fp32.

    Raises:
        NotInPeft: PEFT has no place for something that was trained, or its logits are others.
    """
    import torch
    from peft import get_peft_model, get_peft_model_state_dict

    from peft_lab.sources.models import find_model
    from peft_lab.training.randomness import kept_apart

    tuner = tuner_of(plain.built.methods, plain.task.auto_class)
    own = kept_tensors(plain.built)
    with kept_apart(), quiet_peft():
        base = _fresh_base(run, host, plain)
        config, modules = _config(tuner, base, plain)
        try:
            model = get_peft_model(base, config)
        except Exception as error:
            raise NotInPeft(f"PEFT cannot build it for this task: {_said(error)}") from error
        _fill(model, own)
        state: dict[str, torch.Tensor] = get_peft_model_state_dict(model, save_embedding_layers=False)
        names = _names_of(state, model, own)
        write_tensors(state, folder / TENSORS)
        rest = {name: tensor for name, tensor in own.items() if name not in names}
        if rest:
            write_tensors(rest, folder / REST)
        worked_out = sorted(set(state) - set(names.values()))
        del model, base, state  # before the next one is built
        _write_config(config, modules, folder, find_model(run.recipe.model, host).path_or_id)
        torch.manual_seed(4099)  # nothing may hang on what is drawn while it is opened
        difference = _opened_again(folder, run, host, plain, config)
    return Written(names, worked_out, difference)


def read(folder: Path, manifest: Manifest) -> dict[str, torch.Tensor]:
    """The tensors of a folder in PEFT's layout, by their names in a run.

    Raises:
        RunProblem: a file is damaged, or a key is missing or unexpected; the first one is named.
    """
    found = read_tensors(folder / TENSORS)
    expected = {*manifest.tensors.values(), *manifest.worked_out}
    for key in sorted(expected ^ set(found)):
        what = "lacks" if key in expected else "holds the unexpected"
        raise RunProblem(f"{TENSORS} {what} tensor {key!r}", nearest(key, found if key in expected else expected))
    rest: Mapping[str, torch.Tensor] = read_tensors(folder / REST) if REST in manifest.files else {}
    return {**{name: found[key] for name, key in manifest.tensors.items()}, **rest}


def head_modules(model: torch.nn.Module, head: Iterable[str]) -> list[str]:
    """The largest modules that hold parameters of the head and nothing else.

    Raises:
        NotInPeft: a parameter of the head is in no such module.
    """
    left = set(head)
    chosen: list[str] = []
    for name, module in model.named_modules():
        inside = {f"{name}.{inner}" for inner, _ in module.named_parameters()}
        if name and inside and inside <= left:
            chosen.append(name)
            left -= inside
    if left:
        raise NotInPeft(f"PEFT saves whole modules, and {min(left)} shares its module with others")
    return chosen


def _fresh_base(run: Run, host: Host, plain: Restored) -> Any:
    from peft_lab.sources.models import find_model, load_model

    task = plain.task
    return load_model(find_model(run.recipe.model, host), task.auto_class, task.model_settings(plain.targets))[0]


def _config(tuner: Method, base: Any, plain: Restored) -> tuple[Any, list[str]]:
    config = deepcopy(tuner.peft_config)
    modules = head_modules(base, plain.built.head)
    if modules and not hasattr(config, "modules_to_save"):
        raise NotInPeft("PEFT has no place for the head beside this tuner, and would leave it untrained")
    config.modules_to_save = list(modules) or None
    config.task_type = TASKS[plain.task.auto_class]
    config.inference_mode = False
    config.base_model_name_or_path = None
    if getattr(config, "feedforward_modules", None) and not isinstance(config.feedforward_modules, str):
        # IA3 asks that they be named among the targets, which are full names here.
        ends = tuple(f".{end}" for end in config.feedforward_modules)
        config.feedforward_modules = {name for name in config.target_modules if f".{name}".endswith(ends)}
    return config, modules


def _fill(model: torch.nn.Module, own: Mapping[str, torch.Tensor]) -> None:
    """Copy a run's tensors to where PEFT's wrapper has them.

    Raises:
        NotInPeft: one of them has no place there.
    """
    import torch

    places: dict[str, list[torch.Tensor]] = {}
    for name, tensor in _all_tensors(model):
        if ".original_module." not in name:
            places.setdefault(bare_name(name), []).append(tensor)
    with torch.no_grad():
        for name, tensor in own.items():
            there = places.get(bare_name(name), [])
            if not there or any(place.shape != tensor.shape for place in there):
                raise NotInPeft(f"PEFT has no place for {name}")
            for place in there:
                place.copy_(tensor)


def _all_tensors(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _names_of(
    state: Mapping[str, torch.Tensor], model: torch.nn.Module, own: Mapping[str, torch.Tensor]
) -> dict[str, str]:
    """The key of each of a run's tensors in what PEFT saves: the same memory, or else the same numbers."""
    import torch

    bare = {bare_name(name): name for name in own}
    here = {_place(tensor): bare.get(bare_name(name), "") for name, tensor in _all_tensors(model) if tensor.numel()}
    found = {name: key for key, tensor in state.items() if (name := here.get(_place(tensor), ""))}
    for key in sorted(set(state) - set(found.values())):
        same = [n for n, t in own.items() if n not in found and t.dtype == state[key].dtype and _equal(t, state[key])]
        if len(same) == 1:
            found[same[0]] = key
    wrong = next((n for n, key in found.items() if not torch.equal(own[n].cpu(), state[key].detach().cpu())), None)
    if wrong is not None:
        raise NotInPeft(f"PEFT saves something else for {wrong}")
    return dict(sorted(found.items()))


def _place(tensor: torch.Tensor) -> tuple[int, tuple[int, ...]]:
    return tensor.data_ptr(), tuple(tensor.shape)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and bool((one.cpu() == other.detach().cpu()).all())


def _write_config(config: Any, modules: list[str], folder: Path, base: str) -> None:
    config.inference_mode = True
    config.base_model_name_or_path = base
    config.modules_to_save = modules or None  # as it was before PEFT added the names it always adds
    for name, value in vars(config).items():
        if isinstance(value, set | frozenset):  # a set has another order in every process
            setattr(config, name, sorted(value))
    config.save_pretrained(str(folder))


def _opened_again(folder: Path, run: Run, host: Host, plain: Restored, config: Any) -> float:
    from peft import PeftModel

    try:
        model = PeftModel.from_pretrained(_fresh_base(run, host, plain), str(folder))
        if needs_task_ids(config.peft_type):
            _answer_task_zero(model)
        opened = replace(plain, built=replace(plain.built, model=model))
        rows = sample_rows(on_pairs(run))
        difference = largest_difference(opened.outputs(rows), plain.outputs(rows))
    except Exception as error:
        raise NotInPeft(f"PEFT does not open what it saved: {_said(error)}") from error
    if difference > CLOSE:
        raise NotInPeft(f"what PEFT opens has other logits, by up to {difference:.2g}")
    return difference


def needs_task_ids(peft_type: str) -> bool:
    """Whether PEFT's model must be told which task a text is of: zeros, for a run has one."""
    return str(getattr(peft_type, "value", peft_type)) in ASKS_FOR_TASKS


def _answer_task_zero(model: torch.nn.Module) -> None:
    import torch

    def add(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {**kwargs, "task_ids": torch.zeros(len(kwargs["input_ids"]), dtype=torch.long)}

    model.register_forward_pre_hook(add, with_kwargs=True)


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
