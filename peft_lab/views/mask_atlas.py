"""Which single weights train: the whole model, one tensor, exact cells; one run, or two compared."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.errors import BadOption
from peft_lab.present.mask_words import overlap_words, pair_words, whole_words
from peft_lab.present.masks import Mask, Tensor, block_size, blocks_of, cells_of, in_both, must_be_alike, read_mask
from peft_lab.present.style import share, three_digits
from peft_lab.present.table import Table
from peft_lab.views.heatmap import heatmap
from peft_lab.views.mask_pictures import (
    blocks_difference_picture,
    blocks_picture,
    cells_picture,
    strip_difference_picture,
    two_cells_picture,
)
from pluggy_specs import Drawing, RunView, View

MOST_CELLS = 128
LISTED = 8


class MaskAtlas(View):
    """Shares of layers and module kinds; with ``--tensor`` blocks of one; with ``--rows`` and ``--columns`` cells."""

    name = "mask-atlas"
    summary = "which single weights train: by layer, within a tensor, cell by cell; two runs compared"
    needs = ("sparse-mask",)
    many = True

    class Options(pluggy_specs.Options):
        """How near to look."""

        tensor: str = Field("", description="a tensor to look into, or the end of its name")
        rows: str = Field("", description="rows to show cell by cell, such as 0:64")
        columns: str = Field("", description="columns to show cell by cell, such as 0:64")

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw one run, or compare two."""
        if len(runs) > 2:
            raise BadOption(f"mask-atlas compares two runs, not {len(runs)}", "Name one or two of them")
        masks = [read_mask(run) for run in runs]
        near = bool(self.options.rows or self.options.columns)
        if near and not self.options.tensor:
            raise BadOption("single cells are those of one tensor", "Say --tensor NAME")
        if len(masks) == 2:
            must_be_alike(masks[0], masks[1])
            if near:
                return self._two_cells(masks, [run.id for run in runs])
            names = [f"{run.id} ({run.recipe.method})" for run in runs]
            return self._compared(masks[0], masks[1], " less ".join(names))
        (mask,) = masks
        if not self.options.tensor:
            return _strip(mask, runs[0].id)
        tensor = mask.find(self.options.tensor)
        return self._cells(mask, tensor) if near else _blocks(mask, tensor)

    def _cells(self, mask: Mask, tensor: Tensor) -> Drawing:
        rows = _part(self.options.rows, tensor.rows, "rows")
        columns = _part(self.options.columns, tensor.columns, "columns")
        cells = cells_of(tensor, rows, columns)
        trains = int(cells.sum())
        where = f"rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1}"
        alt = (
            f"{mask.title}, {tensor.name}, {where}: {trains:,} of {cells.size:,} entries train "
            f"({share(trains / cells.size)}; in the whole tensor {share(tensor.chosen / tensor.size)})."
        )
        return Drawing(alt, cells_picture(cells, rows, columns, f"{tensor.name} of {mask.title}"))

    def _two_cells(self, masks: Sequence[Mask], names: Sequence[str]) -> Drawing:
        first, second = in_both(masks[0], masks[1], self.options.tensor)
        rows = _part(self.options.rows, first.rows, "rows")
        columns = _part(self.options.columns, first.columns, "columns")
        one, other = cells_of(first, rows, columns), cells_of(second, rows, columns)
        where = f"rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1}"
        alt = (
            f"{names[0]} and {names[1]}, {first.name}, {where}: of {one.size:,} entries {int(one.sum()):,} train in "
            f"{names[0]}, {int(other.sum()):,} in {names[1]}, {int((one & other).sum()):,} in both."
        )
        title = f"{first.name}: {names[0]} and {names[1]}"
        return Drawing(alt, two_cells_picture(one, other, rows, columns, title, (names[0], names[1])))

    def _compared(self, one: Mask, other: Mask, title: str) -> Drawing:
        scale = "percentage points more that train in the first"
        if self.options.tensor:
            first, second = in_both(one, other, self.options.tensor)
            said = overlap_words(first.common(second), first.chosen, second.chosen, first.size)
            blocks = blocks_of(first), blocks_of(second)
            picture = blocks_difference_picture(*blocks, first, f"{first.name}: {title}", scale)
            return Drawing(f"{title}, {first.name}: {said}. {_block_size(first)}", picture)
        common, mine, theirs = one.common(other), one.chosen, other.chosen
        there = np.asarray(one.total > 0)
        with np.errstate(invalid="ignore"):
            difference = np.where(there, 100 * (mine - theirs) / one.total, np.nan)
            overlap = common / (mine + theirs - common)
        columns = np.flatnonzero(there.any(axis=0))
        kinds = [one.kinds[column] for column in columns]
        picture = strip_difference_picture(
            difference[:, columns], overlap[:, columns], one.layers, kinds, f"{title}: which weights train", scale
        )
        return Drawing(f"{title}: {pair_words(one, other)}", picture)


