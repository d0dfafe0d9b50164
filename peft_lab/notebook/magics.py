"""``%peft`` and ``%%peft``: a thin skin over the lab, where all they can do is declared.

Importing this imports IPython only.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, Unicode, observe

if TYPE_CHECKING:
    from peft_lab.lab import Lab
    from peft_lab.run import Run
    from peft_lab.training.progress import Progress

NAME = "peft"
MISPLACED = "%peft"


@magics_class
class PeftMagics(Magics):
    """Fine-tune, see and compare in the notebook: ``%peft`` says where you are, ``%peft --help`` what there is."""

    live = Bool(
        True, help="Show training while it goes on; off (or PEFT_LAB_STATIC=1) leaves one output at the end."
    ).tag(config=True)
    runs = Unicode("", help="Folder of the runs; PEFT_LAB_RUNS or ./peft_runs when empty.").tag(config=True)

    shell: Any

    def __init__(self, shell: Any) -> None:
        super().__init__(shell=shell)
        self.made: Lab | None = None
        self.placeholder: Any = None
        self._active: Progress | None = None
        self._shown: tuple[Any, int] | None = None

    @property
    def lab(self) -> Lab:
        """The lab behind the magics, made on first need."""
        if self.made is None:
            from peft_lab.lab import Lab

            self.made = Lab(self.runs or None, namespace=self.shell.user_ns, watch=self._watch)
            if self.placeholder is not None and self.shell.user_ns.get("lab") is self.placeholder:
                self.shell.user_ns["lab"] = self.made
        return self.made

    @no_var_expand
    @line_cell_magic(NAME)  # type: ignore[arg-type]
    def peft(self, line: str, cell: str | None = None) -> Any:
        """Parameter-efficient fine-tuning: %peft COMMAND ..., help with %peft --help.

        In a cell, %%peft COMMAND ... takes more of the same from its body, as YAML.
        """
        from peft_lab.errors import PeftLabError

        try:
            return self._do(line, cell)
        except PeftLabError as error:
            said = " ".join(str(error).split())
        # Only the exact class is shown as one line. Raised out here, it holds no frames, and so no tensors.
        raise UsageError(said)

    def misplaced(self, line: str) -> None:
        """What a ``%%peft`` does that is not the first line of its cell."""
        raise UsageError("%%peft must be the first line of its cell. Move the lines above it below it")

    def _do(self, line: str, cell: str | None) -> Any:
        from peft_lab.lab import Lab
        from peft_lab.notebook.parsing import Call, parse
        from peft_lab.operations import operations_of

        asked = parse(line, cell, operations_of(Lab), lambda: self.lab.host)
        if not isinstance(asked, Call):
            return asked
        try:
            result = asked.on(self.lab)
        except KeyboardInterrupt as stopped:
            if asked.into and getattr(stopped, "run", None) is not None:
                self.shell.user_ns[asked.into] = stopped.run  # type: ignore[attr-defined]
            raise
        if asked.into:
            self.shell.user_ns[asked.into] = result
        return result

    # --- training -----------------------------------------------------------------------------------------------------

    def _watch(self, progress: Progress, work: Any) -> Run:
        from peft_lab.notebook.live import screen_for
        from peft_lab.notebook.watching import watch

        self._active = progress
        screen = screen_for(self.shell, self.live and not static(), self._remember)
        try:
            return watch(progress, work, screen, self._at_hand)
        finally:
            self._active = None

    def stop(self) -> None:
        """Ask a run in progress to stop at the next step."""
        if self._active is not None:
            self._active.stop()

    def _remember(self, run: Run) -> None:
        self._shown = (run.path, self.shell.execution_count)

    def _at_hand(self, run: Run) -> str:
        named = ", or lab.last" if self.shell.user_ns.get("lab") is self.made else ""
        return f"%peft show {run.id}{named}"

    def show_once(self, run: Run) -> None:
        """Show nothing for a run whose card this execution has shown already; otherwise leave it to the usual way."""
        if self._shown != (run.path, self.shell.execution_count):
            raise NotImplementedError  # IPython's word for "not me"

    @observe("runs")
    def _move(self, change: Any) -> None:
        if getattr(self, "made", None) is not None:
            from peft_lab.run import runs_folder

            self.made.folder = runs_folder(change["new"] or None)  # type: ignore[union-attr]


def static() -> bool:
    """Whether outputs must be one and the same each time, as in tests of notebooks."""
    return os.environ.get("PEFT_LAB_STATIC", "") not in ("", "0")
