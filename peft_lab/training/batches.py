"""Texts to padded batches: tokenised once, grouped by length, so that little is computed on padding."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.errors import DataProblem
from peft_lab.sources.words import one_blank
from peft_lab.training.words import cut_words, first_tokens, labels_by_token
from pluggy_specs.pieces import UNSUPERVISED

if TYPE_CHECKING:
    import torch

# Lengths are blurred by less than a token before sorting: texts of equal length meet others in every epoch, and
# padding stays at its least (blurring by a tenth of the length costs 7 % more tokens on Banking77).
BLUR = 0.5

# Texts tokenised at a time: enough for all cores, few enough to hold what the tokenizer says about each.
TEXTS = 1000

# Texts of more letters than this are shortened before they are tokenised.
LONG = 100_000
AFTER_WORD = re.compile(r"(?<=\S)\s")

# An evaluation batch of n texts has no more than n times this many tokens.
USUAL_LENGTH = 24
# The same where models write: prompts are long, and batches are small from the start.
USUAL_CONVERSATION = 256


class Ragged(Sequence[np.ndarray]):
    """Rows of unequal length in one flat array: four bytes a token, where lists of lists take forty.

    Args:
        flat: the values of all rows, one row after another.
        ends: where each row ends in it.
    """

    def __init__(self, flat: np.ndarray, ends: np.ndarray) -> None:
        self._flat, self._ends = flat, ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[i] for i in range(len(self))[row]]
        row = range(len(self))[row]
        return self._flat[self._ends[row - 1] if row else 0 : self._ends[row]]


@dataclass(frozen=True)
class Encoded:
    """Tokenised rows of one split, not padded."""

    columns: Mapping[str, Sequence[np.ndarray]]
    """``input_ids`` and what else the tokenizer gives; an array of numbers for each row."""
    labels: Sequence[Any]
    lengths: np.ndarray
    cut: int
    """Texts that were longer than the limit."""
    blank: int = 0
    """Texts of which no token is left but those the tokenizer adds to every text."""
    words: Sequence[np.ndarray] | None = None
    """Where words have labels: for each row the place of each word's first token, -1 where it has none."""
    lost: int = 0
    """Words behind the limit."""
    unread: int = 0
    """Words before it of which the tokenizer reads nothing."""
    without: int = 0
    """Texts left out because nothing of them can be taught or scored: none of their words has a token, or no answer."""
    borders: np.ndarray | None = None
    """Where models write: for each row how many tokens stand before the answer."""
    numbers: np.ndarray | None = None
    """The number of each row in its table, where some may be left out: where models write or words have labels."""

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def usual(self) -> int:
        """An evaluation batch of n texts has no more than n times this many tokens."""
        return USUAL_LENGTH if self.borders is None else USUAL_CONVERSATION

    def notes(self, split: str, limit: int) -> list[str]:
        """What a person should know about the tokens of a split."""
        said = []
        if self.cut:
            are, were = ("is", "was") if self.cut == 1 else ("are", "were")
            lost = f", {self.lost:,} {'word' if self.lost == 1 else 'words'} with them" if self.lost else ""
            said.append(
                f"{self.cut} of {len(self)} {split} texts {are} longer than {limit} tokens and {were} cut{lost}"
            )
        if self.blank:
            have = "has" if self.blank == 1 else "have"
            said.append(f"{self.blank} of {len(self)} {split} texts {have} no token that this tokenizer reads")
        if self.unread:
            have = "word" if self.unread == 1 else "words"
            said.append(f"{self.unread:,} {have} of {split} with no token that this tokenizer reads")
        if self.without:
            are = "text is" if self.without == 1 else "texts are"
            said.append(f"{self.without} {split} {are} left out: this tokenizer reads none of their words")
        return said


