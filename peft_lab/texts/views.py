"""Built-in views: titles, axes, keys, the sentence beside each picture. Masks and tokens have modules of their own."""

from __future__ import annotations

from peft_lab.texts import Counted

# --- what several views say ------------------------------------------------------------------------------------------

LAYER, PART = "layer {number}", "the {name}"
"""A part is no layer, such as the embeddings."""
LAYER_AXIS = "layer"
LEFT_OUT = "Left out: {runs}."
RUN_AND_METHOD = "{run} {method}"
HATCHED = "hatched: {meaning}"
LOG_SCALE = "{scale} (log scale)"

# --- trainable-map ---------------------------------------------------------------------------------------------------

TRAINABLE_TITLE = "{run}, {method}: what trains"
TRAINABLE_SCALE = "trainable, % of the group"
NO_PARAMETER = "no such parameter"
TRAINABLE_SAID = (
    "{run}, {method}: {count} of {total} parameters train ({share}), in {kinds} of {every} module kinds; "
    "most in {most} ({most_share})."
)
TRAINABLE_NONE = "{run}, {method}: {count} of {total} parameters train ({share})."
TRAINABLE_EMPTY = "{run}, {method}: {count} of {total} parameters train."

# --- change-map ------------------------------------------------------------------------------------------------------

CHANGE_TITLE = "{run}, {method}: how far the parameters moved"
CHANGE_SCALES = {"relative": "change, % of the size before", "rms": "root mean square of the change"}
NOTHING_MOVED = "nothing moved"
CHANGE_SAID = {
    "relative": (
        "{run}, {method}: {kind} of {place} moved most, {most} % of its size; "
        "the median group that moved, {usual} % of its size."
    ),
    "rms": (
        "{run}, {method}: {kind} of {place} moved most, by {most} (root mean square); "
        "the median group that moved, by {usual} (root mean square)."
    ),
}
ALL_FROM_ZERO = "Everything that moved started at zero, so the root mean square of the change is shown."
SOME_FROM_ZERO = Counted(
    "{count} group started at zero: no relative change, see --measure rms.",
    "{count} groups started at zero: no relative change, see --measure rms.",
)
KINDS_LEFT_OUT = "{count} of {every} module kinds did not move and are left out."

# --- distance --------------------------------------------------------------------------------------------------------

DISTANCE_TITLE = "How far each layer went"
DISTANCE_AXIS = "distance from the start, % of the size there"
DISTANCE_SAID = "{run}: {far} went farthest, {high} % of its size; {near} least, {low} %."
DISTANCE_NONE = "{run}: nothing moved that had a size before."

# --- curves ----------------------------------------------------------------------------------------------------------

ALONG = {"step": "step", "seconds": "seconds of training", "epoch": "epoch"}
CURVE_TITLES = {"train": "Training {metric}", "validation": "Validation {metric}", "test": "Test {metric}"}
CURVE_TITLE = "{split} {metric}"
"""Of another split."""
CURVE_OF = "{run}: {curves}."
LOSS_WENT = "{metric} from {first} to {last}"
OTHER_LOSS_WENT = "train {metric} from {first} to {last}"
BEST = {
    "step": "best {split} {metric} {value} at step {at}",
    "seconds": "best {split} {metric} {value} after {at}",
    "epoch": "best {split} {metric} {value} in epoch {at}",
}
BEST_STATE, BEST_METRIC = "best state", "best {metric}"
BEST_STATE_RINGED, BEST_METRIC_RINGED = "best state, ringed", "best {metric}, ringed"
CURVE_LEGEND = "{run}  {best}"

# --- comparison ------------------------------------------------------------------------------------------------------

COSTS = {
    "trainable": "share of parameters that trains",
    "seconds": "training time",
    "memory": "peak memory",
}
COMPARISON_TITLE = "{metric} against {cost} · {data}"
COMPARISON_FRONT = "front: nothing cheaper is as good"
SEVERAL_SEEDS, SEEDS_EACH = "several seeds: lowest, mean, highest", "{count} seeds each: lowest, mean, highest"
IS_BEST = {
    "trainable": "{recipe} is best: {score} {value}, training {cost} of all parameters.",
    "seconds": "{recipe} is best: {score} {value}, in {cost}.",
    "memory": "{recipe} is best: {score} {value}, with {cost} of memory.",
}
IS_BEST_OVER = {
    "trainable": "{recipe} is best: {score} {value} over {count} seeds, training {cost} of all parameters.",
    "seconds": "{recipe} is best: {score} {value} over {count} seeds, in {cost}.",
    "memory": "{recipe} is best: {score} {value} over {count} seeds, with {cost} of memory.",
}
IS_HIGHEST = {
    "trainable": "{recipe} has the highest {score}: {value}, training {cost} of all parameters.",
    "seconds": "{recipe} has the highest {score}: {value}, in {cost}.",
    "memory": "{recipe} has the highest {score}: {value}, with {cost} of memory.",
}
IS_HIGHEST_OVER = {
    "trainable": (
        "{recipe} has the highest mean {score}: {value} over {count} seeds, training {cost} of all parameters."
    ),
    "seconds": "{recipe} has the highest mean {score}: {value} over {count} seeds, in {cost}.",
    "memory": "{recipe} has the highest mean {score}: {value} over {count} seeds, with {cost} of memory.",
}
ALL_THE_SAME = "All have the same {score}: {value}."
COSTS_LEAST = {
    "trainable": "{recipe} costs least: {value}, training {cost} of all parameters.",
    "seconds": "{recipe} costs least: {value}, in {cost}.",
    "memory": "{recipe} costs least: {value}, with {cost} of memory.",
}
ON_THE_FRONT = "On the front: {recipes}."
WITHOUT_RESULT_MORE = Counted(
    "Without a result: {runs} and {count} other.", "Without a result: {runs} and {count} others."
)
SHOWN_WITH_ROWS = "Shown are runs with {rows} training rows (--examples shows others)."
SHOWN_WITHIN = "Shown are runs with {budget} (--budget shows others)."
SHOWN_WITH_ROWS_WITHIN = (
    "Shown are runs with {rows} training rows (--examples shows others) and {budget} (--budget shows others)."
)
OF_ROWS = "{rows} rows"
OF_SEEDS = "{recipe} ({count} seeds)"

