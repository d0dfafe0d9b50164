"""``%peft`` and ``%%peft``: a thin skin over the lab, where all they can do is declared.

Importing this imports IPython only.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import line_cell_magic, magics_class, no_var_expand

from peft_lab.notebook.configuration import Configured
from peft_lab.notebook.skin import NotebookSkin
from peft_lab.offline import back_online, go_offline
from peft_lab.profiles import PROFILES

if TYPE_CHECKING:
    from peft_lab.lab import Lab
    from peft_lab.rows import StudyRows
    from peft_lab.run import Run
    from peft_lab.study.progress import StudyProgress
    from peft_lab.training.progress import Progress

NAME = "peft"
MISPLACED = "%peft"


@magics_class
class PeftMagics(Configured):
    """Fine-tune, see and compare in the notebook: ``%peft`` says where you are, ``%peft --help`` what there is."""

    def __init__(self, shell: Any) -> None:
        self.made: Lab | None = None
        self.placeholder: Any = None
        self.matcher: Any = None
        self._active: Progress | None = None
        self._shown: tuple[Any, int] | None = None
        self._trained: Path | None = None
        self.skin = NotebookSkin(self)
        super().__init__(shell)
        self.mind_the_network()

    @property
    def lab(self) -> Lab:
        """The lab behind the magics, made on first need."""
        if self.made is None:
            from peft_lab.lab import Lab

            self.made = Lab(
                namespace=self.shell.user_ns, watch=self._watch, follow=self._follow, defaults=self.defaults
            )
            self.made.read_cell = self._calls_in
            self.made.watch_study = self._watch_study
            self.made.tells = self._tells
            self.made.skin = self.skin
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
        from peft_lab.notebook.trouble import Interrupted

        self._trained = None
        self.tell()
        try:
            return self._do(line, cell)
        except PeftLabError as error:
            if line.split()[:1] != ["debug"]:
                self._note(error)
            # Only the exact class is shown as one line.
            told: BaseException = UsageError(" ".join(str(error).split()))
        except KeyboardInterrupt as stopped:
            if hasattr(stopped, "_render_traceback_"):  # it says itself what was kept
                raise
            told = Interrupted(" ".join([f"%{NAME}", *line.split()[:1]]))
        except Exception as error:
            self._note(error)
            raise
        raise told  # out here it holds no frames, and so no tensors

    def misplaced(self, line: str) -> None:
        """What a ``%%peft`` does that is not the first line of its cell."""
        raise UsageError("%%peft must be the first line of its cell. Move the lines above it below it")

    def _do(self, line: str, cell: str | None) -> Any:
        from peft_lab.lab import Lab
        from peft_lab.notebook import cells
        from peft_lab.notebook.parsing import Call, parse
        from peft_lab.notebook.words import is_quiet
        from peft_lab.operations import operations_of

        asked = parse(line, cell, operations_of(Lab), lambda: self.lab.host, self.shell.user_ns)
        result: Any = asked
        if isinstance(asked, Call):
            self.lab.defaults = self.defaults
            cells.begin(self.lab.session, self.shell)
            try:
                result = asked.on(self.lab)
            except KeyboardInterrupt as stopped:
                if asked.into and getattr(stopped, "run", None) is not None:
                    self.shell.user_ns[asked.into] = stopped.run  # type: ignore[attr-defined]
                raise
            if asked.into:
                self.shell.user_ns[asked.into] = result
            cells.showed(self.lab.session, self.shell, *cells.runs_in(asked, result, self.lab))
        return None if is_quiet(line) else result

    def _calls_in(self, source: str) -> list[Any]:
        from peft_lab.lab import Lab
        from peft_lab.notebook.cells import calls_in
        from peft_lab.operations import operations_of

        return calls_in(source, operations_of(Lab), lambda: self.lab.host, self.shell.user_ns)

    def _note(self, error: BaseException) -> None:
        from peft_lab.notebook.trouble import told

        self.lab.trouble = told(error, self._trained)

    # --- training -----------------------------------------------------------------------------------------------------

    def _watch(self, progress: Progress, work: Any) -> Run:
        from peft_lab.notebook.live import screen_for
        from peft_lab.notebook.watching import watch

        self._active = progress
        screen = screen_for(self.shell, self.defaults.get("live", True), self._remember)
        try:
            return watch(progress, work, screen, self._at_hand)
        finally:
            self._active = None
            self._trained = Path(progress.state["path"]) if "path" in progress.state else None
            if self._trained:
                self._showed(self._trained)

    def _tells(self) -> AbstractContextManager[Progress]:
        from peft_lab.notebook.telling import telling

        return telling(self.shell, self.defaults.get("live", True))

    def _watch_study(self, progress: StudyProgress, work: Any) -> StudyRows:
        from peft_lab.notebook.study_watching import study_screen, watch_study

        return watch_study(progress, work, study_screen(self.shell, self.defaults.get("live", True)))

    def _follow(self, run: Run) -> Run:
        from peft_lab.notebook.live import screen_for
        from peft_lab.notebook.watching import follow

        self._trained = run.path
        self._showed(run.path)
        return follow(run, screen_for(self.shell, self.defaults.get("live", True), self._remember))

    def _showed(self, path: Path) -> None:
        from peft_lab.errors import RunProblem
        from peft_lab.notebook.cells import showed
        from peft_lab.run import Run

        with suppress(RunProblem):  # its record is broken: that is told where it is shown
            showed(self.lab.session, self.shell, Run(path))

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

    def settings_changed(self, name: str) -> None:
        """Tell the lab. A model or data chosen before give way: what was said last is what is meant."""
        if name in ("profile", "offline"):
            self.mind_the_network()
        if self.made is None:
            return
        self.made.defaults = self.defaults
        if name == "runs":
            from peft_lab.run import runs_folder

            self.made.folder = runs_folder(self.defaults.get("runs"))
        elif name == "model" or (name == "profile" and self.defaults.profile in PROFILES):
            self.made.model = None
        elif name == "data":
            self.made.spec = None

    def mind_the_network(self) -> None:
        """Switch the hub off or on again, as the settings say: at once, for other cells may ask it, too."""
        if self.defaults.get("offline"):
            go_offline()
        else:
            back_online()
