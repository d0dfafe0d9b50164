"""Attention of answers to what stands before them: keys that several heads share are used as they are, not copied.

Torch's own attention on a processor has no fast backward pass for few tokens that attend to many, and transformers
copies shared keys and values for each head wherever there is a mask. Both together are a quarter of a step of SHAD.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

NAME = "peft_lab_shared_keys"
ELSEWHERE = ("position_bias", "softcap", "cache")
"""What this attention does not know: with one of them transformers' own attends."""


@contextmanager
def shared_keys(model: Any) -> Iterator[None]:
    """Inside, a model on a processor that attends by torch's own attention does it in this way; others as before."""
    if not _fits(model):
        yield
        return
    _register()
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **given: Any,
) -> tuple[torch.Tensor, None]:
    """What attends, as transformers calls it.

    Args:
        query: [row, head, token, channel].
        key, value: [row, head with keys of its own, token, channel].
        attention_mask: [row, 1, token, token before], true where it may look.

    Returns:
        What each token found, [row, token, head, channel].
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention, softmax
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if (
        attention_mask is None
        or attention_mask.dtype != torch.bool
        or attention_mask.shape[1] != 1
        or any(given.get(name) is not None for name in ELSEWHERE)
    ):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **given)
    rows, heads, tokens, channels = query.shape
    own, seen = key.shape[1:3]
    if not torch.is_grad_enabled():
        found = scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=own != heads
        )
        return found.transpose(1, 2).contiguous(), None
    scale = channels**-0.5 if scaling is None else scaling
    hidden = torch.zeros_like(attention_mask, dtype=query.dtype).masked_fill_(
        ~attention_mask, torch.finfo(query.dtype).min
    )
    together = (scale * query).reshape(rows, own, heads // own * tokens, channels)
    scores = (together @ key.transpose(2, 3)).view(rows, heads, tokens, seen) + hidden
    found = softmax(scores, -1).view(rows, own, -1, seen) @ value
    return found.view(rows, heads, tokens, -1).transpose(1, 2), None


def _fits(model: Any) -> bool:
    """Whether a model's attention can be changed, is torch's own, and computes on a processor."""
    config = getattr(model, "config", None)
    return (
        hasattr(model, "set_attn_implementation")
        and getattr(config, "_attn_implementation", None) == "sdpa"
        and not getattr(config, "sub_configs", None)
        and all(tensor.is_cpu for tensor in model.parameters())
    )


def _register() -> None:
    """Tell transformers of it, by the interface that is made for this."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
