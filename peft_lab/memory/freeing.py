"""Give memory back, and say how much and what still holds some."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from peft_lab.memory import letting_go
from peft_lab.memory.weighing import LARGE, walls, weigh
from peft_lab.texts import tables as texts
from peft_lab.training.cost import give_back


@dataclass(frozen=True)
class Held:
    """A name a person gave to something that holds memory; other names may hold the same memory."""

    name: str
    kind: str
    size: int


@dataclass(frozen=True)
class Freed:
    """What was let go, memory before and after in bytes by what it is, and what is still held."""

    let_go: tuple[str, ...]
    before: Mapping[str, int]
    after: Mapping[str, int]
    held: tuple[Held, ...]


def free(namespace: Mapping[str, Any], forget: Callable[[], bool]) -> Freed:
    """Let go of what nobody named, and return memory to the system and to the device.

    Args:
        namespace: names of the notebook.
        forget: lets go of what the lab itself keeps, and says whether it kept any.
    """
    before = in_use()
    let_go = [texts.LAST_MODEL] if forget() else []
    names: MutableMapping[str, Any] = namespace if isinstance(namespace, dict) else {}
    shell = _shell(names)
    count = letting_go.errors(shell)
    if count:
        let_go.append(texts.LAST_FRAMES)
    behind = walls(names, names.get("_oh"), names.get("_ih"), shell, getattr(shell, "kernel", None))
    let_go += letting_go.outputs(names, shell, behind)
    give_back()
    return Freed(tuple(let_go), before, in_use(), tuple(_held(names, shell, behind)))


def in_use() -> dict[str, int]:
    """Memory of this process, and of its tensors on a device, in bytes."""
    import psutil

    found = {texts.RESIDENT: psutil.Process().memory_info().rss}
    torch = sys.modules.get("torch")
    if torch is None:
        return found
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        for at in range(torch.cuda.device_count()):
            found[texts.TENSORS.format(device=f"cuda:{at}")] = torch.cuda.memory_allocated(at)
            found[texts.WITH_RESERVE.format(device=f"cuda:{at}")] = torch.cuda.memory_reserved(at)
    if torch.backends.mps.is_available():
        found[texts.TENSORS.format(device="mps")] = torch.mps.current_allocated_memory()
        found[texts.WITH_RESERVE.format(device="mps")] = torch.mps.driver_allocated_memory()
    return found


def _shell(names: Mapping[str, Any]) -> Any:
    """The IPython whose names these are."""
    ask = names.get("get_ipython")
    try:
        shell = ask() if callable(ask) else None
    except Exception:  # a name of somebody's own
        return None
    return shell if getattr(shell, "user_ns", None) is names else None


def _held(names: MutableMapping[str, Any], shell: Any, behind: set[int]) -> list[Held]:
    """What a person's names still hold, the largest first."""
    found = []
    for name, value in list(names.items()):
        if name == "lab" or letting_go.is_of_ipython(name, names, shell):
            continue
        weight = weigh(value, behind)
        if weight.size >= LARGE:
            found.append(Held(name, type(value).__name__, weight.size))
    return sorted(found, key=lambda held: (-held.size, held.name))
