"""Every word that panels and explorers say, in one place, so that a translation can follow."""

from __future__ import annotations

# --- places ----------------------------------------------------------------------------------------------------------

CLOSED = {
    "panel": "This panel is closed. Run the cell again to open it.",
    "explorer": "This explorer is closed. Run the cell again to open it.",
}
NO_WIDGETS = {
    "panel": "This panel needs a notebook that shows widgets, with a running kernel. Run the cell again to open it.",
    "explorer": (
        "This explorer needs a notebook that shows widgets, with a running kernel. Run the cell again to open it."
    ),
}

# --- stopping a cell -------------------------------------------------------------------------------------------------

STOPPING = "Stopping after this step"
STOP_OR_INTERRUPT = "Stop or Interrupt ends it after this step and keeps the run"
KERNEL_ENDED = "The kernel ended during this training. %peft resume {run} goes on where it was."
KERNEL_ENDED_EARLY = "The kernel ended before this training began."
INTERRUPT_LEAVES = "Interrupt ends the waiting, %peft stop ends the run"
PROBE_WORKS = "a Stop button works in a busy cell here"
PROBE_SILENT = "a button is not heard here while a cell is busy"
PROBE_OLD_KERNEL = "ipykernel is older than 7, which hears no button while a cell is busy"
PROBE_NO_FRONT_END = "not known: nothing here shows widgets"
PROBE_NO_KERNEL = "not known: this is no notebook"

# --- the form --------------------------------------------------------------------------------------------------------

NOT_SET = "not set"
DEFAULT = "default {value}{origin}"
SEVERAL = "several with commas between"
SEVERAL_WHOLE = "one, with its commas and blanks; several are a list in a %%peft cell"
YES, NO = "yes", "no"
MORE, MORE_CHOSEN, FEWER = "More options ({count})", "More options ({count}, {chosen} changed)", "Fewer options"
MORE_TIP = "Options that are rarely changed"
METHOD, AND_METHOD = "method", "and"
METHOD_TIP = "How the base model is fine-tuned"
CHOOSE_METHOD = "choose a method ..."
UP, DOWN, REMOVE = "Up", "Down", "Remove"
UP_TIP, DOWN_TIP = "Apply it earlier", "Apply it later"
REMOVE_TIP = "Train without it"
JOIN = "Join a method"
JOIN_TIP = "Add another method, applied after those above"
NO_OPTIONS = "It has no options."
READING_OPTIONS = "Reading the options of {name} ..."
READING_DATA = "Looking at {name} ..."
SUGGESTED = "{method} suggests it"
FOR_TASK = "for data of the task {task}"
SET_IN = "set in {place}"
MODEL_HELP, DATA_HELP = "base model", "data"
MODEL_TIP = "A name from the list, a folder, or a hub id"
DATA_TIP = "A name from the list, a file or folder, a table of this notebook, or a hub id"
TASK = "task: {task}"
OWN_FILE = "a file or folder"
OWN_TABLE = "a table of this notebook"
FROM_HUB = "neither offered nor on disk: taken from the hub, where there is a network"
TRAINING = "Training"
TITLE = "Fine-tune a model"
LINE, LINE_TIP = "The same as a line", "Copy it into a cell; or type a line here, and the form follows"
CODE = "The same as code"
NAMELESS, GIVE_A_NAME = "the form needs data by name", "Give the table a name in a cell, and say that name"
NOTHING_CHOSEN = "choose a method"
NOT_A_TRAIN_LINE = "a line for the form begins with %peft train"
NOT_IN_FORM = "the form has no {flag}"
PANEL_IDLE = "Panel, closed without a run. Run the cell again to open it, or train the same in a cell:"
PANEL_LINE = "Trained from the panel. The same in a cell:"
PANEL_NEXT = "Look inside, in the next cell:"
PANEL_AGAIN = "Run this cell again to open the panel with the same choices."

# --- training in a panel ---------------------------------------------------------------------------------------------

TRAIN, PAUSE, RESUME, STOP = "Train", "Pause", "Resume", "Stop"
TRAIN_TIP = "Begin a run with what is chosen above"
PAUSE_TIP = "Stop after the present step and keep everything, to go on later from there"
RESUME_TIP = "Go on exactly where the run was left"
STOP_TIP = "End the run after the present step; what was trained is kept"
STOP_AND_TRAIN = "Stop {run} and train"
STOP_AND_TRAIN_TIP = "{run} ends after its present step and is kept; then this run begins"
HOW_TO_STOP = "Pause, Stop: after this step"
WAITING = "waiting for {run} to end"
TRAINS_HERE = (
    "{reason}: so it trains in this kernel, and ends with it. "
    "Leave other cells until it has ended: random numbers drawn there would change it."
)
PAUSED = "Paused at step {done} of {planned}. Resume goes on from there, here or with %peft resume {run}."
PAUSED_PHASE, KEPT = "paused", "Everything up to here is kept"
FAILED = "Change what is wrong and press Train; or press Resume, the same as %peft resume {run}."
RUN_GOES_ON = "{run} goes on. %peft wait {run} shows it, %peft stop {run} stops it."
RUN_GOES_ON_HERE = (
    "{run} goes on in this kernel and ends with it. %peft wait {run} shows it, %peft stop {run} stops it, "
    "and if the kernel ends first, %peft resume {run} goes on with it."
)
RUN_PAUSED = "{run} is paused. %peft resume {run} goes on with it."
UNFORESEEN = "{kind}: {message}"
NEXT_LINE, NOTE_LINE = "next", "note"

