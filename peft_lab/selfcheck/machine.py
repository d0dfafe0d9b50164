"""Device, memory and disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from peft_lab.files import from_here
from peft_lab.offline import is_offline
from peft_lab.present.style import bytes_, count
from peft_lab.selfcheck.findings import FAILED, OK, WARNING, Finding

LITTLE_DISK, NO_DISK = 2e9, 2e8
LITTLE_MEMORY = 2e9


def device() -> Iterator[Finding]:
    """Where training would run, and how precisely."""
    import torch

    from peft_lab.training.hardware import choose_device, choose_precision, processor_name

    chosen = choose_device("auto")
    name = torch.cuda.get_device_name() if chosen.startswith("cuda") else processor_name()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    found = f"{chosen} ({name}) in {choose_precision('auto', chosen)}, {count(usable)} cores, {count(threads)} threads"
    if threads > usable:
        advice = f"Set OMP_NUM_THREADS={usable}: more threads than cores make each other wait"
        yield Finding("device", WARNING, found, advice)
    else:
        yield Finding("device", OK, found)


def network(setting: str) -> Iterator[Finding]:
    """Whether anything is asked of the hub. Nobody is asked to find that out."""
    if setting:
        yield Finding("network", OK, f"off ({setting}): nothing is asked of the hub")
    elif is_offline():
        yield Finding("network", OK, "off (HF_HUB_OFFLINE): nothing is asked of the hub")
    else:
        yield Finding("network", OK, "the hub is asked for names that are not here", "To keep off it: %peft workshop")


def memory() -> Iterator[Finding]:
    """What training could take."""
    import psutil
    import torch

    from peft_lab.training.hardware import choose_device
    from peft_lab.training.room import free_memory

    free = free_memory(torch.device(choose_device("auto")))
    found = f"{bytes_(free)} free, the machine has {bytes_(psutil.virtual_memory().total)}"
    if free < LITTLE_MEMORY:
        yield Finding("memory", WARNING, found, "Close other programs, or train small models with --batch-size 8")
    else:
        yield Finding("memory", OK, found)


def disk(folder: Path) -> Iterator[Finding]:
    """Whether runs can be written."""
    place = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    shown = from_here(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"peft_lab")
    except OSError as error:
        said = error.strerror or str(error)
        yield Finding("runs folder", FAILED, f"{shown}: {said}", "Say --runs FOLDER, or set PEFT_LAB_RUNS")
        return
    free = shutil.disk_usage(place).free
    state = FAILED if free < NO_DISK else WARNING if free < LITTLE_DISK else OK
    advice = "" if state == OK else "Make room: delete runs, or name another folder with PEFT_LAB_RUNS"
    yield Finding("runs folder", state, f"{shown}: can be written to, {bytes_(free)} free", advice)
