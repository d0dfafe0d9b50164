"""What this machine has to share out among worker processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def devices() -> Sequence[str]:
    """GPUs that this process sees, as CUDA names them."""
    if VISIBLE in os.environ:
        return [name.strip() for name in os.environ[VISIBLE].split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None and not Path("/proc/driver/nvidia").exists():
        return []  # without importing torch, which takes seconds
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def environment(threads: int, known: Sequence[str], place: int) -> Mapping[str, str]:
    """The environment of a worker process: so many threads, unless fewer were asked for, and one of several GPUs."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    count = str(min(threads, int(asked)) if asked.isdigit() and int(asked) else threads)
    made = {**os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "RAYON_NUM_THREADS": count}
    if len(known) > 1:
        made[VISIBLE] = known[place % len(known)]
    return made


@contextmanager
def within(settings: Mapping[str, str]) -> Iterator[None]:
    """Inside, environment variables have these values; then those from before."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
