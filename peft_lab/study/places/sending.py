"""Work for another process: packed here, unpacked and done there, with the same words for what goes wrong."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from peft_lab.errors import BadOption
from peft_lab.study.places import texts
from pluggy_specs import Executor, failed_cell

Cell = Mapping[str, Any]
Work = Callable[[Cell], Cell]
RETRIES = 2
"""How often a cell is begun again whose process was lost."""


class Elsewhere(Executor):
    """An executor that sends cells to other processes."""

    def train_each(self, train: Callable[[Cell], str], recipes: Iterable[Cell]) -> Iterator[str]:
        """Refuse: what trains recipes of this process cannot be sent.

        Raises:
            BadOption: always.
        """
        name = self.name
        raise BadOption(texts.ONE_BY_ONE.format(name=name), texts.ONE_BY_ONE_HINT.format(name=name))


def packed(work: Work) -> bytes:
    """A function of a module, or a partial of one, as bytes; they go through a pipe or a cluster, never to disk.

    Raises:
        BadOption: it is written where another process cannot find it.
    """
    try:
        return pickle.dumps(work)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        what = getattr(work, "__qualname__", type(work).__name__)
        why = " ".join(str(error).split())
        raise BadOption(texts.NOT_SENT.format(what=what, why=why), texts.NOT_SENT_HINT) from error


def unpacked(sent: bytes) -> Work:
    """The function again, imported by its name."""
    work: Work = pickle.loads(sent)  # noqa: S301 (from the process that asked for the work)
    return work


def outcome(work: Work, cell: Cell) -> dict[str, Any]:
    """What the work gives for a cell, as plain data; what it raises is told in one line."""
    try:
        result = dict(work(cell))
    except (Exception, SystemExit) as error:
        return failed_cell(cell, error)
    try:
        plain: dict[str, Any] = json.loads(json.dumps(result))
    except (TypeError, ValueError) as error:
        return failed_cell(cell, texts.NOT_PLAIN.format(why=error))
    return plain
