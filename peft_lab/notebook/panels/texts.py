"""Every word that panels and explorers say, in one place, so that a translation can follow."""

from __future__ import annotations

# --- places ----------------------------------------------------------------------------------------------------------

CLOSED = "This {kind} is closed. Run the cell again to open it."
NO_WIDGETS = "This {kind} needs a notebook that shows widgets, with a running kernel. Run the cell again to open it."
