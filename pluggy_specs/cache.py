"""Where plugins and the core keep what can be made again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Where what can be made again is kept between sessions: ``PEFT_LAB_CACHE``, or ``peft-lab`` where the system has
    its caches. It may not be there yet.
    """
    own = os.environ.get("PEFT_LAB_CACHE")
    if own:
        return Path(own).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "peft-lab" / "cache"
    wanted = os.environ.get("XDG_CACHE_HOME")
    usual = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    # The standard says that a relative path there is to be ignored.
    return (Path(wanted) if wanted and Path(wanted).is_absolute() else usual) / "peft-lab"
