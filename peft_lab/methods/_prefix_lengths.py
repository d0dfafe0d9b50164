"""From how far the gates of a trained prefix open to prefixes of other lengths, layer by layer (arXiv:2305.15212).

The paper takes the ratio of the learned gates; how exactly is not known, so that the rule is ours: a layer gets virtual
tokens in proportion to its factor times the mean of its gates, at least one, and all layers together get the budget.
"""

from __future__ import annotations

from collections.abc import Sequence

from pluggy_specs import Artifact, PeftLabError


def openness(gates: Artifact) -> list[float]:
    """``|lambda| * mean(alpha)`` of each layer, from an artifact ``prefix-gates``."""
    return [float(value) for value in gates.arrays["openness"].values]


def virtual_tokens(gates: Artifact) -> int:
    """Of all layers together, in an artifact ``prefix-gates``."""
    import numpy as np

    return int(np.isfinite(np.asarray(gates.arrays["gate"].values, dtype=float)).sum())


def lengths_for(shares: Sequence[float], budget: int) -> tuple[int, ...]:
    """Virtual tokens of each layer: in proportion to the shares, each 1 or more, together exactly the budget.

    Raises:
        PeftLabError: the budget is less than one for each layer.
    """
    layers = len(shares)
    if budget < layers:
        raise PeftLabError(f"{budget} virtual tokens are too few for {layers} layers", f"Take {layers} or more")
    total = sum(shares)
    parts = [share / total if total else 1 / layers for share in shares]
    lengths = [max(1, int(budget * part)) for part in parts]
    while (left := budget - sum(lengths)) != 0:
        step = 1 if left > 0 else -1
        may = [i for i in range(layers) if step > 0 or lengths[i] > 1]
        # Whoever is furthest from its due gets one more, or gives one back.
        at = max(may, key=lambda i: step * (budget * parts[i] - lengths[i]))
        lengths[at] += step
    return tuple(lengths)
