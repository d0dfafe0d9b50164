"""What the gates of a trained prefix say about how long prefixes should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from peft_lab.bench import Bench
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.present.stack import Stack


class Prefixes(Bench):
    """Operations on prefixes with gates."""

    @operation("gates run-3", "gates run-3 --budget 48")
    def gates(
        self,
        run: Annotated[str, About("a run of apt; the last one when none is named", completes="runs", word=True)] = "",
        budget: Annotated[int | None, About("virtual tokens of all layers together; as many as it had")] = None,
    ) -> Stack:
        """Show how far the gates are open, and the lengths they propose for each layer's prefix."""
        from peft_lab.listings.results import gates

        return gates(self.host, self.run(run) if run else self._latest(), budget)
