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
        """Check the installation: packages, device, memory, disk, models, plugins, and one tiny training."""
        from peft_lab.selfcheck import selfcheck

        return selfcheck(self.host, self.folder)
