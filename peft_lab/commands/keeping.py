"""Keep, move, merge and undo what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from peft_lab.bench import Bench, RunName
from peft_lab.errors import UnknownName, UnknownRun
from peft_lab.operations import About, operation
from peft_lab.run import Run, list_runs

if TYPE_CHECKING:
    from peft_lab.present.table import Table

Replace = Annotated[bool, About("write over what an earlier one left in the folder")]


class Keeping(Bench):
    """Operations on trained adapters."""

    @operation("save run-2 my-adapter", "save run-2 my-adapter --replace")
    def save(
        self,
        run: RunName,
        folder: Annotated[str, About("a folder to be made", completes="files")],
        replace: Replace = False,
    ) -> Table:
        """Save a run as a folder that can be moved, in Hugging Face PEFT's layout where that is possible."""
        from peft_lab.keeping import tables
        from peft_lab.keeping.saving import save

        return tables.saved(save(self.run(run), self.host, folder, replace=replace))

    @operation("load my-adapter", "load run-2", "load my-adapter --model ./the-base-model")
    def load(
        self,
        what: Annotated[str, About("a folder made by save, or a run", completes="runs+files")],
        model: Annotated[str | None, About("where its base model is on this machine", completes="models")] = None,
    ) -> Table:
        """Check a saved adapter or a run, and put it in use: predict answers by it."""
        from peft_lab.keeping import in_use, tables
        from peft_lab.keeping.loading import load_folder, load_run

        found = self._saved_or_run(what)
        self.forget_served()
        loaded = (
            load_run(found, self.host) if isinstance(found, Run) else load_folder(found, self.folder, self.host, model)
        )
        in_use.put(self.folder, loaded)
        self.keep_served(loaded.run, loaded.restored)
        return tables.loaded(loaded)

    @operation("rollback")
    def rollback(self) -> Table:
        """Take what was loaded last out of use: back to the one before, or to the base model."""
        from peft_lab.keeping import tables
        from peft_lab.keeping.rolling_back import roll_back

        self.forget_served()
        result = roll_back(self.folder, self.host)
        if result.now is not None:
            self.keep_served(result.now, result.restored)
        return tables.rolled_back(result)

    @operation("merge run-2 merged-model")
    def merge(
        self,
        run: RunName,
        folder: Annotated[str, About("a folder to be made", completes="files")],
        replace: Replace = False,
    ) -> Table:
        """Merge a run into its base model: a plain transformers folder that needs no peft_lab."""
        from peft_lab.keeping import tables
        from peft_lab.keeping.merging import merge

        chosen = self.run(run)
        return tables.merged(merge(chosen, self.host, folder, replace=replace), chosen)

    def _saved_or_run(self, what: str | Run) -> Path | Run:
        from peft_lab.keeping.manifest import MANIFEST

        folder = None if isinstance(what, Run) else Path(what).expanduser().absolute()
        if folder is not None and (folder / MANIFEST).is_file():
            return folder
        try:
            return self.run(what)
        except UnknownRun:
            if folder is not None and folder.is_dir():
                return folder  # what is wrong with it is said when it is read
            known = [run.id for run in list_runs(self.folder)]
            raise UnknownName("saved folder and no run", str(what), known) from None
