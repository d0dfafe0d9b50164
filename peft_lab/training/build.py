"""From a recipe to a model that is ready to train: seed, load, freeze, attach, head, calibrate, mask."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peft_lab.asking import asking
from peft_lab.errors import MethodRefused, NothingLearned, PeftLabError
from peft_lab.training.anatomy import bare_name, head_names
from peft_lab.training.answers import usable_factors, usable_masks, usable_model, usable_tokenizer
from peft_lab.training.masks import MaskedEntries, Steering, freeze
from peft_lab.training.pull import Pull
from peft_lab.training.randomness import seed_everything
from peft_lab.training.weights import base_tensors
from pluggy_specs import Method

if TYPE_CHECKING:
    import torch

    from peft_lab.sources.models import FoundModel
    from peft_lab.training.context import Context


@dataclass
class Built:
    """A model with methods attached, and what the core knows about it."""

    model: torch.nn.Module
    methods: Sequence[Method]
    head: list[str]
    """Names of the head's parameters in the bare model."""
    base: dict[int, torch.Tensor]
    """Tensors of the base model by identity."""
    masked: MaskedEntries | None = None
    precision_note: str = ""
    """What is held in bf16, in words; empty in fp32."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Factors of the learning rate by parameter, where it is not 1."""
    pull: Pull | None = None
    """Draws parameters to where they started."""
    pulled: frozenset[str] = frozenset()
    """What is drawn, by name."""

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """Parameters that train, whole or in part."""
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def whole(self) -> list[torch.nn.Parameter]:
        """Parameters that train whole."""
        partial = self.masked.names if self.masked else set()
        return [p for n, p in self.trainable().items() if n not in partial]

    def steering(self, name: str, parameter: torch.nn.Parameter) -> Steering:
        """How the optimizer moves a parameter. Biases and norms do not decay, nor does what is drawn elsewhere."""
        return parameter.ndim > 1 and name not in self.pulled, self.rates.get(name, 1.0)

    def moving(self) -> list[torch.nn.Parameter]:
        """What the optimizer moves: whole parameters, and the chosen entries of masked ones."""
        return [*self.whole(), *(self.masked.values if self.masked else ())]

    def is_head(self, name: str) -> bool:
        """Whether a parameter, by its present name, belongs to the head that is in use."""
        return bare_name(name) in self.head and ".original_module." not in name


def build(
    found: FoundModel,
    methods: Sequence[Method],
    targets: Mapping[str, Any],
    context: Context,
    seed: int,
    train_head: str = "whole",
    masks: Mapping[str, torch.Tensor] | None = None,
    rows: int | None = None,
    precision: str = "fp32",
    training: bool = True,
    whole: Collection[str] = (),
) -> Built:
    """Load the base model and attach the methods, in the order written.

    Args:
        train_head: ``whole``, or ``top`` for what sits on the base model only.
        masks: those of a saved run; methods are then not calibrated again.
        whole: names of what a saved run kept whole. Where methods chose some of it while they were calibrated, it
            trains, and they are not calibrated again.
        rows: size of the vocabulary, where a method changed the tokenizer.
        precision: ``bf16`` to compute in it, with the frozen matrices held in it.
        training: False for a model that will only answer.

    Raises:
        MethodRefused: a method cannot work on this model.
        NothingLearned: nothing would train.
    """
    from peft_lab.sources.models import load_model
    from peft_lab.sources.quiet import quiet_transformers
    from peft_lab.training.precision import compute_in_bf16
    from peft_lab.training.writing import must_write

    task = context.task
    seed_everything(seed)
    model, fresh = load_model(found, task.auto_class, task.model_settings(targets))
    if rows is not None and rows > model.get_input_embeddings().num_embeddings:  # tables may have rows to spare
        with quiet_transformers():
            model.resize_token_embeddings(rows)
    base = base_tensors(model)
    freeze(model)
    model.to(context.device)
    # Moving a model keeps its Parameter objects but replaces buffers.
    base |= base_tensors(model)
    whole_head: list[str] = []  # a model that writes uses its own table, which was trained with it
    if task.generates:
        must_write(found, model, fresh)
    else:
        whole_head = head_names(model)
    inside = f"{getattr(model, 'base_model_prefix', '')}."
    top = [n for n in whole_head if n in fresh or not n.startswith(inside)]
    wanted = top if train_head == "top" else whole_head
    context.head = frozenset(wanted)
    before = list(model.modules())
    seed_everything(seed)
    for method in methods:
        model = _attach(method, model, context)
    built = Built(model, methods, wanted, base)
    for name, parameter in model.named_parameters():
        if built.is_head(name):
            parameter.requires_grad_(True)
    chosen = _chosen_before(built, whole, whole_head)
    for parameter in chosen:
        parameter.requires_grad_(True)
    if masks is None:
        masks = {} if chosen else _ask_masks(built, context)
    if masks:
        built.masked = MaskedEntries(model, masks)
    if training and not built.trainable():
        names = "+".join(m.name for m in methods)
        raise NothingLearned(f"{names} leaves nothing of {found.name} to train", "Choose another method or model")
    if precision == "bf16":  # last: methods are attached and calibrated on the weights as they are in the files
        built.precision_note = compute_in_bf16(built, context, before)
    if training:
        _steer(built, context)
    return built


