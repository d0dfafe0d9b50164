"""Tables of conversations, however they are kept, as rows to learn from: one for each answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem, nearest
from peft_lab.sources.columns import Columns
from peft_lab.sources.conversation_layouts import Layout
from peft_lab.sources.conversation_reading import Reader, is_call
from peft_lab.sources.files import BATCH, Found

if TYPE_CHECKING:
    import datasets
    import numpy as np

PIECE = 32 * 1024 * 1024
"""Characters after which a piece of the table is closed: one Arrow array of texts holds two gigabytes at most."""


@dataclass(frozen=True)
class Spoken:
    """What a person should know about conversations, by split."""

    layout: str
    conversations: Mapping[str, int]
    turns: Mapping[str, int]
    """Answers that are learned, or asked for."""
    calls: Mapping[str, int]
    """Answers that are tool calls."""
    tools: tuple[str, ...]
    """Names of the tools that any conversation knows."""

    def described(self) -> dict[str, Any]:
        """The same as JSON data, with the first hundred tools."""
        return {**asdict(self), "tools": list(self.tools[:100]), "tool_count": len(self.tools)}


def unfold(
    raw: Mapping[str, Found], layout: Layout, spec: DataSpec
) -> tuple[dict[str, Found], Columns, tuple[str, ...], list[str]]:
    """Turn splits of conversations into splits of turns; return them, their columns, the tools, and notes.

    Raises:
        DataProblem: a column is missing in a split that was asked for, a row cannot be read, or nothing is to learn.
    """
    readers: dict[str, Reader] = {}
    pieces: dict[str, _Pieces] = {}
    notes = []
    for split, found in raw.items():
        here = found.table.column_names
        lost = next((name for name in layout.columns if name not in here), None)
        if lost is not None and split != "train" and getattr(spec, split) is None:
            notes.append(f"{split} has no column {lost!r} and is left out")
            continue
        if lost is not None and lost not in (layout.tools, layout.system):
            raise DataProblem(f"{split} has no column {lost!r} for the conversations", nearest(lost, here))
        reader = readers[split] = Reader(layout, split)
        pieces[split] = _Pieces()
        columns = [name for name in layout.columns if name in here]
        for batch in found.batches(columns):
            for number, cells in enumerate(zip(*batch, strict=True), reader.row):
                for turn in reader.turns(dict(zip(columns, cells, strict=True))):
                    pieces[split].add(*turn.conversation.columns(), turn.answer, number)
        notes += reader.notes()
        if split == "train" and not len(pieces[split]):
            raise DataProblem("no conversation of train has an answer to learn", "Look at its roles and its columns")
    with_context = any(piece.with_context for piece in pieces.values())
    splits = {split: piece.found(with_context) for split, piece in pieces.items()}
    columns_found = Columns("text", "text_pair" if with_context else None, "label", layout.note)
    tools = dict.fromkeys(name for reader in readers.values() for name in reader.tools)
    return splits, columns_found, tuple(tools), notes


def spoken(
    layout: Layout, tables: Mapping[str, datasets.Dataset], groups: Mapping[str, np.ndarray], tools: tuple[str, ...]
) -> Spoken:
    """Count what is in the splits that a run uses.

    Args:
        groups: the number of the conversation of each row.
    """
    import numpy as np

    calls = {
        split: sum(is_call(answer) for some in table.select_columns(["label"]).iter(BATCH) for answer in some["label"])
        for split, table in tables.items()
    }
    turns = {split: len(table) for split, table in tables.items()}
    return Spoken(layout.name, {split: len(np.unique(groups[split])) for split in tables}, turns, calls, tools)


class _Pieces:
    """Turns of one split, as they come."""

    def __init__(self) -> None:
        self.with_context = False
        self._waiting: dict[str, list[str]] = {"text": [], "text_pair": [], "label": []}
        self._characters = 0
        self._tables: list[Any] = []
        self._groups: list[int] = []

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, text: str, context: str, answer: str, conversation: int) -> None:
        """Take a turn of a conversation."""
        for name, value in zip(self._waiting, (text, context, answer), strict=True):
            self._waiting[name].append(value)
        self._groups.append(conversation)
        self.with_context = self.with_context or bool(context)
        self._characters += len(text) + len(context) + len(answer)
        if self._characters > PIECE:
            self._close()

    def found(self, with_context: bool) -> Found:
        """All of them as a table."""
        import datasets
        import numpy as np
        import pyarrow as pa
        from datasets.fingerprint import generate_random_fingerprint

        self._close()
        whole = pa.concat_tables(self._tables)
        if not with_context:
            whole = whole.drop_columns(["text_pair"])
        table = datasets.Dataset(datasets.table.InMemoryTable(whole), fingerprint=generate_random_fingerprint())
        return Found(table, groups=np.array(self._groups, dtype=np.int64))

    def _close(self) -> None:
        import pyarrow as pa

        try:
            arrays = {name: pa.array(values, pa.string()) for name, values in self._waiting.items()}
        except UnicodeEncodeError as error:
            raise DataProblem(
                "a message holds half a character, a lone surrogate", "Write the file again with errors='replace'"
            ) from error
        self._tables.append(pa.table(arrays))
        self._waiting = {name: [] for name in self._waiting}
        self._characters = 0
