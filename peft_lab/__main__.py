"""``python -m peft_lab``: the same as ``peft-lab``."""

from __future__ import annotations

import sys

from peft_lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
