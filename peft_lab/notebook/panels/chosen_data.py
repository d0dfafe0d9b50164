"""The data that a form names: what is known of it, with what takes time done once and elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.bench import Bench
from peft_lab.data_spec import DataSpec
from peft_lab.errors import PeftLabError
from peft_lab.notebook.names import is_table
from peft_lab.present.style import plain
from peft_lab.texts import panels as texts

if TYPE_CHECKING:
    from pluggy_specs import Task


class ChosenData:
    """Data by the text that names it; None is the data at hand.

    Tables of the notebook are kept as files, and files are looked into to guess their task: :meth:`read` does that, in
    whatever thread it is called; everything else answers at once.
    """

    def __init__(self, lab: Bench) -> None:
        self.lab = lab
        self._read: dict[Any, DataSpec | PeftLabError] = {}

    @property
    def name_at_hand(self) -> str | None:
        """The name of the data at hand; None where they were chosen with more than a name."""
        spec = self.lab.spec
        return spec.source if spec == DataSpec(source=spec.source) else None

    def takes_time(self, text: str | None) -> bool:
        """Whether :meth:`read` must be called first."""
        from peft_lab.sources.guessing import CONVERSING

        if self._key(text) in self._read:
            return False
        if text is not None and is_table(self.lab.namespace.get(text)):
            return True
        source = Path(self.lab.spec.source if text is None else text).expanduser()
        try:
            return source.suffix.lower() in CONVERSING and source.is_file()
        except (OSError, ValueError):
            return False

    def read(self, text: str | None) -> None:
        """Keep a table as a file, look into a file."""
        from peft_lab.sources.guessing import task_of

        try:
            spec = self.lab.spec if text is None else self.lab.data_spec(text)
            task_of(spec, self.lab.host)
            self._read[self._key(text)] = spec
        except PeftLabError as error:
            self._read[self._key(text)] = error
        except Exception as error:  # of a reader: said where the data is used, as it would be in a cell
            self._read[self._key(text)] = PeftLabError(plain(f"{type(error).__name__}: {error}"))

    def spec(self, text: str | None) -> DataSpec:
        """Which data is meant.

        Raises:
            PeftLabError: it cannot be used.
        """
        if text is None:
            return self.lab.spec
        found = self._read.get(self._key(text))
        if isinstance(found, PeftLabError):
            raise found
        return found or self.lab.data_spec(text)

    def task(self, text: str | None) -> type[Task] | None:
        """The task of the data, as far as it can be told before it is read."""
        from peft_lab.sources.guessing import task_of

        name = task_of(self.spec(text), self.lab.host)
        offer = self.lab.host.offers("tasks").get(name) if name is not None else None
        return offer.item if offer is not None else None

    def about(self, text: str | None) -> str:
        """What is known of it, in a few words."""
        name = self.lab.spec.source if text is None else text
        offer = self.lab.host.offers("datasets").get(name)
        try:
            task = self.task(text)
        except PeftLabError:
            return ""
        if offer is not None:
            said = plain(offer.item.summary)
        elif is_table(self.lab.namespace.get(name)):
            said = texts.OWN_TABLE
        else:
            said = about_path(name)
        return " · ".join([said, *([texts.TASK.format(task=task.name)] if task is not None else [])])

    def _key(self, text: str | None) -> Any:
        if text is None:
            return self.lab.spec
        return text, id(self.lab.namespace.get(text))


def about_path(name: str) -> str:
    """Where something that nobody offers is taken from."""
    try:
        there = Path(name).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # no such home folder, a NUL
        there = False
    return texts.OWN_FILE if there else texts.FROM_HUB