# --- gates -----------------------------------------------------------------------------------------------------------

GATES_TITLE = "{run}, {method}: how far each virtual token is let in"
GATES_OPEN = "open now, mean over texts"
GATES_SPREAD = "spread over texts"
GATES_MOVED = "change since the start"
GATES_TOKEN = "virtual token"
GATES_FACTOR = "factor of the layer"
GATES_FIRST_BATCHES = "open, batches {first} to {last}"
GATES_BATCHES = "batches {first} to {last}"
GATES_SAID = (
    "{run}, {method}: factor times mean gate is highest in layer {most} ({high}) and lowest in layer {least} ({low}); "
    "gates start at half open."
)

# --- adapter-activity ------------------------------------------------------------------------------------------------

ACTIVITY_TITLE = "{run}, {method}: how much each adapter adds"
ACTIVITY_BEHIND = "behind {place}"
ACTIVITY_AXIS = "size of what is added, % of what is read"
ACTIVITY_NOTE = "bar: mean {measured}; whisker: ± the standard deviation between texts"
ACTIVITY_NONE = "{run}, {method}: no adapter adds anything to what it reads."
ACTIVITY_ONE = "{run}, {method}: on average an adapter adds {mean} % of the size of what it reads, in {place}."
ACTIVITY_SAID = (
    "{run}, {method}: on average an adapter adds {mean} % of the size of what it reads; "
    "most in {most}, least in {least}."
)
ACTIVITY_PLACE = "layer {layer} behind {place} ({mean} ± {spread} %)"

# --- constructs ------------------------------------------------------------------------------------------------------

CONSTRUCT_KINDS = {"apart": "pair apart", "word": "word", "phrase": "phrase"}
CONSTRUCT_TITLE = "what tells the labels apart"
CONSTRUCT_COLUMNS = ("label", "construct", "kind", "in its texts", "in others", "z", "adjusted p")
CONSTRUCT_NOTE = "z: log-odds in standard errors. A pair apart has other words between its two."
MORE_LABELS = "{count} more labels have constructs: --labels NAME"
OF_TEXTS = "{count} of {texts}"
P_EXACT, P_CHI = "{p} (exact)", "{p} (χ² {chi})"
CONSTRUCTS_SAID = (
    "{run}, {method}: {constructs} constructs for {labels} labels, of {tested} tested in {texts} texts. "
    "Most telling: “{best}” for {label}, in {inside} of its {size} texts and in {outside} of the {others} others "
    "(z = {z})."
)
EXAMPLES = "a training text of each label"
EXAMPLES_KEY = "constructs are marked: {own}, {other}"
OF_OWN_LABEL, OF_OTHER_LABEL = "of the text’s own label", "of another label"

# --- reliability -----------------------------------------------------------------------------------------------------

RELIABILITY_TITLE = "How sure it says to be, and how often it is right · {run}"
RIGHT_AXIS, SURE_AXIS, ANSWERS_AXIS = "right answers", "how sure it says to be of its answer", "answers"
AS_SURE_AS_RIGHT = "as often right as it says (below: too sure)"
AS_IT_IS, COOLED = "as it is", "outputs divided by {temperature}"
RELIABILITY_SAID = (
    "{run} says to be {sure} sure on average and is right in {right} of {answers} answers of test; "
    "expected calibration error {error} in {bins} bins."
)
RELIABILITY_COOLED = "With outputs divided by {temperature}, found on validation: {error}."

# --- risk-coverage ---------------------------------------------------------------------------------------------------

RISK_TITLE = "Wrong answers among those given"
COVERAGE_AXIS = "share of texts that are answered, the surest first; the others go to a person"
RISK_AXIS = "share of wrong answers among them"
BEARABLE = "at most {risk} wrong"
RISK_SAID = (
    "{run}: {error} of all {answers} answers of test are wrong; {share} can be answered with at most {risk} wrong; "
    "area {area} (AURC, form A)."
)
RISK_SAID_NONE = (
    "{run}: {error} of all {answers} answers of test are wrong; no share can be answered with at most {risk} wrong; "
    "area {area} (AURC, form A)."
)