def encode(rows: Any, labels: Sequence[Any], tokenizer: Any, max_length: int, by_word: bool = False) -> Encoded:
    """Tokenise texts or text pairs, cut to ``max_length`` tokens, a batch of texts at a time.

    Args:
        rows: a ``datasets.Dataset`` with ``text`` and maybe ``text_pair``.
        by_word: each word has a label, and must be found again among the tokens.

    Raises:
        DataProblem: the limit leaves no room for text, or no token is left of any text.
    """
    names = [name for name in ("text", "text_pair") if name in rows.column_names]
    added = tokenizer.num_special_tokens_to_add(pair=len(names) > 1)
    if max_length <= added:
        raise DataProblem(
            f"a limit of {max_length} tokens leaves none for the text: {added} are the tokenizer's own",
            "Allow more, such as --max-length 64",
        )
    flat: dict[str, array[int]] = {}
    lengths = array("i")
    words: list[np.ndarray] = []
    taught: list[Any] = []
    numbers = array("q")
    cut = lost = unread = seen = 0
    for batch in rows.select_columns(names).iter(TEXTS):
        told = [[one_blank(text) for text in batch[name]] if by_word else batch[name] for name in names]
        texts = [[_beginning(text, tokenizer, max_length) for text in column] for column in told]
        if by_word:
            coded = cut_words(texts[0], tokenizer, max_length)
        else:
            coded = tokenizer(
                *texts, truncation=True, max_length=max_length, return_attention_mask=False, verbose=False
            )
        these = [len(ids) for ids in coded["input_ids"]]
        full = [row for row, length in enumerate(these) if length == max_length]
        if full:
            again = [[column[row] for row in full] for column in texts]
            whole = tokenizer(*again, truncation=False, return_attention_mask=False, verbose=False)["input_ids"]
            full = [row for row, ids in zip(full, whole, strict=True) if len(ids) > max_length]
            cut += len(full)
        chosen: Sequence[int] = range(len(these))
        if by_word:
            places = [first_tokens(*one) for one in zip(told[0], coded.pop("offset_mapping"), strict=True)]
            if len(labels):
                chosen = [row for row in chosen if (places[row] >= 0).any()]
                taught += [labels[seen + row] for row in chosen]
            words += [places[row] for row in chosen]
            numbers.extend(seen + row for row in chosen)
            behind = [int(np.argmax(places[row][::-1] >= 0)) for row in full]
            lost += sum(behind)
            unread += sum(int((places[row] < 0).sum()) for row in chosen) - sum(behind)
        seen += len(these)
        lengths.extend(these[row] for row in chosen)
        for name, column in coded.items():
            if name != "attention_mask":
                kept = flat.setdefault(name, array("b" if name == "token_type_ids" else "i"))
                for row in chosen:
                    kept.extend(column[row])
    if by_word and len(labels):
        labels = taught
    sizes = np.frombuffer(lengths, dtype=np.int32).astype(np.int64)
    blank = int((sizes <= added).sum())
    if blank == len(sizes):
        raise DataProblem("no text has a token that this tokenizer reads", "Choose a model for this language")
    if not sizes.all():
        raise DataProblem(f"{(sizes == 0).sum()} texts have no token at all", "Leave out empty texts")
    ends = np.cumsum(sizes)
    types = {"i": np.int32, "b": np.int8}
    columns = {name: Ragged(np.frombuffer(kept, dtype=types[kept.typecode]), ends) for name, kept in flat.items()}
    if not by_word:
        return Encoded(columns, labels, sizes, cut, blank)
    known = np.frombuffer(numbers, dtype=np.int64)
    return Encoded(columns, labels, sizes, cut, blank, words, lost, unread, seen - len(sizes), numbers=known)


def _beginning(text: str, tokenizer: Any, enough: int) -> str:
    """As many whole words of a very long text as have more than ``enough`` tokens.

    The rest would be cut, but only after it was tokenised: ten megabytes take minutes and gigabytes.
    """
    size = LONG // 4
    while len(text) > LONG and (blank := AFTER_WORD.search(text, size)):
        part = text[: blank.start()]
        if len(tokenizer(part, truncation=False, add_special_tokens=False, verbose=False)["input_ids"]) > enough:
            return part
        size *= 8
    return text