def build_base(
    found: FoundModel, targets: Mapping[str, Any], context: Context, rows: int | None = None, precision: str = "fp32"
) -> torch.nn.Module:
    """The base model alone: no method, nothing trains, in eval mode, as precise as the run.

    Args:
        rows: size of the vocabulary, where a method changed the tokenizer.
    """
    from peft_lab.sources.models import load_model
    from peft_lab.sources.quiet import quiet_transformers
    from peft_lab.training.precision import compute_in_bf16
    from peft_lab.training.randomness import kept_apart

    with kept_apart(), quiet_transformers():
        model, _ = load_model(found, context.task.auto_class, context.task.model_settings(targets))
        if rows is not None and rows > model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(rows)
    freeze(model)
    model.to(context.device).eval()
    if precision == "bf16":
        compute_in_bf16(Built(model, [], [], base_tensors(model)), context, list(model.modules()))
    return model


def adapt_tokenizer(methods: Sequence[Method], context: Context) -> int | None:
    """Let the methods change the tokenizer of the context; return the new size of the vocabulary if it changed."""
    before = len(context.tokenizer)
    for method in methods:
        with asking("methods", method.name, "adapt_tokenizer"):
            adapted = method.adapt_tokenizer(context.tokenizer, context)
        context.tokenizer = usable_tokenizer(method, adapted)
    after = len(context.tokenizer)
    return after if after != before else None


class CannotAttach(MethodRefused):
    """An ordinary error in ``attach``: a model that the method was not written for, or a fault of the method."""

    kind, hook = "methods", "attach"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} cannot be attached to this model: {reason}")
        self.name = name


def _attach(method: Method, model: torch.nn.Module, context: Context) -> torch.nn.Module:
    with asking("methods", method.name, "attach"):
        try:
            attached = method.attach(model, context)
        except PeftLabError:
            raise
        except (ValueError, TypeError, NotImplementedError, KeyError, AttributeError, RuntimeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CannotAttach(method.name, reason) from error
    return usable_model(method, attached, model)


def _steer(built: Built, context: Context) -> None:
    """Ask how what trains is to be moved, while all of it stands where it starts."""
    rates: dict[str, float] = {}
    pulls: dict[str, float] = {}
    known = built.trainable()
    for method in built.methods:
        with asking("methods", method.name, "settle"):
            method.settle(built.model, context)
        with asking("methods", method.name, "rates"):
            asked = method.rates(built.model)
        for name, factor in usable_factors(method, "rates", asked, known).items():
            rates[name] = rates.get(name, 1.0) * factor
        with asking("methods", method.name, "pull"):
            asked = method.pull(built.model)
        for name, strength in usable_factors(method, "pull", asked, known).items():
            pulls[name] = pulls.get(name, 0.0) + strength
    built.rates = rates
    built.pulled = frozenset(name for name, strength in pulls.items() if strength)
    if built.masked and (rates or pulls):
        built.masked.arrange(built.steering)
    if built.pulled:
        built.pull = Pull(built, pulls)


def _chosen_before(built: Built, whole: Collection[str], head: Collection[str]) -> list[torch.nn.Parameter]:
    """Parameters of the base model that a saved run kept whole, though no method marks them when it is attached."""
    return [
        parameter
        for name, parameter in built.model.named_parameters()
        if name in whole and not parameter.requires_grad and id(parameter) in built.base and bare_name(name) not in head
    ]


def _ask_masks(built: Built, context: Context) -> dict[str, torch.Tensor]:
    import torch

    masks: dict[str, torch.Tensor] = {}
    for method in built.methods:
        with asking("methods", method.name, "prepare"):
            method.prepare(built.model, context)
        built.model.zero_grad(set_to_none=True)
        with asking("methods", method.name, "masks"):
            chosen = method.masks(built.model)
        for name, flat in usable_masks(method, chosen).items():
            masks[name] = torch.cat([masks[name], flat]) if name in masks else flat
    return masks
