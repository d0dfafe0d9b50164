"""How texts are cut into the units that a model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from peft_lab.bench import Bench
from peft_lab.errors import BadOption
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.present.table import Table


class Tokens(Bench):
    """Operations on units of text."""

    @operation('tokens "my badge was stolen" --run run-3')
    def tokens(
        self,
        *texts: Annotated[str, About("texts to cut")],
        run: Annotated[str, About("a run; the last one when none is named", completes="runs")] = "",
    ) -> Table:
        """Show how a run and its base model cut texts into tokens, and whether as they cut the training texts."""
        from peft_lab.listings.tokens import tokens
        from peft_lab.training.restore import tokenizers_of

        chosen = self.run(run) if run else self._latest()
        if not texts:
            raise BadOption("no text to cut", f'Put it in quotes: tokens "my badge was stolen" --run {chosen.id}')
        return tokens(chosen, texts, *tokenizers_of(chosen, self.host))
