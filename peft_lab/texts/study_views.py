"""Pictures of studies: curves over data and over time, and what those and the comparison say alike."""

from __future__ import annotations

# --- what several of them say ----------------------------------------------------------------------------------------

DATA_AND = "{one} and {other}"
"""Names of data, one after another."""
SCORE_OF = "{split} {metric}"
MEAN_SCORE = "mean {score}"
SETTING = "{name} {value}"
"""What sets a recipe apart from others, beside its method."""
OF_RUN = "{recipe} {run}"
NO_BUDGET = "no time budget"
WITHOUT_RESULT = "Without a result: {runs}."
WITHOUT_RESULT_OTHERS = "Without a result: {runs}, and others."
IN_PLACE = "{recipe} {place}"
IN_PLACE_RUNS = "{recipe} {place} ({count} runs)"
OTHER_DATA = "These are different data ({data}), so the scores do not compare."
ONE_SEED = "one seed each: no spread"
MEAN_AND_BAR = "mean and, as a bar, lowest to highest of up to {seeds} seeds"
METHOD = "method"
ONE_RUN_EACH = "With one run each no difference can be shown."
NOT_APART = "No difference from {others} is shown."
NOT_APART_MANY = "No difference from {count} of the others is shown."

# --- data-curve ------------------------------------------------------------------------------------------------------

DATA_TITLE = "{metric} over training rows · {data}"
ROWS_AXIS, ROW_AXIS = "training rows (each step to the right multiplies)", "training rows"
"""Where there are several sizes, and where there is one."""
AT_ROWS = "at {rows} rows"
OTHER_BUDGETS = "Runs with {budget} are shown; others: {others}."
FLOOR = {
    "dotted": "{name}: {value}, dotted",
    "below": "{name}: {value}, below what is drawn",
    "above": "{name}: {value}, above what is drawn",
}
"""The score without training: within what is drawn, or not."""
FLOOR_SAID = "{name}: {value}."
BEST_WITH_ROWS = "With {rows} training rows {best} is best: mean {score} {value}."
BEST_WITH_ROWS_OVER = "With {rows} training rows {best} is best: mean {score} {value} over {seeds} seeds."
BEST_WITH_BOTH = "With {rows} training rows {best} is best: mean {score} {value}; with {few} {other}, {less}."
BEST_WITH_BOTH_OVER = (
    "With {rows} training rows {best} is best: mean {score} {value} over {seeds} seeds; with {few} {other}, {less}."
)
HIGHEST_WITH_ROWS = "With {rows} training rows {best} has the highest {score}: {value}."
HIGHEST_WITH_ROWS_OVER = "With {rows} training rows {best} has the highest mean {score}: {value} over {seeds} seeds."
HIGHEST_WITH_BOTH = "With {rows} training rows {best} has the highest {score}: {value}; with {few} {other}, {less}."
HIGHEST_WITH_BOTH_OVER = (
    "With {rows} training rows {best} has the highest mean {score}: {value} over {seeds} seeds; with {few} {other}, "
    "{less}."
)
SAME_WITH_ROWS = "With {rows} training rows all have the same {score}: {value}."
BY_ROWS = "mean {score} by training rows"

# --- time-curve ------------------------------------------------------------------------------------------------------

TIME_TITLE = "{metric} over time of training · {data}"
TIME_AXIS = "seconds of training, without loading and evaluation"
BEST_SO_FAR = "best validation {metric} so far"
OTHER_ROWS = "With {rows} training rows; other runs have {others}."
WITHIN, WITHOUT_BUDGET = "within {budget}", "without a budget"
MEAN_OVER = "mean over up to {seeds} seeds"
MEAN_AND_BAND = "mean over up to {seeds} seeds; band: lowest to highest of up to {seeds} seeds"
BEST_IN_THE_END = "{best} is best in the end: mean {score} {value} after {time}."
AHEAD_EARLY = (
    "{best} is best in the end: mean {score} {value} after {time}; after {early} {first} is ahead with {less}."
)
LEADS_EARLY = (
    "{best} is best in the end: mean {score} {value} after {time}; after {early} {first} leads already with {less}."
)
HIGHEST_IN_THE_END = "{best} has the highest mean {score} in the end: {value} after {time}."
HIGHEST_NOT_EARLY = (
    "{best} has the highest mean {score} in the end: {value} after {time}; after {early} {first} is ahead with {less}."
)
HIGHEST_EARLY = (
    "{best} has the highest mean {score} in the end: {value} after {time}; after {early} {first} leads already with "
    "{less}."
)
SAME_IN_THE_END = "All have the same mean {score} in the end: {value}."
AFTER, SCORE = "after", "score"
