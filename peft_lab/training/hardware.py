"""Where to compute and how precisely, and what the machine is."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption

if TYPE_CHECKING:
    from accelerate import Accelerator

    from peft_lab.recipe import Training


def open_accelerator(training: Training) -> Accelerator:
    """An accelerator for the device and precision asked for.

    Accelerate keeps one precision for a whole process and refuses another one later; a notebook kernel trains many
    runs, so the shared state is begun anew for each.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    device = choose_device(training.device)
    precision = choose_precision(training.precision, device)
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision="bf16" if precision == "bf16" else "no")
    if accelerator.device.type != device:
        raise BadOption(f"accelerate chose {accelerator.device.type} where {device} was asked for", "Say --device auto")
    return accelerator


def choose_device(wanted: str) -> str:
    """``cuda``, ``mps`` or ``cpu``; ``auto`` takes the first that is there."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, available in there.items() if available)
    if not there[wanted]:
        raise BadOption(
            f"no {wanted} device on this machine", f"There is: {', '.join(n for n, a in there.items() if a)}"
        )
    return wanted


def choose_precision(wanted: str, device: str) -> str:
    """``fp32`` or ``bf16``; ``auto`` takes bf16 only where the hardware multiplies it."""
    import torch

    if device == "cuda":
        can = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        can = device == "cpu" and multiplies_bf16()
    if wanted == "auto":
        return "bf16" if can else "fp32"
    return wanted


def multiplies_bf16() -> bool:
    """Whether this CPU has matrix instructions for bf16 (AMX). Vector instructions alone (AVX512-bf16) gain little."""
    import torch

    return bool(torch.cpu._is_amx_tile_supported())


def describe_hardware(device: str, precision: str) -> dict[str, Any]:
    """Device, its name, cores and memory (bytes), as kept in a run."""
    import psutil

    about: dict[str, Any] = {
        "device": device,
        "name": processor_name(),
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "precision": precision,
    }
    if device == "cuda":
        import torch

        properties = torch.cuda.get_device_properties(0)
        about |= {"name": properties.name, "memory": properties.total_memory}
    return about


def processor_name() -> str:
    """The processor as its maker calls it, where the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:  # noqa: PTH123 (a device file)
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