def _strip(mask: Mask, run: str) -> Drawing:
    chosen, total = mask.chosen, mask.total
    part = np.divide(chosen, total, out=np.full(total.shape, np.nan), where=total > 0)
    columns = np.flatnonzero((total > 0).any(axis=0))
    kinds = [mask.kinds[column] for column in columns]
    figure = heatmap(
        100 * part[:, columns],
        mask.layers,
        kinds,
        title=f"{mask.title}: which weights train (% of each group)",
        scale="trainable, % of the group",
        number=three_digits,
        blank="no such parameter",
    )
    return Drawing(whole_words(mask), figure, _densest(mask, run)._repr_html_())


def _densest(mask: Mask, run: str) -> Table:
    mean = mask.chosen.sum() / max(1, mask.total.sum())
    shown = sorted(mask.tensors.values(), key=lambda tensor: -tensor.chosen)[:LISTED]
    rows: list[list[str | int]] = [
        [t.name, t.chosen, share(t.chosen / t.size), f"{t.chosen / t.size / mean:.1f} ×"] for t in shown
    ]
    note = f"Look into one: %peft show mask-atlas {run} --tensor {shown[0].name}" if shown else ""
    columns = ("tensor", "entries that train", "of it", "against the mean")
    return Table("tensors with most of what trains", columns, rows, note=note, align="<>>>")


def _blocks(mask: Mask, tensor: Tensor) -> Drawing:
    blocks = blocks_of(tensor)
    row, column = divmod(int(blocks.density.argmax()), blocks.density.shape[1])
    columns = _range(column, blocks.width, tensor.columns)
    where = f"columns {columns}"
    if tensor.rows > 1:
        where = f"rows {_range(row, blocks.height, tensor.rows)}, {where}"
    empty = float((blocks.density == 0).mean())
    alt = (
        f"{mask.title}: {tensor.chosen:,} of {tensor.size:,} entries of {tensor.name} train "
        f"({share(tensor.chosen / tensor.size)}). {_block_size(tensor)} The densest ({where}) trains "
        f"{share(float(blocks.density.max()))}; {share(empty)} of the blocks train nothing."
    )
    if tensor.rows > 1:
        alt += f" The densest rows reach {share(float(blocks.by_row.max()))}, the densest columns "
        alt += f"{share(float(blocks.by_column.max()))}; dashed lines are the mean."
    return Drawing(alt, blocks_picture(blocks, tensor, f"{mask.title}: {tensor.name}"))


def _block_size(tensor: Tensor) -> str:
    height, width = block_size(tensor)
    if height == width == 1:
        return "One block is one weight."
    return f"One block is {height} × {width} weights (rows × columns)."


def _range(number: int, size: int, end: int) -> str:
    first, last = number * size, min(end, (number + 1) * size) - 1
    return f"{first}" if first == last else f"{first} to {last}"


def _part(said: str, size: int, what: str) -> slice:
    """``0:64`` as a slice within the tensor.

    Raises:
        BadOption: it is none, lies outside, or is more than can be drawn.
    """
    if not said:
        return slice(0, min(size, MOST_CELLS))
    found = re.fullmatch(r"(\d*):(\d*)", said)
    start, stop = (int(found[1] or 0), int(found[2] or size)) if found else (0, 0)
    if not found or not start < stop <= size:
        raise BadOption(f"{what} {said!r} are none of this tensor's {size:,}", f"Such as 0:{min(size, 64)}", what)
    if stop - start > MOST_CELLS:
        raise BadOption(f"{stop - start:,} {what} are too many to draw", f"At most {MOST_CELLS} at a time", what)
    return slice(start, stop)
