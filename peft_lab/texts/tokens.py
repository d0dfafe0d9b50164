"""Tokens of samples: marks and what they mean, counts, blocks of prompts and answers, sentences about them."""

from __future__ import annotations

from peft_lab.texts import Counted

# --- roles -----------------------------------------------------------------------------------------------------------

ROLES = {"reasoning": "reasoning", "boilerplate": "boilerplate", "none": "without a role"}
MARKS = {
    "reasoning": "reasoning",
    "boilerplate": "boilerplate",
    "fell": "loss fell",
    "rose": "loss rose",
    "loss": "loss",
}
BASE, TRAINED = "base model", "trained"
"""Whose losses are set against each other in one run."""

# --- marks -----------------------------------------------------------------------------------------------------------

LD = (
    "LD is how far the loss of a token moves when a copy of the model learns answers that were shuffled among "
    "the prompts: up for reasoning, down for boilerplate, which repeats from answer to answer"
)
BY_LD = "|LD|. {ld}"
BY_LD_FROM = "|LD {sign} {size}|, as the threshold is {threshold}. {ld}"
BY_LOSS = "the loss that is left after training"
BY_ROLE = "the same for all"
BY_WEIGHT = "the weight of a token by the losses that are left after training, in fifths of the largest, {largest}"
BY_CHANGE = "the change of loss from {before} to {after}; no mark where it is less than {least} nats"
LIKE_THIS = "like this"
BELOW, BETWEEN, FROM, FROM_UNIT = "below {low}", "{low} to {high}", "from {high}", "from {high} {unit}"
NATS = "nats"
KEY = {"": "{mark}: {steps}", "solid": "{mark}, solid line: {steps}", "dotted": "{mark}, dotted line: {steps}"}
"""By the line under a token; each step of a tint says what it stands for."""
TINT = "Tint: {about}. {frame}: a special token. · is a blank, ⏎ a new line, ⇥ a tab."
TINT_LEAN = "{tint} This page is long: dotted lines, and numbers where you point at a token, are left out."
IN_A_FRAME = "in a frame"

# --- numbers of a token ----------------------------------------------------------------------------------------------

NUMBER_LD, NUMBER_WEIGHT, NUMBER_LOSS = "LD", "weight", "loss {whose}"
NUMBER = "{name} {value}"
NUMBER_FROM_TO = "{name} {low} to {high}"
MARK_HAS = "{mark}: {numbers}"
ONE_OF_SEVERAL = "{token}  {numbers}"

# --- a sample --------------------------------------------------------------------------------------------------------

TOKENS = Counted("{count} token", "{count} tokens")
SAMPLE = "sample {number} of {every}"
HELD_OUT, TRAINED_ON = "held out · {said}", "trained on · {said}"
LEARNED_TOKENS = "{count} learned tokens"
LEARNED_TOKENS_OF = "{count} learned tokens ({roles})"
OF_ROLE = "{count} {role}"
ANSWER = "answer, learned: {tokens}"
PROMPT = "prompt, only read: {tokens}"
ANSWER_LINE, PROMPT_LINE = "answer: {text}", "prompt: {text}"
BEFORE_LINE = "({tokens} before this) … {text}"
SHOW_ALL = "{tokens} before this … show all {every}"
MARKED_LINE = "Marked: {marks}."
MARKED_AND_NOT = "Marked: {marks}; not marked: {others}."
TABLE_SUMMARY = "table of the {tokens}, to copy"
TABLE_COLUMNS = ("position", "token", "kind")
TABLE_ROLE = "role"
KIND_SPECIAL, KIND_TEXT = "special", "text"

# --- what does not fit -----------------------------------------------------------------------------------------------

MORE_IN_ANSWER = "… {count} more do not fit on this page: show the sample alone with --sample"
FIRST_LOST = "the first {tokens} do not fit on this page"
MORE_IN_TABLE = "{tokens} more do not fit on this page; the run's artifacts have all"
OTHER_TURNS = "{tokens} of other turns do not fit on this page"
MORE_SAMPLES = "… {count} more samples do not fit on this page: --sample N shows another."
MORE_CHARACTERS = "… {count} more characters: show one with --sample"
CUT_TOKEN = "{start}… {count} characters …{end}"
BYTES = "‹bytes›"
"""Stands for pieces of a character of which no token holds the whole."""

# --- counted ---------------------------------------------------------------------------------------------------------

ALL_LEARNED = "all learned"
COLUMNS = ("learned tokens", "tokens", "share")
COLUMNS_LOSS = ("mean loss, {before}", "mean loss, {after}", "change", "share of loss, {after}")
LOSSES_KNOWN = "Losses are known of {known} of the {every} tokens."
SAMPLES_HELD_OUT = "Samples 1 to {count} are held out, the others trained on."
SAMPLES_SHOWN = "Shown here: {shown} of {every}; --sample N shows another, --samples N more of them."
NOTE_OF_LOSSES = "Losses: {note}."
NOTE_OF_ROLES = "{note}."

# --- sentences -------------------------------------------------------------------------------------------------------

LEARNED_IN = Counted("{tokens} learned tokens in {count} sample", "{tokens} learned tokens in {count} samples")
ARE_REASONING = "{title}: {reasoning} of {learned} are reasoning ({share})"
CARRY = "{said} and carry {loss} of the loss that is left after training"
CARRY_HELD_OUT = "{said} and carry {loss} of the loss that is left on held-out rows after training"
OTHERS_BOILERPLATE = "{said}; the others are boilerplate."
SOME_WITHOUT_ROLE = "{said}."
NO_ROLES = (
    "{title}: {learned}, mean loss {before} before and {after} after training. "
    "It knows no roles of tokens; the methods shad and rft find them."
)
OTHER_THRESHOLD = (
    "LD threshold {threshold} in place of the method's own: {reasoning} reasoning, {boilerplate} boilerplate "
    "(was {once} and {other}). The run was trained with its own."
)
TOKENS_OF_ROLE_AGAINST = "{role} tokens {after} against {before} ({change})"
TWO_RUNS = Counted(
    "{other} against {one} on {count} row that both have, mean loss: {said}.",
    "{other} against {one} on {count} rows that both have, mean loss: {said}.",
)
RUN_AND_METHOD = "{run}, {method}"
