"""``%peft drift``: whether new data has the format that a run was trained on, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.by_role import Taught, rows_of
from peft_lab.drifting import ELSEWHERE, FORESEEN, Drift, boilerplate_pairs, compare_formats
from peft_lab.errors import RunProblem
from peft_lab.present.style import share
from peft_lab.present.table import Table
from peft_lab.run import Run
from peft_lab.texts import tables as texts
from pluggy_specs.pieces import UNSUPERVISED

if TYPE_CHECKING:
    from peft_lab.training.restore import Restored
    from pluggy_specs import Table as Rows

FEW = 32
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


def drift(run: Run, restored: Restored, rows: Rows, name: str, of: int = 0) -> Table:
    """Compare the format of new rows with that of the run's held-out rows.

    Args:
        of: how many rows there are, where these were picked out of more.
    """
    old, known = old_format(run)
    found = compare_formats(old, list(losses_on(restored, rows)), known)
    return as_table(found, run, restored.tokenizer, name, bool(known), of)


def as_table(found: Drift, run: Run, tokenizer: Any, name: str, roles: bool, of: int = 0) -> Table:
    """The verdict, what it rests on, and examples."""
    rows: list[list[Any]] = [
        [texts.FORMAT_ROWS, found.old_rows, found.rows],
        [texts.FORESEEN_BADLY, share(found.old_share), share(found.share)],
        [texts.IN_KNOWN_FORMAT, share(found.old_known) if found.old_rows > ELSEWHERE else None, share(found.known)],
    ]
    rows += [
        [
            texts.FOR_EXAMPLE.format(text=_read(tokenizer, ids)),
            None,
            texts.IN_ANSWERS.format(count=many, every=found.rows, loss=f"{loss:.1f}"),
        ]
        for ids, many, loss in (found.examples if found.changed else ())
    ]
    notes = _reasons(found, run.id, name, roles) if found.told else [_not_told(found, run.id)]
    notes += [texts.ROWS_PICKED.format(rows=f"{found.rows:,}", of=f"{of:,}")] if of > found.rows else []
    notes += [] if roles else [texts.FOUND_NO_ROLES.format(run=run.id)]
    notes += [texts.FEW_ROWS.format(few=FEW)] if min(found.rows, found.old_rows) < FEW else []
    if not found.told:
        notes.append((texts.MORE_ROWS if found.learned else texts.TRAIN_LONGER).format(data=name))
    title = texts.FORMAT_UNCHANGED if found.told else texts.FORMAT_UNTOLD
    title = texts.FORMAT_CHANGED if found.changed else title
    return Table(
        title.format(data=name, run=run.id),
        [column.format(run=run.id) for column in texts.FORMAT_COLUMNS],
        rows,
        note=" ".join(notes),
        align="<>>",
    )


def _reasons(found: Drift, run: str, data: str, roles: bool) -> list[str]:
    """What follows from the verdict, and what the verdict follows from."""
    notes = [texts.FIND_ROLES_AGAIN.format(data=data)] if found.changed else []
    notes += [texts.ROLES_HOLD] if roles and not found.changed else []
    if found.lost:
        parts = {"known": found.known, "old": found.old_known, "least": found.least_known}
        notes.append(texts.FORMAT_LOST.format(**{part: f"{value:.1%}" for part, value in parts.items()}))
    if not found.tokens:
        notes.append(texts.NO_FORMAT_SHARED)
    elif found.risen or not found.changed:
        shares = {"share": f"{found.share:.1%}", "threshold": f"{found.threshold:.1%}"}
        notes.append(texts.FORMAT_WHY.format(**shares, tokens=f"{found.tokens:,}", loss=FORESEEN, run=run))
    return notes


def _not_told(found: Drift, run: str) -> str:
    """Why nothing can be told."""
    if not found.old_tokens:
        return texts.NO_FORMAT_BEFORE.format(run=run)
    if not found.learned:
        return texts.NOT_LEARNED.format(run=run, share=f"{found.old_share:.1%}", loss=FORESEEN)
    return texts.TOO_FEW_TOKENS.format(tokens=found.tokens)


def _read(tokenizer: Any, ids: Sequence[int]) -> str:
    """Tokens as text in quotes."""
    return repr(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
