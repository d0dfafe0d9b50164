"""Squared gradients of single texts, batch by batch, at all tokens or at chosen ones.

For a linear layer ``y = x Wᵀ + b`` the gradient of one text is ``G = Σ δ xᵀ`` over its tokens, where δ is the gradient
of y. Squares of single texts are wanted, which the gradient of a batch does not give. So x is kept as it goes in, δ is
caught as it comes back, and the G of one text after another is formed over the chosen tokens, squared and added. Never
more than one G is held, and no weight has to train for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from peft_lab.methods._calibration import Scores, Weights, first_texts, losses_by_text, mode, thawed
from peft_lab.methods._text_gradients import Chosen, gradients_of
from pluggy_specs import Batch, MethodContext, MethodRefused

if TYPE_CHECKING:
    import torch

Positions = Callable[[Batch], "torch.Tensor"]
"""Which tokens of a batch count, [text, token]."""


def squared_gradients(
    model: torch.nn.Module,
    context: MethodContext,
    weights: Weights,
    texts: int,
    positions: Positions | None = None,
) -> Scores:
    """Mean over texts of the squared gradient of each one's own loss, with its gold label and without dropout.

    Args:
        positions: tokens at which gradients are gathered. A weight whose gradient belongs to no token, such as that of
            relative positions, then gets 0. Without, all count, and every weight gets its whole gradient.

    Raises:
        MethodRefused: a layer changes its input in place, so that it cannot be kept.
    """
    watcher = _Watcher(model, weights)
    seen = 0
    with mode(model, training=False), watcher.hooks():
        for batch in first_texts(context, texts):
            watcher.look(batch, positions(batch) if positions else None)
            watcher.learn(losses_by_text(model, context, batch).sum())
            seen += len(batch["input_ids"])
            if positions is None and watcher.missed():
                break
    if positions is None and watcher.missed():
        return _one_by_one(model, context, weights, texts)
    # Squares added up from pairs of tokens may be less than 0 by rounding.
    return {name: total.div_(max(1, seen)).clamp_(min=0) for name, total in watcher.sums.items()}


def _one_by_one(model: torch.nn.Module, context: MethodContext, weights: Weights, texts: int) -> Scores:
    """The same by plain means: slower, and right for any model."""
    import torch

    sums = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}
    seen = 0
    with mode(model, training=False), thawed(weights):
        for batch in first_texts(context, texts):
            for text in range(len(batch["input_ids"])):
                alone = {name: values[text : text + 1] for name, values in batch.items()}
                loss = context.loss(model, alone)
                gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
                for name, gradient in zip(weights, gradients, strict=True):
                    if gradient is not None:
                        sums[name].addcmul_(gradient, gradient)
                seen += 1
    return {name: total / max(1, seen) for name, total in sums.items()}


class _Watcher:
    """Catches what goes into modules and the gradient of what comes out, and adds up squares."""

    def __init__(self, model: torch.nn.Module, weights: Weights) -> None:
        import torch

        self.sums: Scores = {name: torch.zeros_like(w, dtype=torch.float32) for name, w in weights.items()}
        self.model = model
        names = {id(weight): name for name, weight in weights.items()}
        self.owned: dict[torch.nn.Module, dict[str, str]] = {}
        """Names of the weights of each module, by what the module calls them."""
        for module in model.modules():
            own = {what: names[id(p)] for what, p in module._parameters.items() if p is not None and id(p) in names}
            if own:
                self.owned[module] = own
        self.reached: set[str] = set()
        self.strayed: set[str] = set()
        """Weights used where their gradient cannot be told apart by text."""
        self.asleep = True

    def look(self, batch: Batch, positions: torch.Tensor | None) -> None:
        """Get ready for a batch."""
        self.shape = tuple(batch["input_ids"].shape[:2])
        self.chosen = Chosen.of(self.shape, positions, batch["input_ids"].device)
        self.leaves: list[torch.Tensor] = []
        self.waiting: dict[torch.nn.Module, int] = {}
        self.calls: dict[torch.nn.Module, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        self.asleep = False

    def learn(self, loss: torch.Tensor) -> None:
        """Let gradients come back. The loss is a sum over texts, so that each text's part is its own."""
        import torch

        self.asleep = True
        ends = [*self.leaves, *(p for p in self.model.parameters() if p.requires_grad)]
        torch.autograd.grad(loss, ends, allow_unused=True)
        for module in list(self.calls):  # of several calls some may have had no part in the loss
            self._add(module)

    def missed(self) -> bool:
        """Whether there are weights whose gradients were not seen whole."""
        return bool(self.strayed or self.sums.keys() - self.reached)

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """Watch inside."""
        import torch

        handles: list[Any] = []
        for module in self.owned:
            if isinstance(module, torch.nn.Embedding):
                handles.append(module.register_forward_pre_hook(self._for_each_text))
            handles.append(module.register_forward_hook(self._called, with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _for_each_text(self, module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Positions are looked up once for all texts; looked up for each, their gradients can be told apart."""
        if self.asleep or len(args) != 1 or tuple(args[0].shape) != (1, self.shape[1]):
            return None
        return (args[0].expand(self.shape),)

    def _called(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: Any, output: Any) -> torch.Tensor | None:
        import torch

        if self.asleep:
            return None
        names = self.owned[module].values()
        by_text = (
            len(args) == 1
            and not kwargs
            and isinstance(output, torch.Tensor)
            and output.ndim > 2
            and output.shape[:2] == args[0].shape[:2] == self.shape
        )
        if not by_text:
            self.strayed.update(names)
            return None
        self.reached.update(names)
        given = args[0].detach()
        self.waiting[module] = self.waiting.get(module, 0) + 1
        arrived = partial(self._arrived, module, given, given._version)
        if output.requires_grad:
            output.register_hook(arrived)
            return None
        # Nothing below trains, so gradients would end above. They shall come down to here.
        leaf = output.detach().requires_grad_(True)
        leaf.register_hook(arrived)
        self.leaves.append(leaf)
        return leaf.clone()  # what follows may change it in place, which a leaf forbids

    def _arrived(self, module: torch.nn.Module, given: torch.Tensor, version: int, gradient: torch.Tensor) -> None:
        if given._version != version:
            raise MethodRefused(
                f"{type(module).__name__} of this model changes its input in place, so that gradients of single texts "
                "cannot be told apart",
                "Say --by gradient",
            )
        self.calls.setdefault(module, []).append((given, gradient.detach()))
        self.waiting[module] -= 1
        if not self.waiting[module]:
            self._add(module)

    def _add(self, module: torch.nn.Module) -> None:
        calls = self.calls.pop(module)
        names = self.owned[module]
        for what, add in gradients_of(module, list(names), calls, self.chosen):
            add(self.sums[names[what]])
