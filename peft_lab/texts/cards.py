"""Cards of runs and plans, the live view of a training, the small picture of its curves."""

from __future__ import annotations

from peft_lab.texts import Counted

# --- states ----------------------------------------------------------------------------------------------------------

STATES = {
    "finished": "finished",
    "running": "running",
    "stopped": "stopped",
    "failed": "failed",
    "crashed": "crashed",
    "planned": "planned",
    "unknown": "unknown",
}
STATE = "{mark} {state}"
STATE_AT = "{mark} {state} at step {done} of {planned}"
FINISHED_EARLY = "{mark} finished early: {done} of {planned} steps"
"""Its time budget was spent."""

# --- what was done ---------------------------------------------------------------------------------------------------

METHOD, MODEL, DATA = "method", "model", "data"
DATA_WITH_ROWS = "{source} ({rows})"
ROWS_OF_SPLIT = "{count} {split}"
SPLITS = {"train": "train", "validation": "validation", "test": "test"}

# --- what came of it -------------------------------------------------------------------------------------------------

SCORE_ON = "{split} {metric}"
SCORE_OF_BEST = "{split} {metric}, best of epoch {epoch}"
SCORE_VALUE = "{metric} {value}"
SPLIT_ALSO = "{split}, also"
SPLIT_HAS = "{split}: {scores}"
ERROR, PROOF, NOTE, GO_ON, LOSS = "error", "proof", "note", "go on", "loss"
LOSS_WENT = "{bars}  {first} to {last}"

# --- what it took ----------------------------------------------------------------------------------------------------

TRAINABLE = "trainable"
TRAINS = "{count}"
TRAINS_HEAD = "{count}, {head} of them in the head"
TRAINS_OF = "{count} of {total} ({share})"
TRAINS_OF_HEAD = "{count} of {total} ({share}), {head} of them in the head"
TRAINING_TIME, SPEED, PEAK_MEMORY, ON_DISK = "training time", "speed", "peak memory", "on disk"
TEXTS_PER_SECOND, TOKENS_PER_SECOND = "{count} texts/s", "{count} tokens/s"
WITH_FORECAST = "{value} (forecast {forecast})"

# --- notes and more --------------------------------------------------------------------------------------------------

PROCESS_GONE = "The process that trained this run is gone; what it had written is kept"
RECIPE_AND_MORE = "recipe, seed, versions, hardware"
TRACEBACK = "traceback"
HOW_TO_GO_ON = "how to go on"
SEED, STARTED, ENDED, FINGERPRINTS, VERSIONS = "seed", "started", "ended", "fingerprints", "versions"
HARDWARE, LABELS = "hardware", "labels"
CORES = "{count} cores"
PRECISION = "precision {precision}"

# --- a training that goes on -----------------------------------------------------------------------------------------

LIVE_CURVES = "Curves of training loss and validation metric so far"
STEP_OF = "step {step} of {steps}"
EPOCH_OF = "epoch {epoch} of {epochs}"
LOSS_NOW = "loss {loss}"
METRIC_NOW = "validation {metric} {value}"
ABOUT_LEFT = "{spent}, about {left} left"
INTERRUPT = "Interrupt stops after this step and keeps the run"
STOPPING = "stopping after this step"
STILL_SAVING = "still saving what was trained, nothing is lost: please wait"
STARTING = "starting"

# --- curves ----------------------------------------------------------------------------------------------------------

TRAINING_LOSS = "training loss"
VALIDATION_METRIC = "validation {metric}"
NOTHING_YET = "nothing yet"
LOSS_FROM_TO = "Training loss went from {first} to {last} in {steps} steps"
METRIC_FROM_TO = "validation {metric} went from {first} to {last}"
METRIC_FROM_TO_BEST = "validation {metric} went from {first} to {last}, best {best}"
METRIC_WAS = "validation {metric} was {value}"
CURVES_BOTH = "{loss}; {metric}."
CURVES_ONE = "{said}."

# --- plans -----------------------------------------------------------------------------------------------------------

PLAN = "plan"
FITS, DOES_NOT_FIT = "✓ fits", "✗ does not fit"
PLAN_TITLE = "plan  {state}"
ADVICE = "fits"
NEXT = "next"
BY_KIND = "what trains, by kind of module"
HEAD, STEPS, TIME, MEMORY = "head", "steps", "time", "memory"
STEPS_OF = "{steps}, {epochs}, {batches}"
EPOCHS = Counted("{count} epoch", "{count} epochs")
EPOCHS_AS_ASKED = "as asked"
BATCHES = "batches of {size}"
BATCHES_GATHERED = "batches of {size}, {gathered} gathered"
MEMORY_OF = "{peak} at the highest moment; {there} can be had"
PARTS = {  # of memory
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "activations": "activations",
    "process": "this process: libraries, data",
}
PARTS_SHORT = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "activations": "activations",
    "process": "process",
}
PART_OF_MEMORY = "{part}: {size}"
MEASURING = "▶ what trains; time and memory are being measured"
BEING_MEASURED = "being measured, by trying a few steps ..."
TIME_NOT_TRIED = "not known: a step was not tried, as it would not fit"
TIME_OF = "{all}: training {training}, evaluation {evaluation}, loading {loading}"
KIND_TRAINS = "{count} of {total}"
KIND_TRAINS_IN = "{count} of {total} in {layers} layers"
TRAIN_IT = "%peft train {method}, with the same settings"
PLAN_AGAIN = "change the settings, plan again"
