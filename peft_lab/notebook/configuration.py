"""``%config PeftMagics``: settings of the notebook, checked when they are set, joined with those of the project."""

from __future__ import annotations

import sys
from typing import Any

from IPython.core.magic import Magics
from traitlets import Bool, Dict, Integer, TraitError, Unicode, observe, validate
from traitlets.config import Config

from peft_lab.defaults import KEYS, Defaults, Source, in_effect, read_project

SECTION = "PeftMagics"
HERE = "%config"


class TrainingSettings(Dict):
    """A mapping of training settings, each checked as if it had been typed."""

    def validate(self, obj: Any, value: Any) -> dict[str, Any]:
        """The mapping with plain names and checked values."""
        if value == {}:  # as it is while the extension is loaded, when nothing may be imported
            return {}
        from peft_lab.defaults import checked_training
        from peft_lab.errors import PeftLabError

        try:
            return dict(checked_training(str(name), of) for name, of in dict(value).items())
        except PeftLabError as error:
            raise TraitError(str(error)) from None
        except (TypeError, ValueError):
            raise TraitError(f"settings cannot be {value!r}. It takes a mapping, such as {{'epochs': 2}}") from None


class Configured(Magics):
    """The traits, and what is known of them: a value that was refused is told, and told again."""

    profile = Unicode("", help="Settings that belong together: workshop, or none; the project's when empty.").tag(
        config=True
    )
    live = Bool(
        None,
        allow_none=True,
        help="Show training while it goes on; False (or PEFT_LAB_STATIC=1) leaves one output at the end.",
    ).tag(config=True)
    runs = Unicode("", help="Folder of the runs; PEFT_LAB_RUNS or ./peft_runs when empty.").tag(config=True)
    model = Unicode("", help="Base model where none was chosen: a name, a folder or a hub id.").tag(config=True)
    data = Unicode("", help="Data where none were chosen: a name, a file, a folder or a hub id.").tag(config=True)
    offline = Bool(None, allow_none=True, help="Whether nothing is asked of the network.").tag(config=True)
    seed = Integer(None, allow_none=True, min=0, help="Seed of a run where none is given.").tag(config=True)
    settings = TrainingSettings(help="Training settings where none are given, such as {'epochs': 2}.").tag(config=True)

    shell: Any

    def __init__(self, shell: Any) -> None:
        self.refused: dict[str, str] = {}
        self.told: set[str] = set()
        self.project = read_project()
        super().__init__(shell=shell, config=Config())
        # One by one: a wrong value in ipython_config.py costs only itself.
        for name, value in shell.config.get(SECTION, {}).items():
            try:
                self.update_config(Config({SECTION: {name: value}}))
            except TraitError:
                continue  # it is among the refused
        self.tell()

    def update_config(self, config: Config) -> None:
        """Take values of ``%config``; IPython only logs what is refused, and the cell succeeds."""
        names = list(config.get(SECTION, {}))
        for name in names:
            self.told.discard(self.refused.pop(name, ""))
        try:
            super().update_config(config)
        except TraitError as error:
            said = " ".join(str(error).split()).rstrip(".")
            self.refused |= {name: f"%config {SECTION}.{name} was refused: {said}" for name in names}
            raise

    @property
    def defaults(self) -> Defaults:
        """All settings in effect, with where they come from."""
        values = {key: value for key in KEYS if (value := getattr(self, key)) not in ("", None)}
        here = Source(HERE, values, self.settings, tuple(self.refused.values()))
        return in_effect(self.project, here)

    def tell(self) -> None:
        """Say on one line what cannot be used, once for each set of troubles."""
        troubles = [trouble for trouble in self.defaults.problems if trouble not in self.told]
        if troubles:
            self.told.update(troubles)
            end = "" if troubles[0].endswith((".", "?")) else "."
            more = f" And {len(troubles) - 1} more: %peft config" if len(troubles) > 1 else ""
            sys.stderr.write(f"peft_lab: {troubles[0]}{end}{more}\n")

    @validate("profile")
    def _known(self, proposal: Any) -> str:
        if not proposal["value"]:  # as it is while the extension is loaded
            return ""
        from peft_lab.defaults import checked_key
        from peft_lab.errors import PeftLabError

        try:
            return str(checked_key("profile", proposal["value"]))
        except PeftLabError as error:
            raise TraitError(str(error)) from None

    @observe("profile", "live", "runs", "model", "data", "offline", "seed", "settings")
    def _changed(self, change: Any) -> None:
        self.settings_changed(str(change["name"]))

    def settings_changed(self, name: str) -> None:
        """What follows from a new value; for the class that has a lab."""
