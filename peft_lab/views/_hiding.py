"""Runs that are switched off in a picture of many: what is drawn of the others stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from peft_lab.errors import BadOption, nearest
from peft_lab.texts import views as texts
from pluggy_specs import RunView


def hiding() -> Any:
    """The option ``hide`` of a view."""
    return Field(
        (),
        description="runs that are left out, while axes and colours stay as with all of them",
        json_schema_extra={"completes": "runs"},
    )


def left_out(hide: Sequence[str], runs: Sequence[RunView]) -> str:
    """A sentence that says which runs are left out; empty where none is.

    Raises:
        BadOption: one is none of the runs, or all are left out.
    """
    ids = [run.id for run in runs]
    for name in hide:
        if name not in ids:
            raise BadOption(f"{name!r} is none of these runs", nearest(name, ids), "hide")
    if runs and set(ids) <= set(hide):
        raise BadOption("all runs are left out", "Leave one in", "hide")
    return texts.LEFT_OUT.format(runs=", ".join(one for one in ids if one in hide)) if hide else ""
