"""Back to the adapter before, or to the base model, and proof that it is what it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.errors import RunProblem
from peft_lab.keeping.in_use import Entry, measuring, run_of, take
from peft_lab.run import Run
from peft_lab.training.restore import restore, untrained
from peft_lab.training.sample_texts import on_pairs, outputs_digest, sample_rows

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.training.restore import Restored


@dataclass(frozen=True)
class RolledBack:
    """What went, what is in use now, and how it compares with what was measured before."""

    gone: Entry
    now: Run | None
    """None is the base model."""
    restored: Restored
    proof: str


def roll_back(runs: Path, host: Host) -> RolledBack:
    """Take the latest adapter out of use.

    Raises:
        RunProblem: nothing is in use; or what is in use now is not, bit for bit, what it was.
    """
    gone, below = take(runs)
    try:
        run = run_of(below or gone, runs)
    except RunProblem:
        raise RunProblem(
            f"{gone.run} is out of use; {(below or gone).run} is gone from the disk, so that nothing could be compared",
            "The files of base models are not touched by any of this",
        ) from None
    restored = restore(run, host) if below else untrained(run, host)
    expected = below.outputs if below else gone.base
    then = (below or gone).measured_with
    found = outputs_digest(restored.outputs(sample_rows(on_pairs(run))))
    what = run.id if below else f"the base model {run.recipe.model}"
    here = measuring(restored.place.device)
    if found == expected:
        proof = f"its outputs for the sample texts are bit for bit those of before {gone.run}"
    elif here != then:
        proof = f"cannot be compared bit for bit: measured with {then}, and now with {here}"
    else:
        raise RunProblem(
            f"{gone.run} is out of use, but {what} is not what it was before: its outputs differ",
            "The files of the base model or of the run were changed meanwhile",
        )
    return RolledBack(gone, run if below else None, restored, proof)
