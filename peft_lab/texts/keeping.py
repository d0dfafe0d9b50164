"""Tables of what was saved, loaded, taken out of use, merged, handed on."""

from __future__ import annotations

from peft_lab.texts import Counted

COLUMNS = ("", "what")
FOLDER, FILE, SIZE, OPENED_BY = "folder", "file", "size", "opened by"
SAME_LOGITS = "its logits are the same, bit for bit"
OTHER_LOGITS = "its logits differ by {difference} at most"

SAVED = "{run} is saved"
OPENED_BY_PEFT = "peft_lab, and PEFT's PeftModel.from_pretrained"
OPENED_BY_US = "peft_lab"
OPENED_BY_US_ONLY = "peft_lab only: {why}"
LOADED_AGAIN, INTO_FRESH = "loaded again", "into a fresh base model: {apart}"
BY_PEFT, IN_FP32 = "by PEFT", "in fp32, into another: {apart}"
SAVED_NOTE = "Move the folder where you like; there: %peft load {name}"

LOADED = "{run} is in use"
IN_USE, METHOD_ON_MODEL = "in use", "{run}, {method} on {model}"
FROM, THIS_FOLDER = "from", "this folder of runs"
BASE_MODEL, SAME_MODEL, UNKNOWN = "base model", "the same: {fingerprint}", "unknown"
TOKENIZER, SAME, NO_FINGERPRINT = "tokenizer", "the same", "no fingerprint on record"
ANSWERS, NOTHING_TO_COMPARE = "answers", "nothing on record to compare with"
SCORE, SCORE_THEN = "score", "{metric} {value} on {split}, when it was trained"
LOADED_NOTE = 'Ask it: %peft predict "..."   Take it out of use: %peft rollback'

ROLLED_BACK = "{run} is out of use"
OUT_OF_USE, PROOF = "out of use", "proof"
BASE_AS_IT_WAS = "nothing: the base model as it was"
ROLLED_BACK_TO_RUN = 'Ask it: %peft predict "..."   Still there: %peft load {run}'
ROLLED_BACK_NOTE = "Again: %peft load {run}"

MERGED = "{run} is merged"
OPENED_BY_TRANSFORMERS = "transformers alone: {auto_class}.from_pretrained"
AGAINST_RUN, BY_TRANSFORMERS = "against the run", "loaded by transformers, in fp32: {apart}"
AGAINST_PRECISION, AS_TRAINED = "against {precision}", "as the run was trained: {apart}"
MERGED_NOTE = "It is a base model like any other: %peft model {name}"

SNAPSHOT = "snapshot of {run}"
AT_STEP, STEP, STEP_OF = "at step", "{step}", "{step} of {planned}"
HOLDS = "holds"
HELD = Counted(
    "trained tensors, metric points, record, {count} artifact",
    "trained tensors, metric points, record, {count} artifacts",
)
TO_GO_ON, RESUME, BEGIN_FROM = (
    "to go on",
    "%peft resume, exactly as the run itself would",
    "%peft train --from it, in new steps",
)
SNAPSHOT_NOTE = "Hand the file on; there: %peft restore {name}. It holds those texts of the data that the views show"