# --- the plan in a panel ---------------------------------------------------------------------------------------------

PLAN_MARK = "plan"
PLAN_FIRST = "The plan appears here."
PLAN_LOADING = "Planning; the first time takes some seconds more, while libraries load ..."
PLANNING = "Planning ..."
PLAN_OLDER = "Planning ... What stands below is the plan of what was chosen before."
PLAN_MEASURING = "This is what would train. Time and memory follow: a few steps are tried ..."
PLAN_HERE = "Plan here"
PLAN_HERE_TIP = "Make the plan in this kernel; other cells are slower for some seconds"
PLAN_NEEDS_HERE = "{reason}: so the plan is made in this kernel, which is slow to answer for some seconds."
PLAN_RESTS = "The plan rests while a run goes on. Change something to have it made."
PLAN_GONE = (
    "The plan could not be made: its process ended ({reason}). Change something to try again, or say %peft plan."
)

# --- tokens ----------------------------------------------------------------------------------------------------------

TOKENS_OF, TOKENS_OF_TIP = "Of", "The tokens of one run, or what changed from one run to another"
TOKENS_OF_TWO = "{other} against {one}: what changed"
SAMPLE, PREVIOUS, NEXT = "Sample", "Previous", "Next"
FIND = "Find"
FIND_HINT = "text in a prompt or an answer"
FIND_TIP = "Offer only samples that contain this text"
SAMPLE_TIP = "Which sample is shown"
PREVIOUS_TIP, NEXT_TIP = "The sample before this one", "The sample after this one"
FOUND = "{found} of {every} samples contain it"
NOT_FOUND = "no sample contains it, so all are offered"
HELD_OUT, TRAINED_ON = "held out", "trained on"
THRESHOLD = "LD threshold"
THRESHOLD_TIP = "Tokens with an LD above it are shown as reasoning; 0 is the method's own"
THRESHOLD_TYPED = "or type it"
THRESHOLD_TYPED_TIP = "The same threshold as a number: any number, then Enter"
THRESHOLD_RESET = "Back to 0"
THRESHOLD_RESET_TIP = "The method's own roles"
NO_LD = "{run} knows no LD of its tokens, so there is no threshold to move: only SHAD finds LD (%peft train lora+rft)."
BY = "Tint"
BY_TIP = "What the strength of a token's tint is"
BY_NAMES = {
    "ld": "LD",
    "weight": "weight while training",
    "role": "role alone",
    "change": "change of loss",
    "loss": "loss after training",
}
COUNTED, COUNTED_TIP = "Counted", "Which tokens are counted above the sample"
COUNTED_ALL, COUNTED_ONE = "all samples", "this sample"
WHOLE_PROMPT, WHOLE_PROMPT_TIP = "whole prompt", "Unfold all of the prompt"
TABLE, TABLE_TIP = "table of tokens", "Every learned token of the sample with its numbers, to read or to copy"
COUNTS_AT = "threshold {threshold}: {reasoning} reasoning, {boilerplate} boilerplate (was {once} and {other})"
COUNTS_AT_0 = "threshold 0, the method's own: {reasoning} reasoning, {boilerplate} boilerplate"
PARTS_OF_LOSS = "reasoning carries {loss} of the loss"
NOT_TRAINED_SO = "The run was trained with its own roles: the threshold changes what is shown, not what was learned."
SWEEP = "Share of reasoning by threshold: below the line reasoning, above it boilerplate"
AS_TYPED = "The same picture:"

# --- explorers -------------------------------------------------------------------------------------------------------

LOOK_INSIDE = "Look inside {runs}"
SHOW = "Show"
KEEP = "Keep this picture"
KEEP_TIP = "Close the explorer and leave what it shows now in the notebook"
NOTHING_TO_SHOW = "{run} has left nothing that a view could show"
LACKS = "{run} shows no {view}: it has no {lacks}"
IT_SHOWS = "It shows: {views}"
SEE_CARD = "See its card: %peft show {run}"
EXPLORE_AGAIN = "Look further with {line}"
NEEDS_RUNS = "{view} needs {count} runs or more"
NAME_MORE = "Name them: %peft explore {run} ..."
OF_RUN = "Run"
OF_RUN_TIP = "This view draws one run at a time"

