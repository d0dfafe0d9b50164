"""The plain script that equals a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from peft_lab.bench import Bench, RunName
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.keeping.script import Script


class Coding(Bench):
    """Operations that lead out of peft_lab."""

    @operation("code run-7", "code run-7 --file train_again.py")
    def code(
        self,
        name: RunName,
        file: Annotated[
            str | None, About("write it there, with the rows it reads beside it", completes="files")
        ] = None,
        replace: Annotated[bool, About("although something else stands there")] = False,
    ) -> Script:
        """Show the plain transformers and PEFT script that equals a run: no lock-in."""
        from peft_lab.keeping.script import script_of

        return script_of(self.run(name), self.host, file, replace=replace)
