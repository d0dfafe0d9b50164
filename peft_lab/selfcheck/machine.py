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
from peft_lab.texts import checks as texts

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
    found = texts.DEVICE_FOUND.format(
        device=chosen,
        name=name,
        precision=choose_precision("auto", chosen),
        cores=count(usable),
        threads=count(threads),
    )
    if threads > usable:
        yield Finding(texts.DEVICE, WARNING, found, texts.TOO_MANY_THREADS.format(cores=usable))
    else:
        yield Finding(texts.DEVICE, OK, found)


def network(setting: str) -> Iterator[Finding]:
    """Whether anything is asked of the hub. Nobody is asked to find that out."""
    if setting:
        yield Finding(texts.NETWORK, OK, texts.NETWORK_OFF.format(setting=setting))
    elif is_offline():
        yield Finding(texts.NETWORK, OK, texts.NETWORK_OFF.format(setting="HF_HUB_OFFLINE"))
    else:
        yield Finding(texts.NETWORK, OK, texts.NETWORK_ON, texts.KEEP_OFF)


def memory() -> Iterator[Finding]:
    """What training could take."""
    import psutil
    import torch

    from peft_lab.training.hardware import choose_device
    from peft_lab.training.room import free_memory

    free = free_memory(torch.device(choose_device("auto")))
    found = texts.MEMORY_FOUND.format(free=bytes_(free), total=bytes_(psutil.virtual_memory().total))
    if free < LITTLE_MEMORY:
        yield Finding(texts.MEMORY, WARNING, found, texts.LITTLE_MEMORY)
    else:
        yield Finding(texts.MEMORY, OK, found)


def disk(folder: Path) -> Iterator[Finding]:
    """Whether runs can be written."""
    place = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    shown = from_here(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"peft_lab")
    except OSError as error:
        said = error.strerror or str(error)
        yield Finding(texts.RUNS_FOLDER, FAILED, texts.CANNOT_WRITE.format(folder=shown, why=said), texts.OTHER_FOLDER)
        return
    free = shutil.disk_usage(place).free
    state = FAILED if free < NO_DISK else WARNING if free < LITTLE_DISK else OK
    advice = "" if state == OK else texts.MAKE_ROOM
    yield Finding(texts.RUNS_FOLDER, state, texts.CAN_WRITE.format(folder=shown, free=bytes_(free)), advice)
