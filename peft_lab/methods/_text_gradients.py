"""The gradient of a module's weights for each text alone, from what went in and the gradient of what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Call = tuple["torch.Tensor", "torch.Tensor"]
"""What went into a module, [text, token, ...], and the gradient of what came out."""
Add = Callable[["torch.Tensor"], None]
"""Adds squares of gradients, summed over texts, to a tensor shaped like the weight."""


FEW_PAIRS = 32
"""Pairs of a text's tokens up to which sums over pairs are faster than one gradient after another (measured)."""


@dataclass(frozen=True)
class Chosen:
    """Which tokens of a batch count, in four forms."""

    places: list[torch.Tensor]
    """For each text, where its tokens stand once texts are laid end to end."""
    member: torch.Tensor
    """0 or 1, [text, token of all texts]."""
    mask: torch.Tensor
    """0 or 1, [text, token]."""
    pairs: tuple[torch.Tensor, torch.Tensor] | None
    """Of each text all pairs of its tokens, a token with itself too, as two lists of places; None where too many."""

    @classmethod
    def of(cls, shape: tuple[int, ...], positions: torch.Tensor | None, device: torch.device) -> Chosen:
        """Make it from a mask, [text, token]; all tokens where there is none."""
        import torch

        texts, width = shape
        mask = torch.ones(texts, width, device=device) if positions is None else positions.to(device).float()
        member = torch.block_diag(*mask) if texts else mask
        places = [row.nonzero().flatten() + width * text for text, row in enumerate(mask)]
        few = sum(len(own) * (len(own) + 1) // 2 for own in places) <= FEW_PAIRS * texts
        return cls(places, member, mask, _pairs(places) if few else None)


def _pairs(places: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    found = [own[torch.triu_indices(len(own), len(own), device=own.device)] for own in places]
    one, other = torch.cat(found, dim=1) if found else torch.zeros(2, 0, dtype=torch.long)
    return one, other


def is_conv1d(module: torch.nn.Module) -> bool:
    """GPT-2's layer: a linear one with its weight transposed, [in, out]."""
    return type(module).__name__ == "Conv1D"


def gradients_of(
    module: torch.nn.Module, wanted: Sequence[str], calls: Sequence[Call], chosen: Chosen
) -> Iterator[tuple[str, Add]]:
    """For each wanted weight of a module, by its name there, what adds the squares of its gradients.

    A module that was called several times has, for each text, the sum of the gradients of its calls.
    """
    import torch

    turned = is_conv1d(module)
    if any(gradient.ndim != 3 for _, gradient in calls):  # several vectors for each token, such as one for each head
        yield from _by_itself(module, wanted, calls, chosen)
        return
    flat = [(given.flatten(0, 1), gradient.flatten(0, 1)) for given, gradient in calls]
    if isinstance(module, torch.nn.Linear) or turned:
        for what in wanted:
            if what == "weight":
                yield what, partial(_add_products, flat, chosen, turned)
            else:
                yield what, partial(_add_vectors, [gradient for _, gradient in flat], chosen)
    elif isinstance(module, torch.nn.Embedding):
        yield "weight", partial(_add_rows, flat, chosen, module.padding_idx)
    elif isinstance(module, torch.nn.LayerNorm):
        for what in wanted:
            yield what, partial(_add_vectors, [_of_norm(module, what, *call) for call in flat], chosen)
    else:
        yield from _by_itself(module, wanted, calls, chosen)


def _add_products(flat: Sequence[Call], chosen: Chosen, turned: bool, total: torch.Tensor) -> None:
    import torch

    if chosen.pairs is not None and len(flat) == 1:
        _add_pairs(*flat[0], *chosen.pairs, turned, total)
        return
    for places in chosen.places:
        if not len(places):
            continue
        given = torch.cat([one[places] for one, _ in flat])
        back = torch.cat([one[places] for _, one in flat])
        gradient = given.T @ back if turned else back.T @ given
        total.addcmul_(gradient, gradient)


def _add_pairs(
    given: torch.Tensor, back: torch.Tensor, one: torch.Tensor, other: torch.Tensor, turned: bool, total: torch.Tensor
) -> None:
    """(Σ_t δ_t x_tᵀ)² = Σ_t Σ_s (δ_t δ_s)(x_t x_s)ᵀ: for few tokens one product for all texts at once."""
    given, back = given.float(), back.float()
    twice = (2 - (one == other).float()).unsqueeze(1)
    left, right = back[one] * back[other] * twice, given[one] * given[other]
    if turned:
        left, right = right, left
    total.addmm_(left.T, right)


def _add_vectors(by_token: Sequence[torch.Tensor], chosen: Chosen, total: torch.Tensor) -> None:
    import torch

    each = torch.stack([chosen.member.to(vectors.dtype) @ vectors for vectors in by_token])  # [call, text, entry]
    total.add_(each.sum(0).square().sum(0))


def _add_rows(flat: Sequence[Call], chosen: Chosen, padding: int | None, total: torch.Tensor) -> None:
    import torch

    for places in chosen.places:
        ids = torch.cat([given[places] for given, _ in flat])
        back = torch.cat([gradient[places] for _, gradient in flat])
        if padding is not None:  # its row never trains
            ids, back = ids[ids != padding], back[ids != padding]
        rows, which = ids.unique(return_inverse=True)
        gradient = torch.zeros(len(rows), back.shape[-1], dtype=back.dtype, device=back.device)
        gradient.index_add_(0, which, back)
        total.index_add_(0, rows, gradient.square())


def _of_norm(module: torch.nn.LayerNorm, what: str, given: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    from torch.nn.functional import layer_norm

    if what == "bias":
        return gradient
    return gradient * layer_norm(given, module.normalized_shape, None, None, module.eps)


def _by_itself(
    module: torch.nn.Module, wanted: Sequence[str], calls: Sequence[Call], chosen: Chosen
) -> Iterator[tuple[str, Add]]:
    """Any other module, such as a norm of its own make: computed again for each text, alone and differentiated."""
    import torch

    squares = {what: torch.zeros_like(module.get_parameter(what), dtype=torch.float32) for what in wanted}
    with torch.enable_grad():
        for text, places in enumerate(chosen.places):
            if not len(places):
                continue
            own = {what: module.get_parameter(what).detach().requires_grad_(True) for what in wanted}
            outputs, backs = [], []
            for given, gradient in calls:
                outputs.append(torch.func.functional_call(module, own, (given[text : text + 1],)))
                mask = chosen.mask[text].to(gradient.dtype).view(1, -1, *[1] * (gradient.ndim - 2))
                backs.append(gradient[text : text + 1] * mask)
            found = torch.autograd.grad(outputs, list(own.values()), backs, allow_unused=True)
            for what, gradient in zip(wanted, found, strict=True):
                if gradient is not None:
                    squares[what].addcmul_(gradient, gradient)
    for what, square in squares.items():
        yield what, partial(_add_up, square)


def _add_up(square: torch.Tensor, total: torch.Tensor) -> None:
    total.add_(square)
