"""How well a language model foresees tokens: computed at the places that count only, because vocabularies are large."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from pluggy_specs.pieces import UNSUPERVISED

if TYPE_CHECKING:
    import torch

AT_ONCE = 256
"""Tokens whose logits are looked at in fp32 at a time."""


def next_token_losses(
    model: torch.nn.Module, ids: torch.Tensor, attention: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """How each supervised token was foreseen, [batch, token, 2] in fp32: its loss, and 1 where it was the likeliest.

    The loss at k is the negative log-likelihood of token k given those before it. 0 where nothing is supervised, and
    for a token that nothing stands before.

    Args:
        ids: token ids, [batch, token].
        attention: 0 for padding, on either side, [batch, token].
        labels: the token ids where they are supervised, -100 elsewhere, [batch, token].
    """
    import torch

    supervised = labels != UNSUPERVISED
    after_text = torch.zeros_like(supervised)
    after_text[:, 1:] = attention[:, :-1].bool()
    rows, places = (supervised & after_text).nonzero(as_tuple=True)
    given: dict[str, Any] = {"input_ids": ids, "attention_mask": attention, "use_cache": False}
    if not bool(attention[:, 0].all()):  # padding before the text, which models would count as positions
        given["position_ids"] = (attention.cumsum(1) - 1).clamp(min=0)
    with _only_at(model, rows, places - 1, ids.shape) as seen:
        logits = model(**given).logits
    if not seen:  # the model has no output table that could be found
        logits = logits[rows, places - 1 + logits.shape[1] - ids.shape[1]][None]
    losses, likeliest = _foreseen().apply(logits[0], labels[rows, places])
    outputs = losses.new_zeros(*ids.shape, 2)
    return outputs.index_put((rows, places), torch.stack((losses, likeliest), -1))


@contextmanager
def _only_at(
    model: Any, rows: torch.Tensor, places: torch.Tensor, shape: tuple[int, ...]
) -> Iterator[list[torch.nn.Module]]:
    """Inside, the output table sees the states of these places only, as one text; yields whether it did."""
    seen: list[torch.nn.Module] = []

    def pick(module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        states = args[0]
        if states.ndim != 3 or states.shape[0] != shape[0] or states.shape[1] < shape[1]:
            return None
        seen.append(module)
        virtual = states.shape[1] - shape[1]  # tokens that a method put before the text
        return (states[rows, places + virtual][None], *args[1:])

    table = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    handle = table.register_forward_pre_hook(pick) if table is not None else None
    try:
        yield seen
    finally:
        if handle is not None:
            handle.remove()


@cache
def _foreseen() -> Any:
    """Cross-entropy that keeps nothing but the logits, in the precision that they have; computes in fp32.

    torch's own would hold an fp32 copy of the logits, their logarithms and the gradient at once.
    """
    import torch

    class Foreseen(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            whole = torch.empty(len(labels), dtype=torch.float32, device=logits.device)
            likeliest = torch.empty_like(whole)
            for at in range(0, len(labels), AT_ONCE):
                some = logits[at : at + AT_ONCE].float()
                whole[at : at + AT_ONCE] = some.logsumexp(-1)
                likeliest[at : at + AT_ONCE] = some.argmax(-1) == labels[at : at + AT_ONCE]
            ctx.save_for_backward(logits, labels, whole)
            ctx.mark_non_differentiable(likeliest)
            return whole - logits.gather(-1, labels[:, None])[:, 0].float(), likeliest

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, gradient: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, None]:
            logits, labels, whole = ctx.saved_tensors
            back = torch.empty_like(logits)
            for at in range(0, len(labels), AT_ONCE):
                here = slice(at, at + AT_ONCE)
                some = (logits[here].float() - whole[here, None]).exp_()
                some[torch.arange(len(some), device=some.device), labels[here]] -= 1
                back[here] = some.mul_(gradient[here, None])
            return back, None

    return Foreseen
