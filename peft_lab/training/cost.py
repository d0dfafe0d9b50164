"""What a run costs: parameters, seconds, the highest memory use."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from peft_lab.training.build import Built


def count(built: Built) -> dict[str, int]:
    """Entries that train, those of the head among them, and entries in all. Tied parameters count once."""
    trainable = head = 0
    for name, parameter in built.trainable().items():
        if built.masked and name in built.masked.names:
            continue
        trainable += parameter.numel()
        head += parameter.numel() if built.is_head(name) else 0
    trainable += len(built.masked) if built.masked else 0
    total = sum(p.numel() for n, p in built.model.named_parameters() if ".original_module." not in n)
    return {"trainable": trainable, "trainable_head": head, "total": total}


def give_back() -> None:
    """Return memory of earlier runs to the system: collect cycles, empty caches of the device and of the C library."""
    gc.collect()
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()
    close_holes()


def close_holes() -> None:
    """Return what the C library holds free between things in use; batches of many lengths leave such holes."""
    if sys.platform == "linux":
        # glibc keeps freed memory to itself; other C libraries lack this function.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


class PeakMemory:
    """Highest memory use since it was made, in bytes: device memory on a GPU, resident memory on a CPU.

    CUDA and Linux keep a high-water mark that can be set back; elsewhere memory is sampled when :meth:`sample` is
    called. On CUDA it is the memory of tensors: what torch keeps in reserve beside them is not needed by the run.
    """

    def __init__(self, device: torch.device) -> None:
        import psutil

        self.device = device
        self.process = psutil.Process()
        self.highest = 0
        self.marked = False
        if device.type == "cuda":
            import torch

            torch.cuda.init()  # before the first tensor there are no statistics to reset
            torch.cuda.reset_peak_memory_stats(device)
            return
        if device.type == "mps":
            self.sample()
            return
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            self.marked = True
        except OSError:
            self.sample()

    def sample(self) -> None:
        """Look at memory now, where the system keeps no mark."""
        if self.device.type == "mps":
            import torch

            self.highest = max(self.highest, torch.mps.current_allocated_memory())
        elif not self.marked and self.device.type != "cuda":
            self.highest = max(self.highest, self.process.memory_info().rss)

    def read(self) -> int:
        """The highest use so far, bytes."""
        if self.device.type == "cuda":
            import torch

            return int(torch.cuda.max_memory_allocated(self.device))
        if self.marked:
            status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
            line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
            return int(line.split()[1]) * 1024
        self.sample()
        return self.highest
