"""The table of a study: what was shown, what that rests on; two runs on the same texts."""

from __future__ import annotations

from peft_lab.texts import Counted

TITLE = "{name}: {split} {metric}"
METHOD, BUDGET, AREA, ENOUGH, AGAINST, TRAINABLE, TIME, RATE = (
    "method",
    "budget",
    "area",
    "95 % of the best from",
    "against {best}",
    "trainable",
    "training",
    "learning rate",
)
NO_BUDGET, ALL_ROWS, ROWS = "all steps", "all ({count})", "{count} rows"
BEST, NOT_REACHED, WAITING, FAILED = "best", "not reached", "waiting", "failed"
BETTER, WORSE, NOTHING_SHOWN = "better", "worse", "no difference shown"
BETWEEN, OR_MORE = "{size} ({low} to {high})", "{size} ({low} or more)"
RANGE = "{low} to {high}"
SEEDS_ABOVE = "{above} of {seeds}"
PARTLY = "{score}, {failed} failed"
FEWER = "{score} (of {n})"

MEANS = "Mean ± standard deviation over {seeds} seeds."
MEANS_ONE = "One seed each: no spread is known, and no difference can be shown. Five seeds are a good start."
ON_VALIDATION = "No run has a score on test: these are of validation, which chose the states, and flatter."
TESTED = (
    "Against {best}: differences of the same {what} over all cells, {tests}; corrected by Holm over {family}, so that "
    "the chance of one false alarm or more is at most {level}."
)
WHAT = {"seed": "seed", "rows": "seed and rows"}
TESTS = {
    "both tests": "shown where a permutation test (signs of {blocks} differences) and a t-test ({seeds} seeds) agree",
    "t-test alone": "by a t-test over {seeds} seeds alone: {blocks} differences give a permutation test {least} at "
    "best, which cannot reach the level after correction; from {needed} seeds on it could",
    "no test": "not tested",
}
ONE_PAIR, PAIRS, NAMED = (
    "one comparison",
    "all {count} pairs, as any method could have come out best",
    "{count} comparisons",
)
ALIKE = "Not told apart from {best}: {methods}. That does not make them equal."
WOULD_SHOW = "A study like this one shows a difference of {smallest} in four of five cases, smaller ones less often."
WOULD_SHOW_NONE = (
    "In a study like this one even the largest difference that there can be would be shown in fewer than four of five "
    "cases."
)
MORE_SEEDS = "To show the difference seen here for {method}, about {seeds} seeds would be needed."
MANY_SEEDS = "The difference seen here for {method} is too small to show with 100 seeds."
NONE_ALIKE = "{best} is told apart from all others."
HELD_BACK = "{methods}: some runs failed, so it is not called better by those that did not."
AREA_SAYS = "Area: mean score along the curve, each step of the logarithm of rows counting the same."
ENOUGH_SAYS = (
    "95 % of the best: the fewest rows whose mean reaches {target}; in brackets what 95 % of resamples over seeds say."
)
FAILURES = "Failed: {what}."
FAILURE = Counted("{method} with {rows} rows, {count} run", "{method} with {rows} rows, {count} runs")
FAILURE_WITHIN = Counted(
    "{method} with {rows} rows in {budget}, {count} run", "{method} with {rows} rows in {budget}, {count} runs"
)
FAILURE_SAID = "{failure} ({error})"
MISSING = "{count} of {all} runs are not finished yet."
SWEPT = "Learning rates were chosen on validation, with the first seed."
SAME_ROWS = "All seeds train on the same rows: the spread is that of head, order and dropout, not of other data."

COMPARED = "{name}: differences in {split} {metric} from {against}"
COMPARED_COLUMNS = (
    "method",
    "difference",
    "95 % interval (t)",
    "bootstrap interval",
    "seeds above",
    "p permutation",
    "p t-test",
    "p corrected",
    "verdict",
    "would show",
)
COMPARED_NOTE = (
    "Intervals are for one comparison at a time and are not corrected. The bootstrap draws {seeds} seeds again: for so "
    "few it holds the truth in at most {most} of cases, the t-interval is the one to believe. Would show: the "
    "difference that four of five such studies show; a dash where that is not known, or is more than there can be."
)

MCNEMAR_TITLE = "{a} against {b} on the same {n} test texts"
MCNEMAR_COLUMNS = ("", "{b} right", "{b} wrong")
RIGHT, WRONG = "{a} right", "{a} wrong"
MCNEMAR_NOTE = (
    "{verdict}: {a} is right on {difference} points more of the texts ({low} to {high}), {p} (McNemar, {form}, "
    "level {level}). It speaks of these two runs on new texts; whether their methods differ, other seeds must say: "
    "%peft study."
)
MCNEMAR_NOTE_FEWER = (
    "{verdict}: {a} is right on {difference} points fewer of the texts ({low} to {high}), {p} (McNemar, {form}, "
    "level {level}). It speaks of these two runs on new texts; whether their methods differ, other seeds must say: "
    "%peft study."
)
FORMS = {
    "exact binomial": "exact binomial form",
    "chi-square with continuity correction": "chi-square with continuity correction",
}
VERDICT_OF_RUNS = {
    "better": "{a} is better than {b}",
    "worse": "{a} is worse than {b}",
    "no difference shown": "No difference shown",
}

TEXTS_TITLE = "{name}: share of right answers, differences from {against} on other texts and with other seeds"
TEXTS_COLUMNS = ("method", "difference", "95 % interval", "seeds", "luck of seeds", "p corrected", "verdict")
TEXTS_NOTE = (
    "Runs with {rows} training rows ({budget}). What would hold with other seeds and for texts like these {n}: shown "
    "where a t-test over seeds and one over seeds and texts together agree; corrected by Holm over {family}, level "
    "{level}. Luck of seeds: the share of the variance of a difference that other seeds make; texts make the rest."
)
TEXTS_NOTE_ONE = (
    "Runs with {rows} training rows ({budget}), one seed each. Intervals are those of these runs on other texts like "
    "these {n}; what other seeds would do is not known, so no difference can be shown."
)
