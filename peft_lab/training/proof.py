"""Proof that training does what it says: everything that should move moved, and nothing else did.

A run whose adapter got no gradient still ends with a good loss, because its head learns. So each tensor is checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from peft_lab.errors import NothingLearned
from peft_lab.training.anatomy import bare_name

if TYPE_CHECKING:
    import torch

    from peft_lab.training.build import Built

# Two steps reach every tensor of a method whose second factor starts at zero (LoRA); one more for good measure.
FIRST_STEPS = 3
PATIENCE = 10


class Proof:
    """Watches the first steps, then compares with digests taken before them."""

    def __init__(self, built: Built) -> None:
        self.built = built
        trainable = built.trainable()
        self.before = {name: digest(p) for name, p in trainable.items()}
        self.frozen = {n: digest(p) for n, p in built.model.named_parameters() if n not in trainable}
        self.still = set(self.before)
        self.without_gradient = set(self.before)
        self.steps = 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, as plain data."""
        return {"still": sorted(self.still), "without_gradient": sorted(self.without_gradient), "steps": self.steps}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint; the digests are those of the start, which was built again."""
        self.still, self.without_gradient = set(state["still"]), set(state["without_gradient"])
        self.steps = state["steps"]

    @property
    def watching(self) -> bool:
        """Whether :meth:`after_step` still has something to look at."""
        return bool(self.still or self.without_gradient) and self.steps < PATIENCE

    def after_backward(self) -> None:
        """Note which tensors got a gradient. Decay alone moves a tensor too, so movement is not enough."""
        gradients = {name: parameter.grad for name, parameter in self.built.trainable().items()}
        if self.built.masked:
            gradients |= self.built.masked.gradients()
        self.without_gradient -= {n for n in self.without_gradient if (g := gradients[n]) is not None and g.any()}

    def after_step(self) -> None:
        """Note which tensors moved; give up on a method none of whose tensors learns.

        Raises:
            NothingLearned: after ``PATIENCE`` steps nothing but the head learned, though a method wanted more.
        """
        self.steps += 1
        if self.steps < FIRST_STEPS:
            return
        named = self.built.trainable()
        self.still -= {name for name in self.still if digest(named[name]) != self.before[name]}
        if self.steps == PATIENCE:
            self.refuse_dead_methods()

    def finish(self) -> None:
        """Look once more at the end of a run that was too short, or whose tensors were slow to move."""
        named = self.built.trainable()
        self.still -= {name for name in self.still if digest(named[name]) != self.before[name]}
        if self.steps:
            self.refuse_dead_methods()

    def refuse_dead_methods(self) -> None:
        """Raise when every tensor outside the head is dead."""
        body = [name for name in self.before if not self.built.is_head(name)]
        if body and self.dead() >= set(body):
            raise NothingLearned(
                f"after {self.steps} steps none of the {len(body)} tensors outside the head learns, "
                f"such as {bare_name(body[0])}",
                "The method is attached where no gradient reaches it",
            )

    def dead(self) -> set[str]:
        """Tensors without a gradient, or that stayed where they were."""
        return self.still | self.without_gradient

    def marks(self) -> list[dict[str, Any]]:
        """The findings as kept in a run."""
        total, dead = len(self.before), sorted(bare_name(n) for n in self.dead())
        steps = f"in the first {self.steps} step" + ("s" if self.steps != 1 else "")
        if dead:
            names = ", ".join(dead[:3]) + (", ..." if len(dead) > 3 else "")
            moved = f"{len(dead)} of {total} trainable tensors did not learn {steps}: {names}"
        else:
            moved = f"all {total} trainable tensors learned {steps}"
        # A run that was stopped before its first step has shown nothing yet, neither way.
        marks: list[dict[str, Any]] = [{"check": "moved", "ok": not dead, "text": moved}] if self.steps else []
        named = dict(self.built.model.named_parameters())
        changed = sorted(bare_name(n) for n, d in self.frozen.items() if n in named and digest(named[n]) != d)
        kept = f"all {len(self.frozen)} frozen tensors are bit-identical"
        text = f"{len(changed)} frozen tensors changed: {', '.join(changed[:3])}" if changed else kept
        if self.frozen:
            marks.append({"check": "frozen", "ok": not changed, "text": text})
        return marks


def digest(tensor: torch.Tensor) -> bytes:
    """A hash of a tensor's bytes: equal only if every bit is."""
    import torch

    flat = tensor.detach().contiguous().cpu().flatten().view(torch.uint8)
    return hashlib.blake2b(flat.numpy().data, digest_size=16).digest()
