"""Tables of listings: where one is, runs, answers, data, models, what plugins offer, roles, formats, settings."""

from __future__ import annotations

from peft_lab.texts import Counted

YES, NO = "yes", "no"
NONE = "-"
"""In a cell for which there is nothing to say."""

# --- status ----------------------------------------------------------------------------------------------------------

STATUS, STATUS_COLUMNS = "peft_lab", ("", "now")
DEVICE, MODEL, DATA, RUNS, METHODS, PROBLEMS = "device", "model", "data", "runs", "methods", "problems"
RUNS_IN = "{count} in {folder}"
RUNS_IN_LATEST = "{count} in {folder}, the latest {run} ({status})"
DATA_LIMITED = "{source}, limit {limit}"
METHODS_COUNT = "{count}: %peft methods"
PROBLEMS_COUNT = "{count}: %peft problems"
NEXT = "Next: {what}"
FIRST_TRAINING = "%peft train bitfit"
AFTER_ONE = "%peft show change-map {run}, or train another method: %peft train lora --rank 8"
AFTER_SEVERAL = '%peft compare, or %peft predict {run} "..."'
PROCESSOR = "{name}, {cores} cores"
NO_TORCH = "{processor}; torch is not installed: pip install torch"
GPU_LATER = "{processor}; a GPU is looked for when training begins"
TRAINING_USES = "{processor}; training uses {device} in {precision}"

# --- runs ------------------------------------------------------------------------------------------------------------

RUNS_TITLE = "runs in {folder}"
RUNS_COLUMNS = ("run", "status", "method", "model", "data", "seed", "score", "trainable", "time")
UNREADABLE = "unreadable: {fault}"
EARLY = "{status} early: {why}"
SCORE_NOTE = "Score: of test where there is a test split, else of validation."
NO_RUN = "No run yet: %peft train bitfit"
TRAINS = "{count} ({share})"
ACTIVE_TITLE = "runs that go on"
ACTIVE_COLUMNS = ("run", "method", "model", "phase", "step", "loss", "time left", "where")
STEP_OF = "{step} of {steps}"
THIS_NOTEBOOK, PROCESS = "this notebook", "process {number}"
ACTIVE_NOTE = "%peft wait {run}, or %peft stop {run}"
OF_STUDY = "{where}, study {study}"
STUDY_AT_WORK = "A study goes on: %peft study show {study}, or %peft study stop {study}"
NOTES = ". "
NONE_ACTIVE = "No run goes on now. All runs: %peft runs"
STOPPING_TITLE, STOPPING_COLUMNS = "stopping {run}", ("method", "was at")
WAS_AT_STEP = "step {step} of {steps}"
STOPPING_NOTE = "It stops at its next step and is kept. Go on with it later: %peft resume {run}"

# --- compared --------------------------------------------------------------------------------------------------------

COMPARED_TITLE = "{count} runs on {data}"
COMPARED_FIRST = ("run", "method", "seed")
COMPARED_LAST = ("split", "trainable", "time", "peak memory", "file size")
OTHER_DATA = "These runs are not on the same data: their scores cannot be compared."
ONE_SEED = "One seed each: small differences may be chance. Train again with --seed 1, --seed 2."
ENDED_EARLY = "Ended by a time budget, so on fewer steps: {runs}."
LOSSES_BY_ROLE = "Losses by role of {runs}: under the roles found in another of these runs."
ROLES_OF_ONE = "These runs found different roles: all losses by role are under those of {run}, on the same tokens."
ROLES_APART = "Losses by role cannot be compared: {runs} have roles of their own and no held-out rows in common."

# --- gates -----------------------------------------------------------------------------------------------------------

GATES_TITLE = "{run}: {count} virtual tokens shared out by how far gates are open"
GATES_COLUMNS = ("layer", "factor x mean gate", "virtual tokens")
GATES_NEXT = "Next: %peft train prefix --lengths-from {run}"
GATES_NEXT_BUDGET = "Next: %peft train prefix --lengths-from {run} --budget {budget}"

# --- answers ---------------------------------------------------------------------------------------------------------

PREDICTIONS = "predictions"
ANSWERS_COLUMNS = ("text", "answer", "probability", "next")
VALUES_COLUMNS = ("text", "answer")
WORDS_COLUMNS = ("word", "answer", "probability", "next")
TEXT_COLUMN = "text"
TEXT_PAIR = "{text} ⟂ {pair}"
ALSO_LIKELY = "{label} {probability}"
BY_PROBABILITY = "By {run} ({method} on {data}); the numbers are the model's own probabilities."
BY_UNITS = "By {run} ({method} on {data}); answers are in the units of its data."
NO_ANSWER = "no answer"
NO_ANSWER_WHY = "No answer: behind the last token that the model reads, or nothing that its tokenizer reads."
IN_TEXT = "in text {number}: {entities}"
ENTITIES = "{entities}."
ENTITY = "{words} ({kind})"

