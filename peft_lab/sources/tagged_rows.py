"""Make rows fit to teach in which every word has a label: words joined to a text, tags written as IOB2."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peft_lab.errors import DataProblem
from peft_lab.sources.assembling import PIECE, with_columns
from peft_lab.sources.labels import count_labels, shown
from peft_lab.sources.rows import Cleaning, Rows
from peft_lab.sources.schemes import OUTSIDE, Converted, to_iob2
from peft_lab.sources.words import BLANKS, as_words, joined

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Tags:
    """The tags of the words of some rows, four bytes each."""

    found: Converted
    ends: np.ndarray
    """Where the words of each row end."""

    def count(self, rows: np.ndarray | None = None) -> Counter[str]:
        """Return how many entities there are of each kind, or words of each tag; in all rows or in some."""
        import numpy as np

        codes, names = self.found.codes, self.found.names
        if rows is not None:
            chosen = np.zeros(len(self.ends), dtype=bool)
            chosen[rows] = True
            codes = codes[np.repeat(chosen, np.diff(self.ends, prepend=0))]
        counts = count_labels(names, np.bincount(codes, minlength=len(names)))
        if not self.found.scheme:
            return counts
        return Counter({tag[2:]: number for tag, number in counts.items() if tag.startswith("B-")})

    def all_first(self, order: np.ndarray) -> np.ndarray:
        """Return rows in the same order, but those first that every kind of entity, or every tag, stands in first."""
        import numpy as np

        place = np.full(len(self.ends), len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        words = np.repeat(place, np.diff(self.ends, prepend=0))
        wanted = [n for n, tag in enumerate(self.found.names) if tag.startswith("B-") or not self.found.scheme]
        firsts = {int(words[self.found.codes == code].min(initial=len(order))) for code in wanted} - {len(order)}
        early = np.zeros(len(order), dtype=bool)
        early[sorted(firsts)] = True
        return np.concatenate([order[early], order[~early]])


class TagCleaning(Cleaning):
    """What is gathered over the batches of a table with a tag for every word."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        if "text_pair" in self.names:
            raise DataProblem("tagging is of single texts, and a second one is named", "Leave out --text-pair")
        self.remade = {"text": []}
        self.flat, self.ends = array("i"), array("q")
        self.firm = self.empty = 0
        self.seen = 0
        self.waiting: list[list[Any] | None] = []

    def texts(self, columns: list[list[Any]], labels: list[Any]) -> list[list[str]]:
        """Words joined to texts; words without a letter are taken out, and their tags with them."""
        texts: list[str] = []
        self.waiting = []
        for cell, tags in zip(columns[0], labels, strict=True):
            self.seen += 1
            words = as_words(cell, self.names["text"])
            told = self._tags(tags)
            if told is not None and words and len(words) != len(told):
                raise DataProblem(
                    f"row {self.seen} has {len(words)} {'word' if len(words) == 1 else 'words'} and {len(told)} "
                    f"{'tag' if len(told) == 1 else 'tags'} in column {self.names['label']!r}",
                    "Each word needs one tag; or say another --task",
                )
            there = [bool(word.strip(" \t\r\n\f\v")) for word in words]
            self.empty += len(there) - sum(there)
            words = [word for word, here in zip(words, there, strict=True) if here]
            told = told and [tag for tag, here in zip(told, there, strict=False) if here]
            self.firm += sum(bool(BLANKS.search(word.strip(" \t\r\n\f\v"))) for word in words)
            texts.append(joined(words))
            self.waiting.append(told)
        self.waiting.reverse()
        return [texts]

    def _tags(self, raw: Any) -> list[Any] | None:
        """The tags of a row as they were found, or None where there are none."""
        if raw is None or raw != raw:
            return None
        if isinstance(raw, str):
            return raw.split() or None
        if isinstance(raw, list | tuple):
            return list(raw) or None
        raise DataProblem(
            f"column {self.names['label']!r} holds {shown(str(raw))}, one value for a whole text",
            "Tagging needs a tag for each word; or say another --task",
        )

    def label(self, raw: Any, *, fit: bool) -> Any:
        """The tags of a row by name, or None where one is missing; noted down where the row is fit to teach."""
        told = self.waiting.pop()
        if told is None:
            return None
        read = [self.label_names.read(tag) for tag in told]
        if any(code < 0 for code, _ in read):
            return None
        if fit:
            self.flat.extend(code for code, _ in read)
            self.ends.append(len(self.flat))
            self.changed.update(change for _, change in read)
        return [self.label_names.names[code] for code, _ in read]

    def rows(self, split: str) -> Rows:
        """Return all of it, with the tags as IOB2."""
        import numpy as np

        kept = None if all(self.kept) else np.flatnonzero(np.frombuffer(self.kept, dtype=np.uint8))
        codes, ends = np.frombuffer(self.flat, dtype=np.int32), np.frombuffer(self.ends, dtype=np.int64)
        found = to_iob2(codes, ends, self.label_names.names) if len(codes) else Converted(codes, [], "")
        tags = Tags(found, ends)
        new = {**self.remade, "label": self._column(tags)}
        keys = np.frombuffer(self.keys, dtype=np.int64)
        notes = [*self.notes(split), *self._about(found, split)]
        table = with_columns(self.table, self.names, new)
        return Rows(table, kept, keys, None, found.names, self.digest.hexdigest(), notes, tags)

    def _column(self, tags: Tags) -> list[Any]:
        """The tags of each row as an Arrow column in pieces, nothing in rows that are left out."""
        import pyarrow as pa

        names, flat, ends = tags.found.names, tags.found.codes, tags.ends
        kept = iter(range(len(ends)))
        pieces = []
        for start in range(0, len(self.kept), PIECE):
            rows: list[list[str] | None] = []
            for here in self.kept[start : start + PIECE]:
                if not here:
                    rows.append(None)
                    continue
                row = next(kept)
                rows.append([names[code] for code in flat[ends[row - 1] if row else 0 : ends[row]]])
            pieces.append(pa.array(rows, pa.list_(pa.string())))
        return pieces

    def _about(self, found: Converted, split: str) -> list[str]:
        notes = []
        if found.scheme not in ("", "IOB2"):
            notes.append(f"tags of {split} are {found.scheme} and were taken over as IOB2")
        if found.mended:
            what = "stands in an entity" if found.mended == 1 else "stand in entities"
            count = f"{found.mended} {'word' if found.mended == 1 else 'words'}"
            notes.append(
                f"{count} of {split} {what} that nothing begins, such as {shown(found.example)}: taken as the beginning"
            )
        if not found.scheme and found.names:
            notes.append(f"tags of {split} name no entities (B-, I- and {OUTSIDE}): scored word by word")
        if self.empty:
            notes.append(f"{self.empty} empty {'word' if self.empty == 1 else 'words'} of {split} taken out")
        if self.firm:
            are = "word of {} holds blanks, which were" if self.firm == 1 else "words of {} hold blanks, which were"
            notes.append(f"{self.firm} {are.format(split)} made firm")
        return notes
