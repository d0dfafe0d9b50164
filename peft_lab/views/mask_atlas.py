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
from peft_lab.texts import masks as texts
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
            one, other = (texts.RUN_WITH_METHOD.format(run=run.id, method=run.recipe.method) for run in runs)
            return self._compared(masks[0], masks[1], texts.TITLE_OF_TWO.format(one=one, other=other))
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
        alt = texts.CELLS.format(
            title=mask.title,
            tensor=tensor.name,
            where=_where(rows, columns),
            count=f"{trains:,}",
            size=f"{cells.size:,}",
            share=share(trains / cells.size),
            whole=share(tensor.chosen / tensor.size),
        )
        title = texts.TITLE_CELLS.format(tensor=tensor.name, title=mask.title)
        return Drawing(alt, cells_picture(cells, rows, columns, title))

    def _two_cells(self, masks: Sequence[Mask], names: Sequence[str]) -> Drawing:
        first, second = in_both(masks[0], masks[1], self.options.tensor)
        rows = _part(self.options.rows, first.rows, "rows")
        columns = _part(self.options.columns, first.columns, "columns")
        one, other = cells_of(first, rows, columns), cells_of(second, rows, columns)
        alt = texts.TWO_CELLS.format(
            one=names[0],
            other=names[1],
            tensor=first.name,
            where=_where(rows, columns),
            size=f"{one.size:,}",
            mine=f"{int(one.sum()):,}",
            theirs=f"{int(other.sum()):,}",
            both=f"{int((one & other).sum()):,}",
        )
        title = texts.TITLE_TWO_CELLS.format(tensor=first.name, one=names[0], other=names[1])
        return Drawing(alt, two_cells_picture(one, other, rows, columns, title, (names[0], names[1])))

    def _compared(self, one: Mask, other: Mask, title: str) -> Drawing:
        scale = texts.SCALE_DIFFERENCE
        if self.options.tensor:
            first, second = in_both(one, other, self.options.tensor)
            said = overlap_words(first.common(second), first.chosen, second.chosen, first.size)
            blocks = blocks_of(first), blocks_of(second)
            over = texts.TITLE_TWO_TENSOR.format(tensor=first.name, title=title)
            alt = texts.PAIR_TENSOR.format(title=title, tensor=first.name, overlap=said, block=_block_size(first))
            return Drawing(alt, blocks_difference_picture(*blocks, first, over, scale))
        common, mine, theirs = one.common(other), one.chosen, other.chosen
        there = np.asarray(one.total > 0)
        with np.errstate(invalid="ignore"):
            difference = np.where(there, 100 * (mine - theirs) / one.total, np.nan)
            overlap = common / (mine + theirs - common)
        columns = np.flatnonzero(there.any(axis=0))
        kinds = [one.kinds[column] for column in columns]
        over = texts.TITLE_TWO_WHOLE.format(title=title)
        picture = strip_difference_picture(difference[:, columns], overlap[:, columns], one.layers, kinds, over, scale)
        return Drawing(pair_words(one, other, title), picture)


def _strip(mask: Mask, run: str) -> Drawing:
    chosen, total = mask.chosen, mask.total
    part = np.divide(chosen, total, out=np.full(total.shape, np.nan), where=total > 0)
    columns = np.flatnonzero((total > 0).any(axis=0))
    kinds = [mask.kinds[column] for column in columns]
    figure = heatmap(
        100 * part[:, columns],
        mask.layers,
        kinds,
        title=texts.TITLE_WHOLE.format(title=mask.title),
        scale=texts.SCALE,
        number=three_digits,
        blank=texts.NO_PARAMETER,
    )
    return Drawing(whole_words(mask), figure, _densest(mask, run)._repr_html_())


def _densest(mask: Mask, run: str) -> Table:
    mean = mask.chosen.sum() / max(1, mask.total.sum())
    shown = sorted(mask.tensors.values(), key=lambda tensor: -tensor.chosen)[:LISTED]
    rows: list[list[str | int]] = [
        [t.name, t.chosen, share(t.chosen / t.size), f"{t.chosen / t.size / mean:.1f} ×"] for t in shown
    ]
    note = texts.DENSEST_NOTE.format(run=run, tensor=shown[0].name) if shown else ""
    return Table(texts.DENSEST_TITLE, texts.DENSEST_COLUMNS, rows, note=note, align="<>>>")


def _blocks(mask: Mask, tensor: Tensor) -> Drawing:
    blocks = blocks_of(tensor)
    row, column = divmod(int(blocks.density.argmax()), blocks.density.shape[1])
    columns = _range(column, blocks.width, tensor.columns)
    place = texts.ROWS_AND_COLUMNS if tensor.rows > 1 else texts.COLUMNS_ALONE
    alt = texts.BLOCKS.format(
        title=mask.title,
        count=f"{tensor.chosen:,}",
        size=f"{tensor.size:,}",
        tensor=tensor.name,
        share=share(tensor.chosen / tensor.size),
        block=_block_size(tensor),
        where=place.format(rows=_range(row, blocks.height, tensor.rows), columns=columns),
        densest=share(float(blocks.density.max())),
        empty=share(float((blocks.density == 0).mean())),
    )
    if tensor.rows > 1:
        across, down = share(float(blocks.by_row.max())), share(float(blocks.by_column.max()))
        alt = texts.BLOCKS_MARGINS.format(said=alt, rows=across, columns=down)
    title = texts.TITLE_TENSOR.format(title=mask.title, tensor=tensor.name)
    return Drawing(alt, blocks_picture(blocks, tensor, title))


def _block_size(tensor: Tensor) -> str:
    height, width = block_size(tensor)
    if height == width == 1:
        return texts.ONE_WEIGHT
    return texts.BLOCK_OF_WEIGHTS.format(height=height, width=width)


def _range(number: int, size: int, end: int) -> str:
    first, last = number * size, min(end, (number + 1) * size) - 1
    return f"{first}" if first == last else texts.FROM_TO.format(first=first, last=last)


def _where(rows: slice, columns: slice) -> str:
    down, across = (texts.FROM_TO.format(first=part.start, last=part.stop - 1) for part in (rows, columns))
    return texts.ROWS_AND_COLUMNS.format(rows=down, columns=across)


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
