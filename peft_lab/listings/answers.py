"""What a trained model answers, as tables: for each text, or for each word of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.present import style
from peft_lab.present.table import Table
from peft_lab.run import Run

if TYPE_CHECKING:
    import numpy as np

Ranked = Sequence[tuple[str, float]]
NONE = "no answer"
WHY = "No answer: behind the last token that the model reads, or nothing that its tokenizer reads"


def predictions(run: Run, rows: Sequence[Mapping[str, str]], answers: Sequence[Ranked], top: int) -> Table:
    """The likeliest answers for each text."""
    out: list[list[Any]] = []
    sure = any(not math.isnan(score) for ranked in answers for _, score in ranked)
    for row, ranked in zip(rows, answers, strict=True):
        text = row["text"] + (f" ⟂ {row['text_pair']}" if "text_pair" in row else "")
        out.append([text, ranked[0][0], *([style.score(ranked[0][1]), _others(ranked, top)] if sure else [])])
    columns = ("text", "answer", "probability", "next") if sure else ("text", "answer")
    what = "the numbers are the model's own probabilities" if sure else "answers are in the units of its data"
    return Table("predictions", columns, out, note=f"{_by(run)}; {what}.", align="" if sure else "<>")


def word_predictions(
    run: Run,
    rows: Sequence[Mapping[str, str]],
    answer: Callable[[np.ndarray], Sequence[Ranked]],
    outputs: Any,
    top: int,
) -> Table:
    """The likeliest labels of each word of each text, and the entities they make.

    Args:
        answer: ranks the labels of some words by their outputs, [word, label].
        outputs: [text, word, label], NaN where a word has no answer.
    """
    import numpy as np

    from peft_lab.sources.words import words_of

    out: list[list[Any]] = []
    told = []
    several = len(rows) > 1
    for number, row in enumerate(rows, 1):
        words = words_of(row["text"])
        known = ~np.isnan(outputs[number - 1, : len(words)]).any(-1)
        ranked = iter(answer(outputs[number - 1, : len(words)][known]) if known.any() else ())
        tags = []
        for word, is_known in zip(words, known, strict=True):
            best: Ranked = next(ranked) if is_known else ((NONE, math.nan),)
            tags.append(best[0][0] if is_known else "")
            front = [number] if several else []
            out.append([*front, word, best[0][0], style.score(best[0][1]), _others(best, top)])
        if found := entities(words, tags):
            told.append(f"in text {number}: {found}" if several else found)
    columns = (*(("text",) if several else ()), "word", "answer", "probability", "next")
    note = f"{'; '.join(told)}. " if told else ""
    if any(row[-3] == NONE for row in out):
        note += f"{WHY}. "
    return Table("predictions", columns, out, note=f"{note}{_by(run)}; the numbers are the model's own probabilities.")


def entities(words: Sequence[str], tags: Sequence[str]) -> str:
    """The entities that tags mark, in words: ``Empire State Building (location)``; empty where they mark none."""
    from seqeval.metrics.sequence_labeling import get_entities

    if not all(tag in ("", "O") or tag.startswith(("B-", "I-")) for tag in tags):
        return ""
    spans = get_entities([tag or "O" for tag in tags])
    return ", ".join(f"{' '.join(words[first : last + 1])} ({kind})" for kind, first, last in spans)


def _others(ranked: Ranked, top: int) -> str:
    return ", ".join(f"{label} {style.score(score)}" for label, score in ranked[1:top])


def _by(run: Run) -> str:
    return f"By {run.id} ({run.recipe.method} on {run.recipe.data.source})"
