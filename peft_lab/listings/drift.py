"""``%peft drift``: whether new data has the format that a run was trained on, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.by_role import Taught, rows_of
from peft_lab.drifting import Drift, boilerplate_pairs, compare_formats
from peft_lab.errors import RunProblem
from peft_lab.present.style import share
from peft_lab.present.table import Table
from peft_lab.run import Run
from pluggy_specs.pieces import UNSUPERVISED

if TYPE_CHECKING:
    from peft_lab.training.restore import Restored
    from pluggy_specs import Table as Rows

FEW = 8
"""Rows below which a verdict is uncertain."""


def old_format(run: Run) -> tuple[list[Taught], set[tuple[int, int]]]:
    """Held-out rows of a run with their losses, and what was boilerplate, where that is known.

    Raises:
        RunProblem: it kept no losses of tokens.
    """
    if "token-losses" not in run.artifacts:
        hint = "Train to the end with the task causal"
        raise RunProblem(f"{run.id} has kept no losses of tokens to compare with", hint)
    known = boilerplate_pairs(run.artifact("token-roles")) if "token-roles" in run.artifacts else set()
    return list(rows_of(run.artifact("token-losses")).values()), known


def losses_on(restored: Restored, rows: Rows) -> Iterator[Taught]:
    """What a trained model loses on each supervised token of some rows."""
    import torch

    model = restored.built.model
    model.eval()
    for batch in restored.sweep(rows):
        with torch.inference_mode(), restored.place.autocast():
            losses, _ = restored.task.losses(restored.task.outputs(model, batch), batch)
        ids, labels = batch["input_ids"].cpu().numpy(), batch["labels"].cpu().numpy()
        values = losses.float().cpu().numpy()
        for at, label in enumerate(labels):
            taught = (label != UNSUPERVISED).nonzero()[0]
            taught = taught[taught > 0]
            yield Taught(ids[at][taught], ids[at][taught - 1], {"after": values[at][taught]})


def drift(run: Run, restored: Restored, rows: Rows, name: str) -> Table:
    """Compare the format of new rows with that of the run's held-out rows."""
    old, known = old_format(run)
    found = compare_formats(old, list(losses_on(restored, rows)), known)
    return as_table(found, run, restored.tokenizer, name, bool(known))


def as_table(found: Drift, run: Run, tokenizer: Any, name: str, roles: bool) -> Table:
    """The verdict, what it rests on, and examples."""
    rows: list[list[Any]] = [
        ["rows", found.old_rows, found.rows],
        ["format tokens foreseen badly", share(found.old_share), share(found.share)],
        ["answer tokens in the known format", share(found.old_known), share(found.known)],
    ]
    rows += [
        [f"for example {_read(tokenizer, ids)}", None, f"in {many} of {found.rows} answers, loss {loss:.1f}"]
        for ids, many, loss in (found.examples if found.changed else ())
    ]
    verdict = "changed" if found.changed else "unchanged"
    so = (
        f"Find the roles again: %peft shad {name}, and train on such data."
        if found.changed
        else "Its roles still hold."
    )
    if not found.tokens:
        why = "The new answers share no format at all."
    else:
        why = (
            f"{found.share:.1%} of {found.tokens:,} format tokens have a loss above {found.loss:.2f}; up to "
            f"{found.threshold:.1%} would be chance, by the held-out rows of {run.id}."
        )
    how = "" if roles else f" {run.id} found no roles: format tokens are those that many answers share."
    few = f" So few rows say little: {FEW} and more are wanted." if min(found.rows, found.old_rows) < FEW else ""
    return Table(
        f"format {verdict}: {name} against {run.id}",
        ("", f"held-out rows of {run.id}", "new rows"),
        rows,
        note=f"{so} {why}{how}{few}",
        align="<>>",
    )


def _read(tokenizer: Any, ids: Sequence[int]) -> str:
    """Tokens as text in quotes."""
    return repr(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
