"""Does everything work here?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peft_lab.bench import Bench
from peft_lab.operations import operation

if TYPE_CHECKING:
    from peft_lab.selfcheck import Checked


class SelfChecking(Bench):
    """Operations that look at the installation."""

    @operation("selfcheck")
    def selfcheck(self) -> Checked:
        """Check the installation: packages, widgets, device, memory, disk, models, plugins, and one tiny training."""
        from peft_lab.selfcheck import selfcheck

        offline = self.defaults.find("offline")
        more = self.skin.checks() if self.skin is not None else {}
        said = offline[1] if offline and offline[0] else ""
        return selfcheck(self.host, self.folder, model=self.model, offline=said, more=more)