class Batcher:
    """Makes padded batches on a device."""

    def __init__(self, tokenizer: Any, device: torch.device, columns: Sequence[str] | None = None) -> None:
        self.pad_id = tokenizer.pad_token_id
        self.left = tokenizer.padding_side == "left"
        self.device = device
        self.columns = columns

    def batch(self, data: Encoded, chosen: np.ndarray) -> dict[str, torch.Tensor]:
        """Pad the chosen rows to the longest of them."""
        import torch

        lengths = data.lengths[chosen]
        width = int(lengths.max())
        mask = np.arange(width)[None, :] < lengths[:, None]
        if self.left:
            mask = mask[:, ::-1]
        out = {"attention_mask": torch.from_numpy(np.ascontiguousarray(mask, dtype=np.int64))}
        for name, rows in data.columns.items():
            filled = np.full(mask.shape, self.pad_id if name == "input_ids" else 0, dtype=np.int64)
            filled[mask] = np.concatenate([rows[i] for i in chosen])
            out[name] = torch.from_numpy(filled)
        if data.borders is not None and data.numbers is not None:
            starts = data.borders[chosen] + (width - lengths if self.left else 0)
            answer = mask & (np.arange(width)[None, :] >= starts[:, None])
            out["labels"] = torch.where(torch.from_numpy(answer), out["input_ids"], UNSUPERVISED)
            out["row"] = torch.from_numpy(data.numbers[chosen])
        elif data.words is not None and len(data.labels):
            out["labels"] = torch.from_numpy(labels_by_token(data, chosen, width, self.left))
        elif len(data.labels):
            out["labels"] = torch.tensor([data.labels[i] for i in chosen])
        if self.device.type == "cuda":
            # From pinned memory a copy runs behind the work given so far, and the host goes on to the next batch.
            return {name: value.pin_memory().to(self.device, non_blocking=True) for name, value in out.items()}
        return {name: value.to(self.device) for name, value in out.items()}

    def epoch(
        self,
        data: Encoded,
        size: int,
        generator: torch.Generator,
        skip: int = 0,
        share: Callable[[np.ndarray], np.ndarray] = lambda chosen: chosen,
    ) -> Iterator[dict[str, torch.Tensor]]:
        """All rows once, in batches of like length, the batches in random order; ``skip`` batches were seen already.

        The order is drawn at once, not with the first batch: what else draws from the generator comes after it. With
        ``share`` only some rows of each batch are made into one, which is empty where there is none.
        """
        order = grouped_by_length(data.lengths, size, generator)[skip:]
        shares = (share(chosen) for chosen in order)
        return (self.batch(data, chosen) if len(chosen) else {} for chosen in shares)

    def in_order(self, data: Encoded, size: int) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
        """All rows once with their row numbers, longest first so that memory shows its peak at once.

        Long texts come in smaller batches: evaluation must not need more memory than training.
        """
        for chosen in in_order_of_length(data, size):
            yield chosen, self.batch(data, chosen)


def in_order_of_length(data: Encoded, size: int) -> Iterator[np.ndarray]:
    """Row numbers of evaluation batches, the longest rows first, fewer rows where they are long."""
    lengths = data.lengths
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, min(size, size * data.usual // int(lengths[order[start]])))
        yield order[start : start + rows]
        start += rows


def grouped_by_length(lengths: np.ndarray, size: int, generator: torch.Generator) -> list[np.ndarray]:
    """Row numbers in random batches of rows of nearly equal length, the batch with the longest row first."""
    import torch

    noise = torch.rand(len(lengths), generator=generator).numpy()
    order = np.argsort(lengths + BLUR * (2 * noise - 1), kind="stable")
    # A random start keeps the short last batch from always holding the longest texts.
    order = np.roll(order, int(torch.randint(len(order), (1,), generator=generator)) % size)
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    mixed = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
    # The longest first: memory shows its peak at once, and later batches fit into what it left.
    longest = max(range(len(mixed)), key=lambda i: lengths[mixed[i]].max())
    mixed[0], mixed[longest] = mixed[longest], mixed[0]
    return mixed
