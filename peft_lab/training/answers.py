"""Whether what a method or a task answers can be used, said in a few words. Nothing here computes anything heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.asking import asking, gave, named
from pluggy_specs import Array, Artifact, Method, Task

if TYPE_CHECKING:
    import torch

KIND = re.compile(r"[A-Za-z0-9][\w.-]{0,60}")
"""A kind becomes the name of a file."""


def usable_tokenizer(method: Method, tokenizer: Any) -> Any:
    """What ``adapt_tokenizer`` gave, where it cuts texts."""
    if not callable(tokenizer) or not hasattr(tokenizer, "pad_token_id"):
        raise gave("methods", method.name, "adapt_tokenizer", named(tokenizer), "the tokenizer to use")
    return tokenizer


def usable_model(method: Method, model: Any, before: torch.nn.Module) -> torch.nn.Module:
    """What ``attach`` gave: a model, or nothing where it changed the one before."""
    import torch

    if model is None:
        return before
    if not isinstance(model, torch.nn.Module):
        raise gave("methods", method.name, "attach", named(model), "a model, or None")
    return model


def usable_masks(method: Method, masks: Any) -> dict[str, torch.Tensor]:
    """What ``masks`` gave, as flat indices by parameter name."""
    import torch

    wanted = "flat indices by parameter name"
    if not isinstance(masks, Mapping):
        raise gave("methods", method.name, "masks", named(masks), wanted)
    found = {}
    for name, chosen in masks.items():
        with asking("methods", method.name, "masks"):
            flat = torch.as_tensor(chosen).flatten()
        if flat.numel() and (flat.is_floating_point() or flat.is_complex() or flat.dtype == torch.bool):
            hint = f"{wanted}: mask.flatten().nonzero()"
            raise gave("methods", method.name, "masks", f"{str(flat.dtype)[6:]} values for {name!r}", hint)
        found[name] = flat.long()
    return found


def usable_factors(method: Method, hook: str, factors: Any, known: Mapping[str, Any]) -> dict[str, float]:
    """What ``rates`` or ``pull`` gave: finite numbers of 0 or more for parameters that train, by name."""
    wanted = "numbers of 0 or more by the name of a parameter that trains"
    if not isinstance(factors, Mapping):
        raise gave("methods", method.name, hook, named(factors), wanted)
    for name, factor in factors.items():
        if name not in known:
            raise gave("methods", method.name, hook, f"a number for {str(name)[:80]!r}, which does not train", wanted)
        if not isinstance(factor, int | float) or not 0 <= factor < float("inf"):
            raise gave("methods", method.name, hook, f"{factor!r} for {name!r}"[:120], wanted)
    return {name: float(factor) for name, factor in factors.items()}


def usable_weights(method: Method, weights: Any, losses: torch.Tensor) -> torch.Tensor | None:
    """What ``weigh_tokens`` gave, where it fits the losses."""
    import torch

    if weights is None:
        return None
    if not isinstance(weights, torch.Tensor):
        raise gave("methods", method.name, "weigh_tokens", named(weights), "weights shaped like the losses")
    if weights.shape != losses.shape:
        shapes = f"weights shaped {tuple(weights.shape)}"
        raise gave("methods", method.name, "weigh_tokens", shapes, f"{tuple(losses.shape)} like the losses")
    return weights


def must_be_finite(given: Sequence[tuple[Method, torch.Tensor]], total: float) -> None:
    """For a loss that is no number: whose weights made it so. Asked only then, for it waits for the device.

    Args:
        given: what each method weighed tokens with.
        total: sum of all weights of the step.

    Raises:
        PluginFailed: names the method.
    """
    for method, weights in given:
        if not bool(weights.isfinite().all()):
            raise gave("methods", method.name, "weigh_tokens", "weights that are no numbers", "finite ones")
        if total == 0 and not bool(weights.any()):
            raise gave("methods", method.name, "weigh_tokens", "a weight of 0 to every token", "one above 0 to some")


def usable_penalty(method: Method, penalty: Any) -> torch.Tensor | None:
    """What ``penalty`` gave, where it is one number that training can lower."""
    import torch

    if penalty is None:
        return None
    if not isinstance(penalty, torch.Tensor) or penalty.numel() != 1:
        shape = f"a tensor shaped {tuple(penalty.shape)}" if isinstance(penalty, torch.Tensor) else named(penalty)
        raise gave("methods", method.name, "penalty", shape, "a scalar tensor")
    if not penalty.requires_grad:
        raise gave("methods", method.name, "penalty", "a number that nothing trained has a part in", "one that has")
    if not bool(penalty.isfinite()):
        raise gave("methods", method.name, "penalty", "no finite number", "one that can be added to the loss")
    return penalty.reshape(())


def artifact_fault(artifact: Any) -> str:
    """What is wrong with an artifact; nothing where it can be written and read again."""
    import numpy as np

    from peft_lab.training.journal import to_numpy

    if not isinstance(artifact, Artifact):
        return named(artifact)
    if not isinstance(artifact.kind, str) or not KIND.fullmatch(artifact.kind):
        return f"an artifact of the kind {str(artifact.kind)[:40]!r}"
    for name, array in artifact.arrays.items():
        if not isinstance(array, Array):
            return f"{named(array)} as array {name!r}"
        values = to_numpy(array.values)
        if values.ndim != len(array.axes):
            return f"array {name!r} with {values.ndim} axes and {len(array.axes)} names for them"
        if not (np.issubdtype(values.dtype, np.number) or values.dtype == np.bool_):
            return f"array {name!r} of {values.dtype}"
    return ""


class AskedTask:
    """A task of a plugin, whose failures name it. It is asked like the task itself."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._task, name)
        if name not in ANSWERS or not callable(value):
            return value

        def ask(*args: Any, **more: Any) -> Any:
            with asking("tasks", self._task.name, name):
                answer = value(*args, **more)
                if fault := ANSWERS[name](answer, self._task):
                    raise gave("tasks", self._task.name, name, *fault)
                return answer

        return ask


def _mapping(answer: Any, task: Task) -> tuple[str, str] | None:
    return None if isinstance(answer, Mapping) else (named(answer), "a mapping")


def _sequence(answer: Any, task: Task) -> tuple[str, str] | None:
    return None if hasattr(answer, "__len__") and not isinstance(answer, str) else (named(answer), "one for each text")


def _tensor(answer: Any, task: Task) -> tuple[str, str] | None:
    return None if hasattr(answer, "detach") else (named(answer), "a tensor, [batch, ...]")


def _losses(answer: Any, task: Task) -> tuple[str, str] | None:
    wanted = "losses and what is supervised, both [batch, token]"
    if not isinstance(answer, tuple) or len(answer) != 2:
        return named(answer), wanted
    shapes = [tuple(getattr(part, "shape", ())) for part in answer]
    return None if shapes[0] == shapes[1] and len(shapes[0]) == 2 else (f"shapes {shapes[0]} and {shapes[1]}", wanted)


def _scores(answer: Any, task: Task) -> tuple[str, str] | None:
    if not isinstance(answer, Mapping):
        return named(answer), "scores by name"
    if not any(isinstance(score, (int, float)) for score in answer.values()):
        return f"no number for {task.headline!r}", "one: it chooses the best state"
    return None


ANSWERS = {
    "targets": _mapping,
    "model_settings": _mapping,
    "encode_labels": _sequence,
    "outputs": _tensor,
    "losses": _losses,
    "metrics": _scores,
    "answers": _sequence,
}
