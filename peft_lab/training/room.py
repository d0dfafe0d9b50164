"""How much memory can still be had: of the machine, within the limits of a container and of the process, on a GPU."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

NEAR = 0.85
"""Filling more than this part of the free memory is called a near thing."""
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """Bytes that a training on this device can still take."""
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        # What torch keeps for later use is free to this process.
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    import psutil

    shares = [int(psutil.virtual_memory().available), *_left_in_groups(), *_left_to_process()]
    if device.type == "mps":
        import torch

        shares.append(int(torch.mps.recommended_max_memory()) - int(torch.mps.driver_allocated_memory()))
    return max(0, min(shares))


def _left_to_process() -> Iterator[int]:
    """What ``ulimit -v`` leaves of the address space, and what the C library keeps of it for later use."""
    if sys.platform == "win32":
        return
    import resource

    import psutil

    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        yield most - int(psutil.Process().memory_info().vms) + _kept_by_libc()


class _Mallinfo(ctypes.Structure):
    """What glibc (2.33 and later) says about its heaps; ``free`` is what ``malloc`` can give without the system."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "pieces", "small", "maps", "mapped", "unused", "small_free", "used", "free", "top")
    ]


def _kept_by_libc() -> int:
    with contextlib.suppress(OSError, AttributeError):
        ask = ctypes.CDLL(None).mallinfo2
        ask.restype = _Mallinfo
        return int(ask().free)
    return 0


def _left_in_groups() -> Iterator[int]:
    """What the control groups of this process leave, its own and those above it; a container is one of them."""
    try:
        lines = (PROC / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _climb(CGROUPS, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            yield from _climb(CGROUPS / "memory", path, *names)


def _climb(root: Path, path: str, limit: str, usage: str, cache: str) -> Iterator[int]:
    """Look at a group and at all above it: each one's limit holds. Inside a container its own group is the root."""
    group = root / path.strip("/")
    while True:
        most, used = _number(group / limit), _number(group / usage)
        if most is not None and used is not None:
            # Cached files are given up when memory is short.
            yield most - used + _cached(group / "memory.stat", cache)
        if group == root:
            return
        group = group.parent


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):  # not there, or "max"
        return None


def _cached(file: Path, name: str) -> int:
    try:
        pairs = (line.split() for line in file.read_text(encoding="ascii").splitlines())
        return next((int(value) for key, value in pairs if key == name), 0)
    except (OSError, ValueError):
        return 0
