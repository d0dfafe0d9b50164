"""Random numbers: one seed for all sources, kept apart from the person's own, and their states as tensors."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def seed_everything(seed: int) -> None:
    """Python, numpy and torch. Called right before heads and adapters are drawn, so that a seed means the same draw."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def kept_apart() -> Iterator[None]:
    """The person's own random numbers go on afterwards as if nothing had been drawn from them."""
    before = states()
    try:
        yield
    finally:
        set_states(before)


def states() -> dict[str, torch.Tensor]:
    """Where every source stands: ``python``, ``numpy``, ``torch``, and ``cuda`` with a row for each device."""
    import numpy as np
    import torch

    version, words, gauss = random.getstate()
    legacy: Any = np.random.get_state(legacy=False)
    place = [legacy["state"]["pos"], legacy["has_gauss"]]
    found = {
        "python": torch.tensor([version, *words], dtype=torch.int64),
        "python-gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.tensor([*legacy["state"]["key"].tolist(), *place], dtype=torch.int64),
        "numpy-gauss": torch.tensor([legacy["gauss"]], dtype=torch.float64),
    }
    return found | torch_states()


def torch_states() -> dict[str, torch.Tensor]:
    """Where torch's sources stand, that dropout draws from: ``torch``, and ``cuda`` where it is in use."""
    import torch

    found = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["cuda"] = torch.stack(torch.cuda.get_rng_state_all())
    return found


def set_states(found: Mapping[str, torch.Tensor]) -> None:
    """Put every source back to where :func:`states` found it."""
    import numpy as np
    import torch

    version, *words = found["python"].tolist()
    gauss = found["python-gauss"].tolist()
    random.setstate((version, tuple(words), gauss[0] if gauss else None))
    *keys, place, has_gauss = found["numpy"].tolist()
    cached = float(found["numpy-gauss"][0])
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), place, has_gauss, cached))
    torch.set_rng_state(found["torch"])
    if "cuda" in found and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(list(found["cuda"]))
