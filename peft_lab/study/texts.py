"""Errors of studies, and what a study notes: recorded in English, as all that is on record."""

from __future__ import annotations

PLAN_FORMS = {
    "methods": "Write methods: [full, lora, sparse+anchor, prefix length=24], or {lora: {rank: 8}} for one of them",
    "examples": "Write examples: [100, 30%, all]",
    "budget": "Write budget: [30s, 2m]; none is no budget",
    "seeds": "Write seeds: 5, or seeds: [0, 1, 2]",
    "sweep": "Write sweep: {learning_rate: auto}, or {learning_rate: [1e-3, 3e-3]}",
    "data": "Write data: tickets.csv, or {source: tickets.csv, test: tickets_test.csv, label: queue}",
    "name": "A name has letters, digits, dots, hyphens and underscores, and begins with a letter or a digit",
}
NO_METHODS = "a study needs methods"
NO_STUDY = "there is no study yet"
BEGIN_ONE = "Write one: %%peft study, and below it methods: [full, lora], examples: [100, all], seeds: 3"
UNKNOWN_STUDY = "no study named {name!r}"
BUSY = "{name} is being run now"
BUSY_HINT = "Look at it: %peft study show {name}. Stop it: %peft study stop {name}"
NOT_RUNNING = "{name} is not being run now"
NOT_RUNNING_HINT = "See all studies: %peft studies"

TEST_CARVED = (
    "No test rows were named: {count:,} rows, drawn by label, are kept apart as test and chosen once for all cells"
)
VALIDATION = (
    "{count:,} rows, the same for every cell, choose the best state and the learning rate. They come on top of the "
    "examples that a cell is trained on"
)
VALIDATION_LARGE = "More rows validate ({validation:,}) than the smallest cells train on ({smallest:,})"
TAKEN_AS_ALL = "{asked} examples asked for, {there:,} are there: taken as all"
SAME_SUBSETS = "Each seed trains on the same subset: the spread says nothing of how much depends on which rows they are"
FAILED_SWEEP = "no learning rate of the sweep came through: {error}"
WEIGHTS_GONE = "Its weights were not kept, as the study asked: train it with keep: all to have them"
MEMORY = "memory will hardly do. {advice}"
