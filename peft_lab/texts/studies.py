"""A study while it runs."""

from __future__ import annotations

CELLS_FINISHED = "{done} of {all} cells finished"
CELLS_FAILED = "{count} failed"
TIME_SPENT = "{seconds}"
TIME_SPENT_AND_LEFT = "{seconds}, about {left} left"
SCORE_COLUMN = "test {score}"
SCORE = "score"
"""Where its name is not known yet."""
MORE_COLUMNS = "and {count} more"
