"""What a trained model answers, as tables: for each text, or for each word of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.present import style
from peft_lab.present.table import Table
from peft_lab.run import Run
from peft_lab.texts import tables as texts

if TYPE_CHECKING:
    import numpy as np

Ranked = Sequence[tuple[str, float]]


def predictions(run: Run, rows: Sequence[Mapping[str, str]], answers: Sequence[Ranked], top: int) -> Table:
    """The likeliest answers for each text."""
    out: list[list[Any]] = []
    sure = any(not math.isnan(score) for ranked in answers for _, score in ranked)
    for row, ranked in zip(rows, answers, strict=True):
        text = row["text"]
        if "text_pair" in row:
            text = texts.TEXT_PAIR.format(text=text, pair=row["text_pair"])
        out.append([text, ranked[0][0], *([style.score(ranked[0][1]), _others(ranked, top)] if sure else [])])
    columns = texts.ANSWERS_COLUMNS if sure else texts.VALUES_COLUMNS
    note = _by(run, texts.BY_PROBABILITY if sure else texts.BY_UNITS)
    return Table(texts.PREDICTIONS, columns, out, note=note, align="" if sure else "<>")


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
            best: Ranked = next(ranked) if is_known else ((texts.NO_ANSWER, math.nan),)
            tags.append(best[0][0] if is_known else "")
            front = [number] if several else []
            out.append([*front, word, best[0][0], style.score(best[0][1]), _others(best, top)])
        if found := entities(words, tags):
            told.append(texts.IN_TEXT.format(number=number, entities=found) if several else found)
    columns = (*((texts.TEXT_COLUMN,) if several else ()), *texts.WORDS_COLUMNS)
    notes = [texts.ENTITIES.format(entities="; ".join(told))] if told else []
    if any(row[-3] == texts.NO_ANSWER for row in out):
        notes.append(texts.NO_ANSWER_WHY)
    return Table(texts.PREDICTIONS, columns, out, note=" ".join([*notes, _by(run, texts.BY_PROBABILITY)]))


def entities(words: Sequence[str], tags: Sequence[str]) -> str:
    """The entities that tags mark, in words: ``Empire State Building (location)``; empty where they mark none."""
    from seqeval.metrics.sequence_labeling import get_entities

    if not all(tag in ("", "O") or tag.startswith(("B-", "I-")) for tag in tags):
        return ""
    spans = get_entities([tag or "O" for tag in tags])
    return ", ".join(
        texts.ENTITY.format(words=" ".join(words[first : last + 1]), kind=kind) for kind, first, last in spans
    )


def _others(ranked: Ranked, top: int) -> str:
    return ", ".join(
        texts.ALSO_LIKELY.format(label=label, probability=style.score(score)) for label, score in ranked[1:top]
    )


def _by(run: Run, said: str) -> str:
    return said.format(run=run.id, method=run.recipe.method, data=run.recipe.data.source)
