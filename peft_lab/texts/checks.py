"""Whether everything works here, and whether what is shown still holds."""

from __future__ import annotations

# --- %peft selfcheck -------------------------------------------------------------------------------------------------

SELFCHECK, SELFCHECK_COLUMNS = "selfcheck", ("check", "", "found", "what to do")
STATES = {"ok": "✓ ok", "warning": "! warning", "failed": "✗ failed"}
EVERYTHING_WORKS, SOME_FAILED = "Everything works.", "{count} failed."
TO_LOOK_AT = "{count} to look at."
UNFORESEEN, UNFORESEEN_SILENT = "{kind}: {message}", "{kind}"

PACKAGES, NOTEBOOK, WIDGETS, NETWORK, DEVICE = "packages", "notebook", "widgets", "network", "device"
MEMORY, RUNS_FOLDER, MODELS, DATA_SETS, PLUGINS = "memory", "runs folder", "models", "data sets", "plugins"
TRAINING = "training"

PLAIN_FOLDER, INSTALL_FOLDER = "peft-lab runs from a plain folder", "Install it: pip install -e ."
PACKAGE_HAS, PACKAGE_MISSING, INSTALL = "{name} {version}", "{name} is missing", 'pip install "{wanted}"'
NOT_HERE, NOTHING_AND = "{found}; {missing} not in this environment", "nothing; {missing} not in this environment"
FOR_NOTEBOOKS = "For notebooks: pip install {names}"

DEVICE_FOUND = "{device} ({name}) in {precision}, {cores} cores, {threads} threads"
TOO_MANY_THREADS = "Set OMP_NUM_THREADS={cores}: more threads than cores make each other wait"
NETWORK_OFF = "off ({setting}): nothing is asked of the hub"
NETWORK_ON, KEEP_OFF = "the hub is asked for names that are not here", "To keep off it: %peft workshop"
MEMORY_FOUND = "{free} free, the machine has {total}"
LITTLE_MEMORY = "Close other programs, or train small models with --batch-size 8"
CANNOT_WRITE, OTHER_FOLDER = "{folder}: {why}", "Say --runs FOLDER, or set PEFT_LAB_RUNS"
CAN_WRITE = "{folder}: can be written to, {free} free"
MAKE_ROOM = "Make room: delete runs, or name another folder with PEFT_LAB_RUNS"

MODEL, DATA, PLUGIN = "model {name}", "data {name}", "plugin {name}"
FILES_HERE = "files here, fingerprint {fingerprint}"
IN_CACHE = "in the cache of the hub, fingerprint {fingerprint}"
NOT_KNOWN = "not known"
HASH_RIGHT, NO_HASH = "{size}, hash as it should be", "{size}, no hash to compare with"
ROWS_OF_SPLIT = "{count} {split}"
PROBLEM = "{where}: {reason}"
INSTALL_AGAIN = "Install peft-lab again"
TELL_AUTHOR = "%peft problems --details; or tell who wrote it"
OFFERED = "{methods} methods, {views} views; of others: {others}"
OFFERED_ALONE = "{methods} methods, {views} views; of others: none"
TRAINED = "{steps} steps in {time} s: accuracy {accuracy} on new texts, where guessing gets a third"
TRAINED_BADLY = "{found}; {marks}"
INSTALL_ALL_AGAIN = "Install torch, transformers and peft-lab again, and say what you have"

IN_TERMINAL = "a terminal shows none"
NO_WIDGETS, INSTALL_WIDGETS = "ipywidgets is missing: no panels, no Stop button", "pip install ipywidgets"
CAN_BE_TYPED = "Everything can be typed as well: %peft plan, train, show"
STOP_BY_INTERRUPT = "Stop a busy cell by Interrupt, or train with --bg: there Stop works"
GET_WIDGETS = (
    "In JupyterLab: pip install ipywidgets, reload the page, run this cell again. "
    "Everything can be typed as well: %peft plan, train, show"
)

# --- %peft check -----------------------------------------------------------------------------------------------------

CHECK, CHECK_COLUMNS = "what is shown, and whether it still holds", ("cell", "run", "method", "verdict", "why")
VERDICTS = {
    "fresh": "✓ fresh",
    "stale": "✗ stale",
    "other": "! other session",
    "order": "! out of order",
}
STATE = "{mark} {state}"
CELL_NUMBER = "cell {number}"
READ_TO_COMPARE = "Read to compare, as written since: {files}."
NO_OUTPUT = "No output shows a run. Train one: %peft train bitfit."
RUN_AGAIN = "Run again, in this order: {cells}."
FROM_THE_TOP = "Run all cells from the top: then what they show and what they say agree."
ALL_HOLDS = "All of it still holds."
NOT_FINISHED = "Nothing is stale; not all of it is finished."
WHAT_TRAINED = "what trained {run}"
SEEN_SESSION = "Seen: what this session ran. To see all of a notebook, save it and name it: %peft check NAME.ipynb"
SEEN_FILE = "Seen: {file} as saved at {time}."
SEEN_FILE_AND = "Seen: {file} as saved at {time}, and what this session ran since."

GONE = "{run} is gone"
AS_FAR_AS = "as far as can be told: {what}"
OTHER_SESSION = "nothing it depends on changed, but this kernel did not run it"
ANOTHER_RUN = "{run} is another run now"
WENT_ON = "{run} went on since: {then} then, {now} now"
WENT_ON_IT = "it"
TRAINED_ANEW = "{run} was trained anew since"
WAIT_FOR_IT = "wait for it: %peft wait {run}"
GO_ON = "at step {done} of {planned}; go on: %peft resume {run}"
CANNOT_RUN_AGAIN = "the cell cannot be run again: {problem}"
RECIPE_CHANGED = "the recipe changed: {differences}"
NOW_OTHER_SAME_TOP = "run now it would take another recipe: {differences}; from the top it gives the same"
NOW_OTHER = "run now it would take another recipe: {differences}; what Python set before it is not followed"
TOP_OTHER = "run from the top it would take another recipe: {differences}"
ROWS_CHANGED = "the rows of {table} changed"
SETTING_CHANGED = "{setting} {before} then, {after} now"
START_CHANGED = "{run}, which it begins from, changed"
MORE = "{count} more"
NO_VALUE = "none"

DATA_TROUBLE, MODEL_TROUBLE, CODE_TROUBLE = "data: {why}", "base model: {why}", "code: {why}"
DATA_ON_HUB, MODEL_ON_HUB = "data on the hub is not looked at", "the base model on the hub is not looked at"
DATA_GONE, DATA_CHANGED = "data: {files} is gone", "data changed: {files}"
FILE_TOUCHED = "{file} ({time})"
MODEL_CHANGED = "base model {name} changed"
CODE_CHANGED = "code of {method} or of peft_lab changed"
