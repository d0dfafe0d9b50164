"""Masks, in the atlas and its explorer: the whole model, one tensor, exact cells; one run, or two compared."""

from __future__ import annotations

# --- where -----------------------------------------------------------------------------------------------------------

GROUP_IN_LAYER = "{kind} of layer {layer}"
GROUP_IN_PART = "{kind} of the {part}"
"""A part is no layer, such as the embeddings."""
ROWS_AND_COLUMNS = "rows {rows}, columns {columns}"
COLUMNS_ALONE = "columns {columns}"
FROM_TO = "{first} to {last}"

# --- sentences -------------------------------------------------------------------------------------------------------

WHOLE = (
    "{title}: {count} of the {total} weights outside the head train ({share}), in {tensors} tensors; "
    "densest in {group} ({densest})."
)
PAIR = "{title}: {overlap}. They differ most in {group}: {one} against {other}."
PAIR_TENSOR = "{title}, {tensor}: {overlap}. {block}"
OVERLAP = (
    "of {either} entries that either trains, both train {both} "
    "({share}, Jaccard; random masks of these sizes: {chance})"
)
CELLS = "{title}, {tensor}, {where}: {count} of {size} entries train ({share}; in the whole tensor {whole})."
TWO_CELLS = (
    "{one} and {other}, {tensor}, {where}: of {size} entries {mine} train in {one}, "
    "{theirs} in {other}, {both} in both."
)
BLOCKS = (
    "{title}: {count} of {size} entries of {tensor} train ({share}). {block} The densest ({where}) trains {densest}; "
    "{empty} of the blocks train nothing."
)
BLOCKS_MARGINS = "{said} The densest rows reach {rows}, the densest columns {columns}; dashed lines are the mean."
ONE_WEIGHT = "One block is one weight."
BLOCK_OF_WEIGHTS = "One block is {height} × {width} weights (rows × columns)."

# --- titles ----------------------------------------------------------------------------------------------------------

TITLE = "{run}, {method}"
TITLE_OF_TWO = "{one} less {other}"
RUN_WITH_METHOD = "{run} ({method})"
TITLE_WHOLE = "{title}: which weights train (% of each group)"
TITLE_TWO_WHOLE = "{title}: which weights train"
TITLE_TENSOR = "{title}: {tensor}"
TITLE_TWO_TENSOR = "{tensor}: {title}"
TITLE_CELLS = "{tensor} of {title}"
TITLE_TWO_CELLS = "{tensor}: {one} and {other}"

# --- keys and axes ---------------------------------------------------------------------------------------------------

SCALE = "trainable, % of the group"
SCALE_DIFFERENCE = "percentage points more that train in the first"
NO_PARAMETER = "no such parameter"
ROW = "row"
COLUMN_BLOCKS_MEAN = "column (a block is {size}; dashed: mean)"
COLUMN_BLOCKS = "column (a block is {size})"
COLUMN_KEY = "column ({key})"
BLOCK_SIZES = {
    (False, False): "{rows} row × {columns} column",
    (False, True): "{rows} row × {columns} columns",
    (True, False): "{rows} rows × {columns} column",
    (True, True): "{rows} rows × {columns} columns",
}
"""By whether there are several rows, and several columns."""
PER_CENT_OF_COLUMN, PER_CENT_OF_ROW = "% of a\ncolumn", "% of a row"
BLOCK_TRAINS_LOG = "% of a block that trains (log scale; grey: none)"
BLOCK_TRAINS_ONE = "% of a block that trains (one density; grey: none)"
DIFFERENCE_KEY = "{scale} (log scale beside 0; grey: in neither)"
DARK_TRAINS = "dark: trains"
HALVES = "upper left: {one} only, lower right: {other} only, full: both"
CELL_SAME, CELL_NEITHER = "{difference}\n{share} % same", "{difference}\nneither"
SAME_KEY = "same: share of what either trains that both train; hatched: no such parameter"

# --- the table of tensors --------------------------------------------------------------------------------------------

DENSEST_TITLE = "tensors with most of what trains"
DENSEST_COLUMNS = ("tensor", "entries that train", "of it", "against the mean")
DENSEST_NOTE = "Look into one: %peft show mask-atlas {run} --tensor {tensor}"
