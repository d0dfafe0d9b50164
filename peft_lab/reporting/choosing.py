"""Which method a report names to go on with: the best, or one that trains less where the figures speak for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peft_lab.reporting.material import BETTER, NOT_SHOWN, Contrast, Material
from peft_lab.reporting.wording import UP_TO_ONE

if TYPE_CHECKING:
    from peft_lab.evidence import Cell

MARGIN = 0.02
"""How far behind the best a method may be and still be named in its place: a choice of this project, not a finding."""
FAR, NO_GAIN, FAILED_MORE, NO_SCALE = "far", "gain", "failed", "scale"


def tied(material: Material) -> list[str]:
    """The best method and those that cannot be told from it, the best first; nothing where nothing was tested."""
    if not material.contrasts:
        return []
    equal = [c.method for c in material.contrasts if c.verdict == NOT_SHOWN and not c.here_only]
    return [material.contrasts[0].against, *equal]


def recommended(material: Material) -> str:
    """The method to go on with; empty where there is none, or none that can be compared with the others."""
    cells = material.contenders()
    if not cells or not material.comparable:
        return ""
    return next((cell.method for cell in trains_less(material) if not doubt(material, cell)), cells[0].method)


def trains_less(material: Material) -> list[Cell]:
    """Those that cannot be told from the best and train less of the model, the least first."""
    equal = [cell for cell in material.contenders() if cell.method in tied(material)]
    known = [(share, cell) for cell in equal if (share := share_of(cell))]
    most = share_of(equal[0]) if equal else None
    return [cell for share, cell in sorted(known, key=lambda one: one[0]) if most and share < most]


def share_of(cell: Cell) -> float | None:
    """How much of the model a method trains; None where that is not known."""
    trained, whole = cell.cost.get("trainable"), cell.cost.get("total")
    return trained / whole if trained and whole else None


def doubt(material: Material, cell: Cell) -> str:
    """Why a method is not named in place of the best; empty where nothing speaks against it.

    That no difference was shown is no reason to name it: of few seeds none is shown between what learned and what did
    not.
    """
    contrast = material.contrast(cell.method)
    assert contrast is not None and material.summary is not None
    if material.summary.metric not in UP_TO_ONE:
        return NO_SCALE
    if cell.failed > material.contenders()[0].failed:  # what failed may have been what it does worst
        return FAILED_MORE
    if not contrast.low >= -MARGIN:
        return FAR
    return NO_GAIN if no_gain(material, cell.method) else ""


def no_gain(material: Material, method: str) -> Contrast | None:
    """Something there to be compared with over which no gain of a method is shown; None where there is no such."""
    return next((one for one in gains(material, method) if one.verdict != BETTER), None)


def gains(material: Material, method: str) -> list[Contrast]:
    """A method against what is there to be compared with only."""
    return [one for one in material.over if one.method == method]
