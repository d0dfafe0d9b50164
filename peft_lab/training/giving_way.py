"""A process that lets others go first.

Two processes that compute on the same cores do not share them evenly: the threads of each wait for one another many
times in every layer, and each time for one that does not have a core just then. What should take seconds takes minutes
(writing twenty answers beside a training: 10 s alone, 217 to 305 s side by side, 12 s where the training gives way).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

NICE = 10
"""As ``nice`` counts: of a core that both want, the other gets nine tenths. A core that is free is used as before."""
SETTING = "PEFT_LAB_NICE"
AUTOGROUP = Path("/proc/self/autogroup")
"""Linux weighs sessions against each other first: alone in one of its own, a process would give way to nobody."""


def give_way() -> None:
    """Make this process give way, by as much as the environment says; call it before threads are begun."""
    asked = os.environ.get(SETTING, "")
    much = int(asked) if asked.isdecimal() else NICE
    if much and sys.platform != "win32":
        with suppress(OSError):
            os.nice(max(0, much - os.nice(0)))
        with suppress(OSError):
            AUTOGROUP.write_text(str(much))