# --- written by models -----------------------------------------------------------------------------------------------

WRITTEN_BY = "Written by {run} ({method} on {data}) and its base model"
PROMPT = "prompt"
WROTE = "{name}:"
ENDS_AT_ONCE = "(ends at once)"
BASE_MODEL = "base model {model}"
LIKELIEST = "At most {most} tokens, the likeliest token each time."
DRAWN = "At most {most} tokens, drawn at temperature {temperature}, seed {seed}."
ABOUT_MODELS = "{models}: {said}"
ANSWER_LIMITED = "room for {room} tokens, prompt and answer together: an answer could have {most}, not {wanted}."
PROMPT_CUT = (
    "room for {room} tokens, {most} of them for the answer; of the {size} tokens of prompt {number} the first {lost} "
    "were left out (a system message, tools or first messages)."
)

# --- data and models -------------------------------------------------------------------------------------------------

DATA_TITLE = "{name}: {splits}"
ROWS_OF_SPLIT = "{count} {split}"
LABELS_COLUMNS = ("label", "train rows", "for example")
TAGS_COLUMNS = ("label", "in train", "for example")
TURNS_COLUMNS = ("", "in train", "for example")
LAYOUT = "{layout}: a row for each answer that is learned."
SPREAD = "Numbers, {mean} on average with a deviation of {deviation}."
FIRST_ROWS = "The first rows."
MOST_FREQUENT = "The {shown} most frequent of {every} labels."
CONVERSATIONS, IN_WORDS, CALLS, TOOLS = "conversations", "answers in words", "tool calls", "tools known"
ANSWERED = "{text} ⟶ {answer}"
RANGE = "{low} to {high}"
MODEL_COLUMNS = ("", "value")
FAMILY, LAYERS, HIDDEN, VOCABULARY = "family", "layers", "hidden size", "vocabulary"
LONGEST, HEAD, FINGERPRINT, FROM = "longest text", "head", "fingerprint", "from"
THIS_MACHINE, THE_HUB = "this machine", "the hub"
HEAD_NOTE = "The head, with entries for two labels, trains beside every method."

# --- what plugins offer ----------------------------------------------------------------------------------------------

QUESTIONS = {
    "which weights": "which weights",
    "which units": "which units",
    "which tokens": "which tokens",
    "how far": "how far",
}
METHODS_TITLE = "methods"
METHODS_COLUMNS = ("name", "question", "what it does", "options", "paper", "plugin")
METHODS_NOTE = "Options of one: %peft methods lora. Join methods with +."
PEFT_TYPES = "Hugging Face PEFT's own types, {count} of them: {names}."
OPTIONS_TITLE, OPTIONS_COLUMNS = "options", ("method", "option", "default", "meaning")
OPTIONS_NOTE = "Training settings work with every method: %peft train --help"
MEANING_CHOICES = "{meaning} ({choices})"
VIEWS_TITLE, VIEWS_COLUMNS = "views", ("name", "what it shows", "of", "needs", "plugin")
VIEWS_NOTE = "%peft show NAME run-1"
OF_RUNS, OF_ONE_RUN, NEEDS_METRICS = "runs", "one run", "metrics"
SOURCES_TITLES = {"models": "models", "datasets": "datasets"}
SOURCES_COLUMNS = ("name", "what it is", "licence", "plugin")
SOURCES_NOTES = {
    "models": "a folder or a hub id works too",
    "datasets": "a file, a folder or a hub id works too",
}
PLUGINS_TITLE = "plugins"
PLUGINS_COLUMNS = ("plugin", "distribution", "version", "status", "offers", "seconds")
PLUGINS_NOTE = "A plugin is a package with an entry point in the group peft_lab."
OFFERS = "{kind}: {names}"
AND_MORE = "{names} and {count} more"
PROBLEMS_TITLE, PROBLEMS_COLUMNS = "problems", ("plugin", "where", "what")
NO_PROBLEM = "No plugin failed."

# --- roles of data ---------------------------------------------------------------------------------------------------

ROLES_TITLE = "roles in {data}, by {model}: {count} rows shown"
ROLES_COLUMNS = ("role", "tokens", "share", "mean LD")
PHRASES_TITLE = "most common boilerplate, clearest reasoning"
PHRASES_COLUMNS = ("role", "text", "")
IN_ROWS, HAS_LD = "in {count} rows", "LD {ld}"
NOTE = "{note}."

# --- whether a format changed ----------------------------------------------------------------------------------------

