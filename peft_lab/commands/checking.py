"""What is stale, what takes memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from peft_lab.bench import Bench
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.checking.tables import Checked
    from peft_lab.present.stack import Stack
    from peft_lab.present.table import Table


class Checking(Bench):
    """Operations that look after the session."""

    @operation("check", "check analysis.ipynb", "check run-1 run-2")
    def check(
        self,
        *names: Annotated[
            str, About("a notebook file, or runs; this notebook when none is named", completes="runs+files")
        ],
    ) -> Checked:
        """Say which outputs of the notebook are stale: data, model, code or recipe changed since."""
        from peft_lab.commands._checks import check_notebook, check_runs

        files = [Path(name).expanduser() for name in names if str(name).endswith(".ipynb")]
        chosen = [self.run(name) for name in names if not str(name).endswith(".ipynb")]
        if chosen and not files:
            return check_runs(self, chosen)
        return check_notebook(self, files[0] if files else None, only={run.id for run in chosen})

    @operation("free")
    def free(self) -> Table | Stack:
        """Give memory back, and what tracebacks and Out[] still hold; list which of your names hold how much."""
        from peft_lab.memory.freeing import free
        from peft_lab.memory.tables import freed

        return freed(free(self.namespace, self._forget))

    def _forget(self) -> bool:
        kept = self.served is not None
        self.forget_served()
        return kept
