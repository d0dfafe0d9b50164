"""Masks as views and explorers read them: from flat indices, never densified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from peft_lab.errors import BadOption, nearest
from peft_lab.texts import masks as texts
from pluggy_specs import RunView

MOST_BLOCKS = 128


@dataclass(frozen=True)
class Tensor:
    """The chosen entries of one tensor. A vector has a single row."""

    name: str
    rows: int
    columns: int
    indices: np.ndarray | None
    """Flat and in order; None where all train."""

    @property
    def size(self) -> int:
        """Entries that there are."""
        return self.rows * self.columns

    @property
    def chosen(self) -> int:
        """Entries that train."""
        return self.size if self.indices is None else len(self.indices)

    def common(self, other: Tensor) -> int:
        """Entries that train in both."""
        if self.indices is None or other.indices is None:
            return min(self.chosen, other.chosen)
        return len(np.intersect1d(self.indices, other.indices, assume_unique=True))


@dataclass(frozen=True)
class Mask:
    """What trains in a run outside the head."""

    title: str
    tensors: Mapping[str, Tensor]
    """Those with an entry that trains, by name."""
    cells: Mapping[str, tuple[int, int]]
    """Layer and kind of each."""
    total: np.ndarray
    """Entries that there are, [layer, kind]."""
    layers: list[str]
    kinds: list[str]

    @property
    def chosen(self) -> np.ndarray:
        """Entries that train, [layer, kind]."""
        return self._by_cell({name: tensor.chosen for name, tensor in self.tensors.items()})

    def common(self, other: Mask) -> np.ndarray:
        """Entries that train in both, [layer, kind]."""
        both = self.tensors.keys() & other.tensors.keys()
        return self._by_cell({name: self.tensors[name].common(other.tensors[name]) for name in both})

    def find(self, name: str) -> Tensor:
        """The tensor of that name, or the only one whose name ends so.

        Raises:
            BadOption: there is none, or there are several.
        """
        ends = [known for known in self.tensors if known == name or known.endswith(f".{name}")]
        if name in self.tensors:
            return self.tensors[name]
        if len(ends) == 1:
            return self.tensors[ends[0]]
        if ends:
            raise BadOption(f"{len(ends)} tensors end in {name!r}", f"Say which: {', '.join(ends[:3])}, ...", "tensor")
        raise BadOption(f"no entry trains of a tensor named {name!r}", nearest(name, self.tensors, most=6), "tensor")

    def _by_cell(self, numbers: Mapping[str, int]) -> np.ndarray:
        grid = np.zeros(self.total.shape, dtype=np.int64)
        for name, number in numbers.items():
            grid[self.cells[name]] += number
        return grid


def read_mask(run: RunView) -> Mask:
    """The mask of a run, from its artifact ``sparse-mask``."""
    arrays = run.artifact("sparse-mask").arrays
    columns = {name: np.asarray(arrays[name].values) for name in ("chosen", "whole", "layer", "kind", "shape")}
    names = list(arrays["chosen"].labels["tensor"])
    indices, at = np.asarray(arrays["indices"].values), 0
    tensors, cells = {}, {}
    for number, name in enumerate(names):
        rows, width = (int(side) for side in columns["shape"][number])
        own = None
        if not columns["whole"][number]:
            own, at = indices[at : at + int(columns["chosen"][number])], at + int(columns["chosen"][number])
        tensors[name] = Tensor(name, rows, width, own)
        cells[name] = int(columns["layer"][number]), int(columns["kind"][number])
    total = arrays["total"]
    layers, kinds = list(total.labels["layer"]), list(total.labels["kind"])
    title = texts.TITLE.format(run=run.id, method=run.recipe.method)
    return Mask(title, tensors, cells, np.asarray(total.values), layers, kinds)


def must_be_alike(one: Mask, other: Mask) -> None:
    """Two masks can be compared.

    Raises:
        BadOption: they are on models of other shapes.
    """
    if (one.layers, one.kinds) != (other.layers, other.kinds) or (one.total != other.total).any():
        raise BadOption(f"{one.title} and {other.title} are on models of other shapes", "Compare runs on one model")


def in_both(one: Mask, other: Mask, name: str) -> tuple[Tensor, Tensor]:
    """A tensor as two masks on one model have it; where only one trains it, the other has no entries of it.

    Raises:
        BadOption: neither trains such a tensor, or several names end so.
    """
    known = replace(one, tensors={**other.tensors, **one.tensors}).find(name)
    nothing = replace(known, indices=np.zeros(0, dtype=np.int32))
    return one.tensors.get(known.name, nothing), other.tensors.get(known.name, nothing)


@dataclass(frozen=True)
class Blocks:
    """How densely a tensor's entries train, block by block."""

    density: np.ndarray
    """[row of blocks, column of blocks]"""
    by_row: np.ndarray
    by_column: np.ndarray
    height: int
    """Rows of a block; the last may have fewer."""
    width: int


def block_size(tensor: Tensor) -> tuple[int, int]:
    """Rows and columns of a block, so that there are at most :data:`MOST_BLOCKS` of them each way."""
    return -(-tensor.rows // MOST_BLOCKS), -(-tensor.columns // MOST_BLOCKS)


def blocks_of(tensor: Tensor) -> Blocks:
    """Count exactly."""
    height, width = block_size(tensor)
    down, across = -(-tensor.rows // height), -(-tensor.columns // width)
    rows = np.minimum(height, tensor.rows - height * np.arange(down))
    columns = np.minimum(width, tensor.columns - width * np.arange(across))
    if tensor.indices is None:
        counts = rows[:, None] * columns[None, :]
    else:
        # Indices are in order, so a row of blocks is a run of them; piece by piece they stay in the cache.
        edges = (height * tensor.columns * np.arange(1, down)).astype(tensor.indices.dtype)
        pieces = np.split(tensor.indices, np.searchsorted(tensor.indices, edges))
        counts = np.stack([np.bincount(piece % tensor.columns // width, minlength=across) for piece in pieces])
    return Blocks(
        counts / (rows[:, None] * columns[None, :]),
        counts.sum(1) / (rows * tensor.columns),
        counts.sum(0) / (columns * tensor.rows),
        height,
        width,
    )


def cells_of(tensor: Tensor, rows: slice, columns: slice) -> np.ndarray:
    """Which entries of a part train, [row, column]."""
    shape = rows.stop - rows.start, columns.stop - columns.start
    if tensor.indices is None:
        return np.ones(shape, dtype=bool)
    first, last = np.searchsorted(tensor.indices, [rows.start * tensor.columns, rows.stop * tensor.columns])
    row, column = np.divmod(tensor.indices[first:last], tensor.columns)
    inside = (column >= columns.start) & (column < columns.stop)
    cells = np.zeros(shape, dtype=bool)
    cells[row[inside] - rows.start, column[inside] - columns.start] = True
    return cells


def by_chance(one: float, other: float) -> float:
    """Expected overlap (Jaccard) of two random masks of these densities."""
    both = one * other
    return both / (one + other - both) if one + other else 0.0
