"""Studies: while one runs, what is known of one, what one would take, which there are."""

from __future__ import annotations

CELLS_FINISHED = "{done} of {all} cells finished"
CELLS_FAILED = "{count} failed"
TIME_SPENT = "{seconds}"
TIME_SPENT_AND_LEFT = "{seconds}, about {left} left"
SCORE_COLUMN = "test {score}"
SCORE = "score"
"""Where its name is not known yet."""
MORE_COLUMNS = "and {count} more"
EXAMPLES, EXAMPLES_WITHIN = "{asked} examples", "{asked} examples, {budget}"
SOME_SEEDS = "{done} of {all}"
SEEDS_FAILED, SEEDS_RUNNING = "{count} failed", "running"
RUNNING_CELL = "{method}, {asked} examples, seed {seed}"
RUNNING_CELL_RATE = "{method}, {asked} examples, seed {seed}, rate {rate}"
RUNNING_STEP = "step {step} of {steps}"
RUNNING_AT = "{cell}: {at}"
LIVE_FAILED = "The live view failed, the study did not: {kind}: {message}"

STOPPED = "The study {name} was stopped: {done} of {all} cells are finished."
STOPPED_HINT = "Nothing is lost: run the cell again, or say %peft study resume {name}"
READING = "reading data"
TRYING = "trying a few steps"
WAITS_FOR_OTHERS = "waiting for cells that another process trains"

HEADINGS = ("method", "examples", "budget", "test", "validation", "seeds", "learning rate", "seconds", "trainable")
NO_BUDGET = "all steps"
STATUS_WORDS = {
    "finished": "finished",
    "failed": "failed",
    "stopped": "cut off",
    "waiting": "not begun",
    "running": "running",
}
LIVE_STOP = "Interrupt stops at the next step; all that was trained is kept"
LIVE_STOPPING = "stopping after this step"

STATE_TITLE = "study {name}: {model} on {data}, {done} of {all} rows finished"
STATE_RUNNING = "It is being run now. Stop it: %peft study stop {name}"
STATE_OPEN = "Go on with it: run its cell again, or say %peft study resume {name}"
STATE_DONE = "A row is a method on a number of examples, with a time budget and a seed"
STATE_COLUMNS = ("method", "rows")
MEANS_NOTE = "Mean ± standard deviation of {metric} over seeds. Test has chosen nothing"
OF = "{some} of {all}"
FAILED_TITLE = "failed"
FAILED_COLUMNS = ("method", "examples", "budget", "seed", "reason")
FAILED_NOTE = "A failed cell is not tried again, unless it is asked for: --again"
FAILED_MORE = "{count} more failed"
FORECAST_TITLE = "study {name}: {cells} cells, {done} finished, {open} to do"
FORECAST_UNKNOWN = "How long it takes is known once a cell of each method has finished, or by %peft study --forecast"
FORECAST_NOTE = "About {time}, and {disk} on disk"
FORECAST_COLUMNS = ("method", "cells", "finished", "time for the rest")
LISTING_TITLE = "studies in {folder}"
LISTING_COLUMNS = ("study", "status", "model", "data", "methods", "finished", "failed", "to do")
LISTING_STATUS = {"running": "running", "finished": "finished", "open": "open"}
LISTING_UNREADABLE = "unreadable: {error}"
LISTING_NOTE = "%peft study show NAME"
LISTING_EMPTY = "No study yet: %%peft study, with methods: [full, lora] below it"
