"""What goes wrong: how often each label is found and is right, what is taken for what, and the surest mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from peft_lab.judging.answers import Answers
from peft_lab.sources.words import words_of

MOST_CONFUSIONS, MOST_MISTAKES = 10, 10
LONGEST = 300
"""Letters of a text that are kept."""
AROUND = 6
"""Words on either side of a word."""


def by_class(answers: Answers) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each label that occurs or was answered, with how often; worst F1 first.

    A label that was never answered has no precision, one that never occurs no recall: None.
    """
    size = answers.outputs.shape[1]
    matrix = confusion(answers)
    rows = []
    for at in range(size):
        right, there, said = int(matrix[at, at]), int(matrix[at].sum()), int(matrix[:, at].sum())
        if there or said:
            both = there + said
            rows.append(
                {
                    "label": name_of(answers, at),
                    "there": there,
                    "answered": said,
                    "right": right,
                    "precision": right / said if said else None,
                    "recall": right / there if there else None,
                    "f1": 2 * right / both,
                }
            )
    return sorted(rows, key=lambda row: (row["f1"], -row["there"], row["label"]))


def confusion(answers: Answers) -> np.ndarray:
    """How often each label got each answer, [truth, answer]."""
    size = answers.outputs.shape[1]
    flat = np.bincount(answers.label * size + answers.answer, minlength=size * size)
    return flat.reshape(size, size)


def confusions(answers: Answers, most: int = MOST_CONFUSIONS) -> list[dict[str, Any]]:
    """What is taken for what most often, with the share of the texts of that label."""
    matrix = confusion(answers)
    there = matrix.sum(1)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:most]
    places = [divmod(int(at), matrix.shape[1]) for at in order]
    return [
        {
            "truth": name_of(answers, truth),
            "answer": name_of(answers, answer),
            "count": int(matrix[truth, answer]),
            "share": float(matrix[truth, answer] / there[truth]),
        }
        for truth, answer in places
        if matrix[truth, answer]
    ]


def surest(
    answers: Answers, rows: Sequence[Mapping[str, Any]] | None, most: int = MOST_MISTAKES
) -> list[dict[str, Any]]:
    """The wrong answers that the model was surest of, with their texts.

    Args:
        rows: the texts of the split; None where they are not here: then each mistake has its row number only.
    """
    wrong = np.flatnonzero(~answers.correct)
    order = wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:most]
    return [
        {
            **told(answers, rows, int(at)),
            "truth": name_of(answers, int(answers.label[at])),
            "answer": name_of(answers, int(answers.answer[at])),
            "confidence": float(answers.confidence[at]),
        }
        for at in order
    ]


def farthest(
    answers: Answers, rows: Sequence[Mapping[str, Any]] | None, truth: np.ndarray, said: np.ndarray
) -> list[dict[str, Any]]:
    """Of answers that are numbers those farthest from the truth, in the units of the data."""
    order = np.argsort(-np.abs(said - truth), kind="stable")[:MOST_MISTAKES]
    return [
        {**told(answers, rows, int(at)), "truth": float(truth[at]), "answer": float(said[at])}
        for at in order
        if said[at] != truth[at]
    ]


def by_entity(answers: Answers) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each kind of entity, found where kind, first and last word are right; worst first.

    A word without an answer counts as outside of any entity, as in the scores.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    there, said = (_entities(answers, tags, get_entities) for tags in (answers.label, answers.answer))
    rows = []
    for kind in sorted({entity[1] for entity in there | said}):
        wanted, found = ({entity for entity in group if entity[1] == kind} for group in (there, said))
        right = len(wanted & found)
        rows.append(
            {
                "label": kind,
                "there": len(wanted),
                "answered": len(found),
                "right": right,
                "precision": right / len(found) if found else None,
                "recall": right / len(wanted) if wanted else None,
                "f1": 2 * right / (len(wanted) + len(found)),
            }
        )
    return sorted(rows, key=lambda row: (row["f1"], -row["there"], row["label"]))


def _entities(answers: Answers, tags: np.ndarray, find: Any) -> set[tuple[int, str, int, int]]:
    known = np.isfinite(answers.outputs).all(-1) | (tags is answers.label)
    names = [name_of(answers, int(tag)) if sure else "O" for tag, sure in zip(tags, known, strict=True)]
    found = set()
    for row in np.unique(answers.row):
        at = np.flatnonzero(answers.row == row)
        found |= {(int(row), kind, int(a), int(b)) for kind, a, b in find([names[i] for i in at])}
    return found


def told(answers: Answers, rows: Sequence[Mapping[str, Any]] | None, at: int) -> dict[str, Any]:
    """Which text an item is, or is in; a word between those beside it."""
    number = int(answers.row[at])
    if rows is None:
        return {"row": number}
    row = rows[number]
    found: dict[str, Any] = {"row": number, "text": cut(row["text"])}
    if answers.place is not None:
        words, place = words_of(row["text"]), int(answers.place[at])
        found |= {"word": cut(words[place]), "text": cut(_around(words, place))}
    if row.get("text_pair"):
        found["text_pair"] = cut(row["text_pair"])
    return found


def _around(words: Sequence[str], place: int) -> str:
    start, stop = max(0, place - AROUND), place + AROUND + 1
    front, back = "… " if start else "", " …" if stop < len(words) else ""
    return f"{front}{' '.join(words[start:stop])}{back}"


def name_of(answers: Answers, at: int) -> str:
    """The name of a label, or its number where it has none."""
    return answers.names[at] if at < len(answers.names) else str(at)


def cut(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
