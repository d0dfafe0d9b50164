"""Light augmentation: copies of the training texts with words swapped, left out or replaced (EDA, arXiv:1901.11196).

Helps, if at all, with a few hundred texts. Words are what blanks separate. Nothing is asked of a network: synonyms come
from a table of the person's own, or there are none. The label of a copy is that of its text, so that data in which
word order or a single word is the point (pairs, tags, acceptability) are refused.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from peft_lab.errors import BadOption, DataProblem
from peft_lab.recipe import Training
from peft_lab.sources.quiet import quiet_datasets

Table = Mapping[str, Sequence[str]]


def augmented(rows: Any, settings: Training, seed: int, task: str, source: str) -> tuple[Any, str]:
    """Training rows with copies behind them, and a sentence about them.

    Args:
        rows: a ``datasets.Dataset`` with ``text`` and ``label``.

    Raises:
        BadOption: on such data a copy would not keep its label.
        DataProblem: the table of synonyms cannot be used.
    """
    import datasets

    if "text_pair" in rows.column_names or task == "tagging" or source.rpartition("/")[2].startswith("cola"):
        what = "text pairs" if "text_pair" in rows.column_names else "tags" if task == "tagging" else "acceptability"
        raise BadOption(f"copies with changed words would not keep their labels: {what}", "Leave out --augment")
    table = read_synonyms(Path(settings.synonyms).expanduser()) if settings.synonyms else {}
    draw = random.Random(f"augment {seed}")
    texts = rows["text"]
    numbers, changed = [], []
    for _ in range(settings.augment_copies):
        for number, text in enumerate(texts):
            if (new := changed_text(text, settings.augment, draw, table)) != text:
                numbers.append(number)
                changed.append(new)
    with quiet_datasets():
        copies = rows.select(numbers).remove_columns("text").add_column("text", changed) if numbers else rows.select([])
        whole = datasets.concatenate_datasets([rows, copies.select_columns(rows.column_names).cast(rows.features)])
    missed = len(texts) * settings.augment_copies - len(changed)
    said = f"{len(changed)} copies of training texts with changed words were added"
    return whole, said + (f"; {missed} came out unchanged and were left out" if missed else "")


def changed_text(text: str, share: float, draw: random.Random, table: Table) -> str:
    """A copy of a text, changed in one way drawn by chance, in a share of its words but at least in one place."""
    words = text.split()
    if len(words) < 2:
        return text
    ways: list[Callable[[list[str], int, random.Random], list[str]]] = [swapped, left_out]
    if any(word.lower() in table for word in words):
        ways.append(lambda words, times, draw: replaced(words, times, draw, table))
    return " ".join(draw.choice(ways)(words, max(1, int(share * len(words))), draw))


def swapped(words: list[str], times: int, draw: random.Random) -> list[str]:
    """Two words change places, so many times."""
    words = list(words)
    for _ in range(times):
        one, other = draw.sample(range(len(words)), 2)
        words[one], words[other] = words[other], words[one]
    return words


def left_out(words: list[str], times: int, draw: random.Random) -> list[str]:
    """Each word is left out with the chance that makes it so many on average; one at least stays."""
    chance = times / len(words)
    return [word for word in words if draw.random() >= chance] or [draw.choice(words)]


def replaced(words: list[str], times: int, draw: random.Random, table: Table) -> list[str]:
    """So many words that the table knows give way to one of their synonyms."""
    words = list(words)
    known = [at for at, word in enumerate(words) if word.lower() in table]
    for at in draw.sample(known, min(times, len(known))):
        words[at] = draw.choice(list(table[words[at].lower()]))
    return words


def read_synonyms(file: Path) -> dict[str, list[str]]:
    """A JSON file ``{"word": ["synonym", ...]}``.

    Raises:
        DataProblem: it is missing or holds something else.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise DataProblem(
            f"the synonyms in {file.name} cannot be read: {said}", 'Write {"word": ["synonym"]}'
        ) from None
    right = isinstance(data, dict) and all(
        isinstance(others, list) and others and all(isinstance(o, str) for o in others) for others in data.values()
    )
    if not right:
        raise DataProblem(f"{file.name} is no table of synonyms", 'Write {"word": ["synonym", "another"]}')
    return {word.lower(): others for word, others in data.items()}
