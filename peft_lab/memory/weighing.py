"""How much memory of tensors and arrays a value reaches, and whether it holds a model. Nothing is imported for it."""

from __future__ import annotations

import gc
import sys
import types
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

MOST = 300_000
"""Objects looked at for one value; those near it come first."""
LARGE = 1_000_000
"""Bytes from which a value counts as one that holds memory."""
LEAVES = (
    type,
    types.ModuleType,
    types.CodeType,
    types.BuiltinFunctionType,
    str,
    bytes,
    int,
    float,
    complex,
    type(None),
)
MACHINERY = ("IPython", "ipykernel", "asyncio", "threading", "logging", "concurrent", "zmq", "tornado", "comm")
"""Packages whose objects reach all of a kernel: what lies behind them is not held by a value."""


@dataclass
class Weight:
    """What a value reaches: bytes of tensors and of arrays, each storage once, and models."""

    tensors: dict[Hashable, int] = field(default_factory=dict)
    arrays: dict[Hashable, int] = field(default_factory=dict)
    models: int = 0
    graphs: int = 0
    """Tensors that hold what they were computed from, which may be much more than they are."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(self.tensors.values()) + sum(self.arrays.values())

    @property
    def is_of_training(self) -> bool:
        """Whether it holds a model, a graph, or large tensors."""
        return bool(self.models or self.graphs) or sum(self.tensors.values()) >= LARGE


def walls(*more: Any) -> set[int]:
    """Ids of what no value holds although it may reach it: the names of modules, and what is given."""
    return {id(vars(module)) for module in list(sys.modules.values()) if isinstance(module, types.ModuleType)} | {
        id(one) for one in more
    }


def weigh(value: Any, behind: Collection[int]) -> Weight:
    """Follow references from a value.

    Args:
        behind: ids of objects that are not followed; see :func:`walls`.
    """
    found = Weight()
    look: Callable[[Any, Weight], Iterable[Any] | None] = _looker()
    seen = {id(value)}
    ahead = deque([value])
    looked_at = 0
    while ahead and looked_at < MOST:
        one = ahead.popleft()
        looked_at += 1
        further = look(one, found)
        for other in _behind(one) if further is None else further:
            # By type: isinstance asks an object for its class, and some make what they stand for when they are asked.
            if not issubclass(type(other), LEAVES) and id(other) not in seen and id(other) not in behind:
                seen.add(id(other))
                ahead.append(other)
    return found


def _behind(one: Any) -> Iterable[Any]:
    """What an object holds."""
    if issubclass(type(one), types.FunctionType):  # its globals are not its own
        return [one.__closure__, one.__defaults__, one.__kwdefaults__, one.__dict__]
    if issubclass(type(one), types.FrameType):  # nor is the frame that called it
        return [other for other in gc.get_referents(one) if not isinstance(other, types.FrameType)]
    if str(getattr(type(one), "__module__", "")).partition(".")[0] in MACHINERY:
        return ()
    return gc.get_referents(one)


def _looker() -> Callable[[Any, Weight], Iterable[Any] | None]:
    """Notes down what an object is, and says what is behind it where its references do not."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    # Where one of them is only half imported, nothing of its can be there.
    tensor = getattr(torch, "Tensor", ())
    module = getattr(getattr(torch, "nn", None), "Module", ())
    array = getattr(numpy, "ndarray", ())

    def look(one: Any, found: Weight) -> Iterable[Any] | None:
        kind = type(one)
        if issubclass(kind, tensor):
            key, size = _storage(one)
            found.tensors[key] = size
            found.graphs += one.grad_fn is not None
            more = [one.grad] if one.is_leaf and one.grad is not None else []
            return [*gc.get_referents(one), *more]
        if issubclass(kind, array):
            if issubclass(type(one.base), (array, tensor)):  # a view
                return [one.base]
            if kind.__name__ != "memmap":
                found.arrays[id(one)] = int(one.nbytes)
            return list(one.flat[:1000]) if one.dtype.hasobject else ()
        found.models += issubclass(kind, module)
        return None

    return look


def _storage(tensor: Any) -> tuple[Hashable, int]:
    """Which memory a tensor is in, and how much that is."""
    if tensor.device.type == "meta":
        return "meta", 0
    try:
        storage = tensor.untyped_storage()
        return (str(tensor.device), storage.data_ptr()), int(storage.nbytes())
    except (NotImplementedError, RuntimeError):  # sparse, or a stand-in without memory of its own
        return id(tensor), int(tensor.numel() * tensor.element_size())
