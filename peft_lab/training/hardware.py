"""Where to compute and how precisely, and what the machine is."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption
from peft_lab.training.together import PATIENCE, processes

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from peft_lab.recipe import Training

BY_NAME = "ACCELERATE_TORCH_DEVICE"
"""Where accelerate is told of one GPU among several."""


def open_accelerator(training: Training) -> Accelerator:
    """An accelerator for the device and precision asked for.

    Accelerate keeps one precision for a whole process and refuses another one later; a notebook kernel trains many
    runs, so the shared state is begun anew for each.

    Raises:
        BadOption: the device is not there, or does not know the precision.
    """
    from accelerate import Accelerator, InitProcessGroupKwargs
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    together = processes()
    device = choose_device("cpu" if together > 1 and training.device == "auto" and on_cpu() else training.device)
    if together > 1 and ":" in device:
        raise BadOption(f"{device} is one device, and {together} processes train together", "Say --device cuda")
    precision = choose_precision(training.precision, device)
    try:
        with _named(device):
            accelerator = Accelerator(
                cpu=device == "cpu",
                mixed_precision="bf16" if precision == "bf16" else "no",
                kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)] if together > 1 else [],
            )
    except ValueError as error:  # bf16 on an old macOS, say
        raise BadOption(f"{device} cannot train in {precision}: {error}", "Say --precision fp32") from error
    if accelerator.device.type != device.partition(":")[0]:
        raise BadOption(f"accelerate chose {accelerator.device.type} where {device} was asked for", "Say --device auto")
    return accelerator


def on_cpu() -> bool:
    """Whether ``accelerate launch --cpu`` said so."""
    return os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")


def precision_of(accelerator: Accelerator) -> str:
    """``fp32`` or ``bf16``, as it was settled."""
    return "bf16" if accelerator.mixed_precision == "bf16" else "fp32"


def choose_device(wanted: str) -> str:
    """``cuda``, ``cuda:1``, ``mps`` or ``cpu``; ``auto`` takes the first that is there.

    Raises:
        BadOption: this machine has no such device.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, available in there.items() if available)
    kind, _, number = wanted.partition(":")
    if not there[kind]:
        raise BadOption(f"no {kind} device on this machine", f"There is: {', '.join(n for n, a in there.items() if a)}")
    if number and int(number) >= torch.cuda.device_count():
        known = ", ".join(f"cuda:{n}" for n in range(torch.cuda.device_count()))
        raise BadOption(f"no device {wanted} on this machine", f"There is: {known}")
    return wanted


def choose_precision(wanted: str, device: str) -> str:
    """``fp32`` or ``bf16``; ``auto`` takes bf16 only where the hardware multiplies it."""
    if wanted == "auto":
        return "bf16" if multiplies_bf16(device) else "fp32"
    return wanted


def multiplies_bf16(device: str = "cpu") -> bool:
    """Whether a device has instructions that multiply bf16, so that it gains time and not only memory.

    On a CPU these are matrix (AMX) or vector instructions (AVX512-bf16, bf16 of ARM), used by oneDNN. MPS is left in
    fp32: what it gains there differs from chip to chip and cannot be asked.
    """
    import torch

    kind, _, number = device.partition(":")
    if kind == "cuda":
        if torch.version.hip:
            return bool(torch.cuda.is_bf16_supported())
        return torch.cuda.get_device_capability(int(number) if number else None) >= (8, 0)
    return kind == "cpu" and _cpu_multiplies_bf16()


def _cpu_multiplies_bf16() -> bool:
    import torch

    # What a release of torch can tell differs: 2.5 knows of AMX only, later ones list all capabilities.
    tell = getattr(torch.cpu, "get_capabilities", None)
    known: Mapping[str, Any] = tell() if tell is not None else {}
    has = any(known.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16"))
    for probe in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        has = has or bool(getattr(torch.cpu, probe, bool)())
    return has and _onednn_multiplies_bf16()


def _onednn_multiplies_bf16() -> bool:
    import torch

    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a torch without oneDNN
        return False


def settings_here(training: Training, recorded: Mapping[str, Any]) -> Training:
    """Settings to load or go on with a run on this machine: the device it names if it is there, its own precision.

    Args:
        recorded: ``hardware`` of the run. ``auto`` may settle on something else here than it did there; a run is
            opened as it was trained, unless this device would only imitate its bf16.
    """
    try:
        device = choose_device(training.device)
    except BadOption:
        device = choose_device("auto")
    precision = recorded.get("precision") or training.precision
    if precision == "bf16" and not multiplies_bf16(device):
        precision = training.precision if training.precision != "auto" else "fp32"
    return training.model_copy(update={"device": device, "precision": precision})


def describe_hardware(device: str | torch.device, precision: str, processes: int = 1) -> dict[str, Any]:
    """Device, its name, cores and memory (bytes), as kept in a run; on a GPU also whether fp32 products use TF32.

    Args:
        processes: that train together, each on a device like this one.
    """
    import psutil

    about: dict[str, Any] = {
        "device": str(device),
        "name": processor_name(),
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "precision": precision,
    }
    if processes > 1:
        about["processes"] = processes
    if str(device).startswith("cuda"):
        import torch

        properties = torch.cuda.get_device_properties(device)
        about |= {"name": properties.name, "memory": properties.total_memory, "tf32": uses_tf32()}
    return about


def uses_tf32() -> bool:
    """Whether fp32 matrix products on a GPU may be computed in TF32. It is the person's setting, and only noted."""
    import torch

    newer = getattr(torch.backends.cuda.matmul, "fp32_precision", None)  # since torch 2.9
    return newer == "tf32" if newer is not None else torch.get_float32_matmul_precision() != "highest"


def processor_name() -> str:
    """The processor as its maker calls it, where the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:  # noqa: PTH123 (a device file)
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@contextmanager
def _named(device: str) -> Iterator[None]:
    """Tell accelerate which of several GPUs; it reads this while it is opened."""
    if ":" not in device:
        yield
        return
    before = os.environ.get(BY_NAME)
    os.environ[BY_NAME] = device
    try:
        yield
    finally:
        os.environ.pop(BY_NAME)
        if before is not None:
            os.environ[BY_NAME] = before
