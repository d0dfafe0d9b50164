"""R3F (Aghajanyan et al. 2020, arXiv:2008.03156): answers that stay what they are when embeddings get a little noise.

The symmetric divergence ``KL(p|q) + KL(q|p)`` between the answers p to a batch and q to the same batch with noise, mean
over what is supervised. Gradients flow through both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pluggy_specs import Batch, MethodContext, MethodRefused

if TYPE_CHECKING:
    import torch


class Stability:
    """Tries noise on the batch that was trained on last. Costs two more passes through the model in each step."""

    def __init__(self, model: torch.nn.Module, context: MethodContext, size: float, kind: str) -> None:
        if context.task.generates:
            raise MethodRefused("noise compares probabilities of labels, and here text is written", "Leave out --noise")
        self.task, self.size, self.kind = context.task, size, kind
        self.batch: Batch | None = None
        self._noisy = False
        # On the way out of the embedding table, so that every family makes its positions and masks as always.
        embeddings: Any = model.get_input_embeddings()  # type: ignore[operator]
        embeddings.register_forward_hook(self._disturb)

    def divergence(self, model: torch.nn.Module) -> torch.Tensor:
        """``KL(p|q) + KL(q|p)`` on the last batch, a scalar.

        Raises:
            MethodRefused: the task has no distribution of answers.
        """
        import torch

        assert self.batch is not None
        calm = self.task.outputs(model, self.batch)
        self._noisy = True
        try:
            noisy = self.task.outputs(model, self.batch)
        finally:
            self._noisy = False
        if calm.shape[-1] < 2:
            raise MethodRefused(
                "noise compares probabilities, and this task answers with a number", "Leave out --noise"
            )
        p, q = (outputs.float().log_softmax(-1) for outputs in (calm, noisy))
        apart = ((p.exp() - q.exp()) * (p - q)).sum(-1)  # both divergences together
        _, supervised = self.task.losses(calm, self.batch)
        weight = supervised.reshape(apart.shape) if supervised.numel() == apart.numel() else torch.ones_like(apart)
        return (apart * weight).sum() / weight.sum().clamp(min=1)

    def _disturb(self, module: Any, _: Any, embedded: torch.Tensor) -> torch.Tensor | None:
        import torch

        if not self._noisy:
            return None
        noise = torch.randn_like(embedded) if self.kind == "normal" else torch.rand_like(embedded) * 2 - 1
        return embedded.detach() + noise * self.size