# --- explorer of masks -----------------------------------------------------------------------------------------------

ONE_AGAINST = "{one} against {other}"
FROM_TO = "{first} to {last}"
WHOSE, WHOSE_TIP = "Mask of", "One run, or two compared: the first less the second"
NUMBERS, NUMBERS_TIP = "Numbers", "What the numbers compare"
DIFFERENCE, OVERLAP = "difference", "overlap"
TENSOR, TENSOR_TIP = "Tensor", "Every tensor with an entry that trains, and its share; the arrow keys go through them"
WHOLE_MODEL = "whole model"
HOME_TIP, BACK_TIP = "Back to the whole model", "Back to this tensor in blocks"
STRIP = "% of each group of weights that trains"
STRIP_DIFFERENCE = "percentage points more that train in the first"
STRIP_OVERLAP = "% in common, of what either trains"
LAYER, KIND = "layer", "kind"
ROWS, COLUMNS = "rows", "columns"
CORNER = "{down} ↓ {across} →"
GROUP = "{where}: {chosen} of {total} entries train ({share})"
TWO_GROUPS = "{where}: {one} against {other}; of {either} entries that either trains, both train {both}"
PART = "rows {rows}, columns {columns}: {chosen} of {size} entries train"
PRESS_GROUP = "Press a number to look into its weights."
PRESS_PART = "Press a part, named by its rows and columns, to see its single weights. The numbers: {numbers}."
OF_PART = "% of a part that trains"
CELLS = "rows {rows}, columns {columns}"
LAYER_NUMBER = "layer {number}"
ROWS_FROM, COLUMNS_FROM = "Rows from", "Columns from"
SLIDER_TIP = "Where to look; arrow keys move it, and the number can be typed"
SIDE, SIDE_TIP = "Weights each way", "Rows and columns shown at once"

# --- explorer of gates -----------------------------------------------------------------------------------------------

GATES_OPEN, GATES_MOVED, GATES_SPREAD = "open, from 0 to 1", "change since the start", "spread over texts"
GATES_NUMBERS_TIP = "How far gates are open, how far they moved, or how much they differ from text to text"
GATES_LAYER_TIP = "Every layer at one time, or one layer at all times"
CHOOSE_LAYER, CHOOSE_KIND, CHOOSE_TIME = "Layer", "Kind", "Time"
EVERY_LAYER, EVERY_KIND = "every layer", "every kind"
TIME, TIME_TIP = "time", "From the start of training to now; the arrow keys go through it"
START, NOW, BATCHES = "start", "now", "batches {first} to {last}"
TOKEN, FACTOR = "virtual token", "factor of the layer"
GATES_LIMITS, GATES_LIMITS_BOTH = "0 to {limit}", "−{limit} to +{limit}"
GATES_SAID = (
    "{run}: {what}, {time}: {mean} on average, most in layer {most} ({high}), least in layer {least} ({low}). "
    "Tints go from {limit} at all times."
)
GATES_OF_LAYER = (
    "{run}: {what}, layer {layer}: its gates were open {first} on average at first and are {last} now; "
    "its factor is {factor}."
)
GATES_NOT_KNOWN = "{run}: {what}, {time}: not kept. It is known at the start and now."

# --- explorer of distance --------------------------------------------------------------------------------------------

DISTANCE_TITLE = "distance from the start, % of the size there: {where}; a full bar is {most} %"
DISTANCE_SAID = "{run}: {far} went farthest, {high} % of its size; {near} least, {low} %."
DISTANCE_NONE = "{run}: nothing moved here that had a size before."
DISTANCE_KIND_TIP = "All modules of a layer together, or those of one kind"
DISTANCE_LAYER_TIP = "All layers, or the kinds of modules within one"
ONE_AXIS, ONE_AXIS_TIP = "one axis for all kinds", "Keep the bars' length the same from kind to kind"

# --- runs side by side -----------------------------------------------------------------------------------------------

PICTURE, PICTURE_TIP = "Picture", "What is drawn of the runs below the table"
PICTURES = {"curves": "curves on the way", "comparison": "score against cost"}
SIDE_BY_SIDE = "{view}, side by side"
RUNS_SHOWN = "Runs"
RUN_SHOWN_TIP = "Show {run} in the picture; axes and colours stay"
ALONG, ALONG_TIP = "Along", "What the horizontal axis of the curves counts"
ALONGS = {"step": "steps", "seconds": "seconds", "epoch": "epochs"}
METRICS_SHOWN = "Curves"
METRIC_SHOWN_TIP = "Draw {metric}"
AGAINST_COST, AGAINST_COST_TIP = "Against", "The cost that the score is set against"
COSTS = {"trainable": "share that trains", "seconds": "time", "memory": "memory"}
NONE_SHOWN = "Tick a run to see it."
NO_METRIC_SHOWN = "Tick a curve to see it."