FORMAT_CHANGED, FORMAT_UNCHANGED = "format changed: {data} against {run}", "format unchanged: {data} against {run}"
FORMAT_UNTOLD = "cannot be told whether the format changed: {data} against {run}"
FORMAT_COLUMNS = ("", "held-out rows of {run}", "new rows")
FORMAT_ROWS = "rows"
FORESEEN_BADLY = "format tokens foreseen badly"
IN_KNOWN_FORMAT = "answer tokens in the known format"
FOR_EXAMPLE = "for example {text}"
IN_ANSWERS = "in {count} of {every} answers, loss {loss}"
FIND_ROLES_AGAIN = "Find the roles again: %peft shad {data}, and train on such data."
ROLES_HOLD = "Its roles still hold."
NO_FORMAT_SHARED = "The new answers share no format at all."
NO_FORMAT_BEFORE = "The held-out answers of {run} share no format that new ones could be compared with."
NOT_LEARNED = "{run} has not learned its own format: it foresees {share} of its tokens badly, with a loss above {loss}."
TOO_FEW_TOKENS = "The new answers have {tokens} format tokens, too few to tell."
TRAIN_LONGER = "Train longer, or find the roles anew on the new data: %peft shad {data}"
MORE_ROWS = "Give more rows, or find the roles anew on the new data: %peft shad {data}"
FORMAT_WHY = (
    "{share} of {tokens} format tokens have a loss above {loss}; up to {threshold} would be chance, "
    "by the held-out rows of {run}."
)
FORMAT_LOST = (
    "{known} of the new answers' tokens are in the known format, {old} of the held-out ones; down to {least} would be "
    "chance or longer values."
)
FOUND_NO_ROLES = "{run} found no roles: format tokens are those that many answers share."
ROWS_PICKED = "Looked at {rows} of {of} rows, at even distances."
FEW_ROWS = "So few rows say little: {few} and more are wanted."

# --- tokens of a text ------------------------------------------------------------------------------------------------

TOKENS_TITLE, TOKENS_COLUMNS = "tokens of {run}", ("cut by", "tokens", "text")
CUT_BY_BASE = "base model"
READS_LIKE_BASE = "{run} reads texts as its base model does."
OWN_TOKENS = "{run} has {count} tokens of its own."

# --- settings --------------------------------------------------------------------------------------------------------

SETTINGS_TITLE, SETTINGS_COLUMNS = "settings in effect", ("setting", "value", "from")
SETTINGS_NOTE = (
    "A flag on the line comes before all of these. In a notebook: %config PeftMagics.settings = {settings}. "
    "In pyproject.toml: [tool.peft_lab] and [tool.peft_lab.training]."
)
BUILT_IN = "built in"
SUGGESTS = "{method} suggests it"
NOT_USED = "Not used: {problem}."
ERROR_OF, LAST_ERROR = "{run}: {error}", "The last error of a %peft"

# --- workshop --------------------------------------------------------------------------------------------------------

WORKSHOP_ON, WORKSHOP_OFF = "workshop: {summary}", "workshop is off"
WORKSHOP_COLUMNS = ("what", "now", "from", "another way")
NETWORK, BASE_MODEL_ROW, SEED, TIME_BUDGET = "network", "base model", "seed", "time budget"
NETWORK_OFF, NETWORK_AS_SET = "off: nothing is asked of the hub", "as the environment says"
MODEL_NAMED, DATA_NAMED = "%peft model NAME, or --model NAME", "%peft data NAME, or --data NAME"
OTHER_BUDGET = "--max-seconds 120; inf for none"
MODEL_SUMMARY = "{model} ({summary})"
NO_BUDGET = "none: a training goes on until its last step"
BUDGET = "{time} of training, then the run ends with what it got; loading and evaluation come on top"
WORKSHOP_ON_NOTE = (
    "First of all: %peft selfcheck. In pyproject.toml: [tool.peft_lab] profile = 'workshop'. Off: %peft workshop --off"
)
WORKSHOP_OFF_NOTE = "Settings are again what they were before: %peft config"

# --- memory ----------------------------------------------------------------------------------------------------------

MEMORY_TITLE, MEMORY_COLUMNS = "memory given back", ("", "before", "after", "freed")
GREW = "none, {size} more"
LET_GO, NOTHING_LET_GO = "Let go: {what}.", "There was nothing to let go of."
HELD_TITLE, HELD_COLUMNS = "still held by your names", ("name", "kind", "holds")
HELD_NOTE = Counted(
    "These names are yours, and are left alone. Give their memory back: del {names}",
    "These names are yours, and are left alone. Give their memory back: del {names}. "
    "Two names may hold the same memory",
)
LAST_MODEL, LAST_FRAMES = "the model that answered last", "the frames of the last error"
RESIDENT = "resident memory"
TENSORS, WITH_RESERVE = "{device}, tensors", "{device}, with reserve"
