"""Settings in effect, and what went wrong last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from peft_lab.bench import Bench
from peft_lab.errors import RunProblem
from peft_lab.operations import About, operation
from peft_lab.texts import tables as texts

if TYPE_CHECKING:
    from peft_lab.present.table import Table
    from peft_lab.present.verbatim import Verbatim

Failed = Annotated[
    str | None, About("a run that failed; the last error when none is named", completes="runs", word=True)
]


class Configuring(Bench):
    """Operations on the bench itself."""

    @operation("config", "config lora")
    def config(self, *methods: Annotated[str, About("with what these methods suggest", completes="methods")]) -> Table:
        """List the settings used where nothing is said, and where each comes from."""
        from peft_lab.commands._settings import settings_in_effect

        return settings_in_effect(self, [name for names in methods for name in names.split("+")])

    @operation("debug", "debug run-3")
    def debug(self, name: Failed = None) -> Verbatim:
        """Show the full traceback of the last error of a %peft, or that of a failed run."""
        from peft_lab.present.verbatim import Verbatim

        if name is not None:
            run = self.run(name)
            error = run.record.get("error")
            if not error:
                raise RunProblem(f"{run.id} has no error on record", f"It is {run.status}")
            return Verbatim(texts.ERROR_OF.format(run=run.id, error=error["type"]), error["traceback"])
        if not self.trouble:
            raise RunProblem("no %peft has failed here yet", "For a run that failed: %peft debug run-3")
        return Verbatim(texts.LAST_ERROR, self.trouble)
