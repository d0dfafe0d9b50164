"""Masks in numbers that can be pressed: of a whole model, and of the parts of one tensor; of one run, or of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from peft_lab.notebook.panels.grids import Cell, layer_words
from peft_lab.present.mask_words import place_words
from peft_lab.present.masks import Blocks, Mask, Tensor, blocks_of
from peft_lab.present.style import plain, share, three_digits
from peft_lab.texts import panels as texts

MOST_PARTS = 8
"""Parts of a tensor that can be pressed, each way."""


@dataclass(frozen=True)
class Strip:
    """The groups of parameters of a model, the longer side down."""

    rows: list[str]
    columns: list[str]
    cells: list[list[Cell | None]]
    places: list[list[tuple[int, int]]]
    """Layer and kind of each cell."""
    corner: str
    """What rows and columns are."""


def strip_of(masks: Sequence[Mask], overlap: bool) -> Strip:
    """How much trains of each group, in percent; of two masks the difference in points, or the overlap in percent."""
    one = masks[0]
    layers = list(range(len(one.layers)))
    kinds = [int(kind) for kind in np.flatnonzero((one.total > 0).any(axis=0))]
    chosen = [mask.chosen for mask in masks]
    both = masks[0].common(masks[1]) if len(masks) == 2 else np.zeros_like(one.total)
    grid = {
        place: _group(masks, place, [int(of[place]) for of in chosen], int(both[place]))
        for place in ((layer, kind) for layer in layers for kind in kinds)
        if one.total[place]
    }
    numbers = np.array([found[1 if overlap else 0] for found in grid.values()])
    strengths = dict(zip(grid, _strengths(numbers), strict=True))
    cells = {}
    for place, (value, same, said) in grid.items():
        if len(masks) == 1:
            text = three_digits(value)
        elif overlap:
            text = "–" if np.isnan(same) else f"{same:.0f}"
        else:
            text = _signed(value)
        cells[place] = Cell(text, strengths[place], said, live=any(of[place] for of in chosen))
    names = {**{("layer", n): layer_words(one.layers[n]) for n in layers}, **{("kind", n): one.kinds[n] for n in kinds}}
    down, across = ("kind", "layer") if len(kinds) > len(layers) else ("layer", "kind")
    lines, posts = (kinds, layers) if down == "kind" else (layers, kinds)
    words = {"kind": texts.KIND, "layer": texts.LAYER}
    places = [[(post, line) if down == "kind" else (line, post) for post in posts] for line in lines]
    return Strip(
        [plain(names[down, n]) for n in lines],
        [plain(names[across, n]) for n in posts],
        [[cells.get(place) for place in row] for row in places],
        places,
        texts.CORNER.format(down=words[down], across=words[across]),
    )


def _group(masks: Sequence[Mask], place: tuple[int, int], chosen: Sequence[int], both: int) -> tuple[float, float, str]:
    """The main number of a group, the overlap of two masks in it, and what both mean."""
    total = int(masks[0].total[place])
    where = place_words(masks[0], *place)
    if len(masks) == 1:
        part = share(chosen[0] / total)
        said = texts.GROUP.format(where=where, chosen=f"{chosen[0]:,}", total=f"{total:,}", share=part)
        return 100 * chosen[0] / total, np.nan, said
    either = sum(chosen) - both
    same = 100 * both / either if either else np.nan
    said = texts.TWO_GROUPS.format(
        where=where,
        one=share(chosen[0] / total),
        other=share(chosen[1] / total),
        both=f"{both:,}",
        either=f"{either:,}",
    )
    return 100 * (chosen[0] - chosen[1]) / total, same, said


@dataclass(frozen=True)
class Parts:
    """A tensor cut into a few parts, each of whole blocks."""

    rows: list[slice]
    columns: list[slice]
    cells: list[list[Cell | None]]
    densest: list[list[tuple[int, int]]]
    """First row and column of the block in each part that trains most, or differs most."""


def parts_of(tensors: Sequence[Tensor]) -> Parts:
    """Cut a tensor, as one or two masks have it, into at most ``MOST_PARTS`` parts each way."""
    tensor, blocks = tensors[0], [blocks_of(one) for one in tensors]
    down, across = blocks[0].density.shape
    up, left = _cuts(down), _cuts(across)
    rows = _slices(up, down, blocks[0].height, tensor.rows)
    columns = _slices(left, across, blocks[0].width, tensor.columns)
    sizes = np.outer([r.stop - r.start for r in rows], [c.stop - c.start for c in columns])
    counts = [_summed(_counts(one, tensor), up, left) for one in blocks]
    percent = 100 * (counts[0] - counts[1] if len(counts) == 2 else counts[0]) / sizes
    strengths = _strengths(percent.ravel()).reshape(percent.shape)
    telling = np.abs(blocks[0].density - blocks[1].density) if len(blocks) == 2 else blocks[0].density
    cells: list[list[Cell | None]] = []
    densest: list[list[tuple[int, int]]] = []
    for row, r in enumerate(rows):
        cells.append([])
        densest.append([])
        for column, c in enumerate(columns):
            value = float(percent[row, column])
            said = " / ".join(f"{int(count[row, column]):,}" for count in counts)
            title = texts.PART.format(rows=span(r), columns=span(c), chosen=said, size=f"{int(sizes[row, column]):,}")
            text = _signed(value) if len(counts) == 2 else three_digits(value)
            cells[-1].append(Cell(text, float(strengths[row, column]), title))
            inside = telling[_within(up, row, down), _within(left, column, across)]
            at = divmod(int(inside.argmax()), inside.shape[1])
            densest[-1].append(((up[row] + at[0]) * blocks[0].height, (left[column] + at[1]) * blocks[0].width))
    return Parts(rows, columns, cells, densest)


def span(part: slice) -> str:
    """``0 to 63``."""
    return (
        f"{part.start}" if part.stop - part.start == 1 else texts.FROM_TO.format(first=part.start, last=part.stop - 1)
    )


def _cuts(blocks: int) -> list[int]:
    """The first block of each part."""
    each = -(-blocks // MOST_PARTS)
    return list(range(0, blocks, each))


def _within(cuts: list[int], number: int, end: int) -> slice:
    return slice(cuts[number], cuts[number + 1] if number + 1 < len(cuts) else end)


def _slices(cuts: list[int], blocks: int, size: int, end: int) -> list[slice]:
    parts = (_within(cuts, number, blocks) for number in range(len(cuts)))
    return [slice(part.start * size, min(end, part.stop * size)) for part in parts]


def _counts(blocks: Blocks, tensor: Tensor) -> np.ndarray:
    down, across = blocks.density.shape
    rows = np.minimum(blocks.height, tensor.rows - blocks.height * np.arange(down))
    columns = np.minimum(blocks.width, tensor.columns - blocks.width * np.arange(across))
    return np.rint(blocks.density * np.outer(rows, columns)).astype(np.int64)


def _summed(counts: np.ndarray, up: list[int], left: list[int]) -> np.ndarray:
    summed: np.ndarray = np.add.reduceat(np.add.reduceat(counts, up, axis=0), left, axis=1)
    return summed


def _strengths(values: np.ndarray) -> np.ndarray:
    """Tints for numbers: by logarithm where sizes span much, so that what is small is seen as well."""
    sizes = np.abs(np.nan_to_num(values))
    there = sizes[sizes > 0]
    if not there.size:
        return np.zeros(len(values))
    low, high = float(there.min()), float(there.max())
    if high / low > 20:
        scaled = np.log(np.maximum(sizes, low) / low) / np.log(high / low)
        scaled = np.where(sizes > 0, 0.15 + 0.85 * scaled, 0)
    else:
        scaled = sizes / high
    return np.asarray(np.sign(np.nan_to_num(values)) * scaled)


def _signed(value: float) -> str:
    return "0" if value == 0 else ("+" if value > 0 else "−") + three_digits(abs(value))
