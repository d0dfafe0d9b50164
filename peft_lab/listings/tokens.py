"""How texts are cut, before and after, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peft_lab.present.table import Table
from peft_lab.run import Run
from peft_lab.texts import tables
from peft_lab.training.cutting import cut_unlike

BETWEEN = " · "


def tokens(run: Run, texts: Sequence[str], plain: Any, own: Any) -> Table:
    """Each text as the base model's tokenizer cuts it and, where the run has another one, as that does."""
    same = plain.get_vocab() == own.get_vocab()
    cutters = [(tables.CUT_BY_BASE, plain), *([] if same else [(run.id, own)])]
    rows: list[list[Any]] = []
    for text in texts:
        for name, tokenizer in cutters:
            pieces = pieces_of(tokenizer, text)
            rows.append([name if not same else run.recipe.model, len(pieces), BETWEEN.join(pieces)])
    new = sorted(own.get_vocab().keys() - plain.get_vocab().keys())
    note = (tables.READS_LIKE_BASE if same else tables.OWN_TOKENS).format(run=run.id, count=len(new))
    if "cutting" in run.record and (warning := cut_unlike(own, texts, run.record["cutting"])):
        note = f"{note} {warning}"
    return Table(tables.TOKENS_TITLE.format(run=run.id), tables.TOKENS_COLUMNS, rows, note=note)


def pieces_of(tokenizer: Any, text: str) -> list[str]:
    """Tokens as people read them; of a word in several pieces the later ones begin with ##."""
    cut = tokenizer(text, add_special_tokens=False)
    ids = cut["input_ids"]
    try:
        words = cut.word_ids()
    except ValueError:  # not one of the fast tokenizers
        words = [None] * len(ids)
    names = tokenizer.convert_ids_to_tokens(ids)
    shown = []
    for at, name in enumerate(names):
        letters = tokenizer.convert_tokens_to_string([name]).strip() or name
        goes_on = at > 0 and words[at] is not None and words[at] == words[at - 1]
        shown.append(f"##{letters.removeprefix('##')}" if goes_on else letters)
    return shown
