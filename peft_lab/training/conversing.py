"""Conversations to tokens: what stands before an answer, the answer behind it, and the border between the two.

Prompt and answer are tokenised apart, so that the border is at the same place whatever stands on either side of it.
What does not fit is lost at the beginning of the prompt; only of an answer that is too long by itself the end is cut.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from peft_lab.conversation import Conversation
from peft_lab.errors import DataProblem
from peft_lab.training.batches import LONG, TEXTS, Encoded, Ragged, encode
from peft_lab.training.rendering import Template
from pluggy_specs import Task

LETTERS = 64
"""Of a prompt with more letters than so many for each token that fits, the beginning is not even tokenised."""


@dataclass(frozen=True)
class Conversed(Encoded):
    """Tokenised conversations with their answers. ``labels`` are the answers' ids."""

    shortened: int = 0
    """Answers that were cut at their end."""
    told: tuple[str, ...] = ()
    """How the texts were made, where that does not go without saying."""

    def notes(self, split: str, limit: int) -> list[str]:
        """What a person should know about the tokens of a split."""
        said = list(self.told) if split == "train" else []
        count = len(self)
        if self.cut:
            have = "prompt is" if self.cut == 1 else "prompts are"
            said.append(
                f"{self.cut} of {count} {split} {have} too long for {limit} tokens with the answer, and lost the "
                "beginning (a system message, tools or first messages)"
            )
        if self.shortened:
            have = "answer is" if self.shortened == 1 else "answers are"
            said.append(f"{self.shortened} of {count} {split} {have} longer than {limit} tokens and lost the end")
        if self.without:
            have = "row has" if self.without == 1 else "rows have"
            said.append(f"{self.without} {split} {have} no answer and nothing to teach: left out")
        return said


def encode_for(task: Task, rows: Any, labels: Sequence[Any], tokenizer: Any, longest: int) -> Encoded:
    """Tokenise rows as a task needs them: texts with labels, or conversations with answers.

    Args:
        rows: a ``datasets.Dataset`` with ``text``, maybe ``text_pair``, and where models write, maybe ``label``.
        labels: encoded labels; not looked at where models write.

    Raises:
        DataProblem: nothing is left to teach.
    """
    if task.generates:
        return encode_conversations(rows, tokenizer, longest)
    return encode(rows, labels, tokenizer, longest, task.by_word)


def encode_conversations(rows: Any, tokenizer: Any, longest: int) -> Conversed:
    """Tokenise conversations and their answers. Where rows have no ``label``, the prompt itself is what is foreseen.

    Raises:
        DataProblem: a context is damaged, or no row has an answer.
    """
    template = Template(tokenizer)
    answered = "label" in rows.column_names
    gathered = _Gathered()
    cut = shortened = without = 0
    most = max(LONG, LETTERS * longest)
    for start, asked, wanted in _texts(rows, template, answered):
        prompts = _ids(tokenizer, [text[-most:] for text in asked])
        endings = _ids(tokenizer, wanted) if answered else [[] for _ in prompts]
        for place, (prompt, answer, said) in enumerate(zip(prompts, endings, wanted, strict=True)):
            if answered and not (said and answer):
                without += 1
                continue
            kept = answer[: longest - 1]  # the first token of an answer is foreseen from one before it
            shortened += len(kept) < len(answer)
            rest = prompt[max(0, len(prompt) + len(kept) - longest) :]
            cut += len(rest) < len(prompt)
            gathered.add([*rest, *kept], len(rest) if answered else 1, start + place)
    if not len(gathered.lengths):
        raise DataProblem("no row has an answer that could be taught", "Name the column of answers with --label")
    counts = {"cut": cut, "shortened": shortened, "without": without}
    return gathered.encoded(**counts, told=tuple(template.notes))


def encode_text(text: str, tokenizer: Any, longest: int) -> Conversed:
    """A text in pieces of ``longest`` tokens, all of which are to be foreseen but the first of each piece."""
    (ids,) = _ids(tokenizer, [text])
    gathered = _Gathered()
    for number, at in enumerate(range(0, len(ids) - 1, longest)):
        gathered.add(ids[at : at + longest], 1, number)
    return gathered.encoded()


class _Gathered:
    """Rows of tokens, one after another."""

    def __init__(self) -> None:
        self.flat, self.lengths, self.borders, self.numbers = array("i"), array("i"), array("i"), array("q")
        self.answers: list[np.ndarray] = []

    def add(self, ids: list[int], border: int, number: int) -> None:
        """A row: its tokens, how many of them stand before the answer, and its number in the table."""
        self.flat.extend(ids)
        self.lengths.append(len(ids))
        self.borders.append(border)
        self.numbers.append(number)
        self.answers.append(np.array(ids[border:], dtype=np.int32))

    def encoded(self, **more: Any) -> Conversed:
        """All rows; ``more`` says what was lost."""
        sizes = np.frombuffer(self.lengths, dtype=np.int32).astype(np.int64)
        return Conversed(
            columns={"input_ids": Ragged(np.frombuffer(self.flat, dtype=np.int32), np.cumsum(sizes))},
            labels=self.answers,
            lengths=sizes,
            borders=np.frombuffer(self.borders, dtype=np.int32).astype(np.int64),
            numbers=np.frombuffer(self.numbers, dtype=np.int64),
            **{"cut": 0, **more},
        )


def prompt_ids(template: Template, rows: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """The tokens that stand before the answers to some rows."""
    asked = [template.prompt(_conversation(row["text"], row.get("text_pair") or "", i)) for i, row in enumerate(rows)]
    return _ids(template.tokenizer, asked)


def _texts(rows: Any, template: Template, answered: bool) -> Iterator[tuple[int, list[str], list[str]]]:
    """Prompts and answers as text, some rows at a time, with the number of the first of them."""
    names = [name for name in ("text", "text_pair", "label") if name in rows.column_names]
    start = 0
    for batch in rows.select_columns(names).iter(TEXTS):
        contexts = batch.get("text_pair") or [""] * len(batch["text"])
        asked = [
            _conversation(text, context or "", start + i)
            for i, (text, context) in enumerate(zip(batch["text"], contexts, strict=True))
        ]
        given = [str(label or "") for label in batch["label"]] if answered else [""] * len(asked)
        answers = [template.answer(c, said) if said.strip() else "" for c, said in zip(asked, given, strict=True)]
        yield start, [template.prompt(one) for one in asked], answers
        start += len(asked)


def _conversation(text: str, context: str, row: int) -> Conversation:
    try:
        return Conversation.of(text, context)
    except ValueError as error:
        raise DataProblem(
            f"row {row + 1} has no context that can be read: {error}", "text_pair holds earlier messages as JSON"
        ) from error


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    coded: list[list[int]] = tokenizer(
        list(texts), add_special_tokens=False, truncation=False, return_attention_mask=False, verbose=False
    )["input_ids"]
    return coded
