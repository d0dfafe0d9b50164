"""A judgement of a run: the sentences of its lines, by the key of each, and the tables below them."""

from __future__ import annotations

from peft_lab.texts import Counted

TITLE = "{run} judged: {method} on {data}"
TITLE_OF_MANY = "{count} runs judged"
COLUMNS = ("", "figure", "what it means")
HOW_TO_READ = "what it means"
JUDGED_ON = "On {items} {units} of test, which neither taught nor chose anything."
WHERE = (
    "Times: {device}, {threads}, {precision}, cutting into tokens included, {calls} calls after {warm_up} to warm up."
)
THREADS = "{count} threads"
ONE_THREAD = "1 thread"
NOT_MEASURED = "what was not measured, and why"
DIFFERENT_DATA = "These runs are not on the same data: their figures do not compare."
FEW = "Few validation rows ({count}): what was chosen on them is uncertain."
MILLISECONDS, POINTS, A_SECOND = "{count} ms", "{count} points", "{count} a second"
UNITS = {"text": "texts", "word": "words", "answer": "answers"}

TITLES = {
    "right": "right answers",
    "score": "{name}",
    "error": "mean error",
    "weakest": "weakest label",
    "time": "time for one answer",
    "time-unmerged": "the same, not merged",
    "first-token": "time to the first word",
    "answer-time": "time for a whole answer",
    "many": "many at once",
    "writing": "speed of writing",
    "file": "file to keep",
    "memory": "memory to answer",
    "training-memory": "memory to train",
    "calibration": "honest about certainty",
    "temperature": "the same, corrected",
    "unsure": "knows its mistakes",
    "coverage": "answers with at most {risk} wrong",
    "harm": "cost of an answer",
    "handed-over": "the same, with a person",
    "churn": "changes with the seed",
    "typos": "typing errors",
    "forgetting": "changed on other text",
    "foresight": "forgetting",
}
MEANS = {
    "right": "Of 100 {units} it never saw, {right} get the right answer. On others like these expect {low} to {high} "
    "(95 % interval).",
    "score": "The score that chose the best state. {meaning}",
    "error": "How far answers are off on average, in the units of the data; half of them by less than {median}.",
    "weakest": "Of {there} {units} that are {label} it finds {right}; of {answered} it calls so, {right} are.",
    "time": "Half of single questions are answered within {p50}, 95 of 100 within {p95}, 99 of 100 within "
    "{p99}.{merged}",
    "time-unmerged": "As an adapter beside its base model, before it is merged into it: {p95} for 95 of 100.",
    "first-token": "Half of single requests get their first token within {p50}, 95 of 100 within {p95}, 99 of 100 "
    "within {p99}.{merged}",
    "answer-time": "Half of whole answers of up to {longest} tokens are written within {answer}.",
    "many": "When {batch} texts are asked at once.",
    "writing": "Tokens (pieces of words) of an answer, after its first one.",
    "file": "What has to be stored and sent for this run; the base model is needed besides.",
    "memory": "Numbers of the model in memory; a process with its libraries takes more.",
    "training-memory": "The most that the process had while it trained.",
    "calibration": "By so many its certainty is off (expected calibration error, {bins} bins). On average it says to "
    "be {confidence} certain and is right in {accuracy}. {verdict}",
    "temperature": "What is left when its outputs are divided by {temperature}, found on validation. No answer "
    "changes.{end}",
    "unsure": "0 would be best; {least} if all its mistakes were among its least sure answers, {error} if it could not "
    "tell them at all (area under risk and coverage, form A).",
    "coverage": "So many it could have answered by itself, a person taking those of which it is least sure. {chosen}",
    "harm": "Mean cost of a text when all are answered, with {costs}.",
    "handed-over": "Mean cost when texts below a certainty of {threshold} go to a person for {price} each: {coverage} "
    "are answered. The threshold was chosen on validation.",
    "churn": "Of 100 {units}, so many get another answer when nothing but the seed differs ({count} runs: {ids}); on "
    "{agreement} all agree.",
    "churn-numbers": "Mean distance between the answers of two runs that differ in the seed only ({count} runs: "
    "{ids}), in the units of the data.",
    "typos": "{name} when {rate} of all letters are mistyped; without it is {before}.{changed}",
    "forgetting": "How far neutral sentences moved, against how far two different ones are apart; {neighbours} still "
    "have the same nearest neighbour. It says how much the model changed, not that knowledge is lost.",
    "foresight": "Mean loss of a token of neutral prose after training, less that before. Above 0 it foresees it less "
    "well.",
}
GENERAL = {  # for several runs side by side, where figures differ
    "right": "of {units} it never saw; higher is better",
    "score": "higher is better",
    "error": "mean distance from the truth; lower is better",
    "weakest": "F1 of the label it does worst on; higher is better",
    "time": "half of single questions within; lower is better",
    "time-unmerged": "before it is merged into its base model",
    "first-token": "half of single requests within; lower is better",
    "answer-time": "half of whole answers within; lower is better",
    "many": "texts a second, 32 at once; higher is better",
    "writing": "tokens a second; higher is better",
    "file": "besides the base model; lower is better",
    "memory": "numbers of the model; lower is better",
    "training-memory": "the most while training; lower is better",
    "calibration": "how far certainty is off (ECE); lower is better",
    "temperature": "the same after a temperature found on validation",
    "unsure": "area under risk and coverage, form A; lower is better",
    "coverage": "share it can answer with so few wrong; higher is better",
    "harm": "mean cost when all is answered; lower is better",
    "handed-over": "mean cost where a person takes the unsure; lower is better",
    "churn": "answers that another seed changes; lower is better",
    "typos": "with so many letters mistyped; higher is better",
    "forgetting": "how far neutral sentences moved; lower is less change",
    "foresight": "loss on neutral prose, after less before; lower is better",
}
SCORES = {
    "accuracy": "The share of right answers: 1 is all of them.",
    "macro_f1": "Found and rightly so, averaged over labels: 1 is perfect, and rare labels count like frequent ones.",
    "matthews": "1 is perfect, 0 no better than chance.",
    "f1": "Found and rightly so: 1 is perfect.",
    "pearson": "How well answers follow the truth: 1 is perfectly, 0 not at all.",
    "spearman": "How well the order of answers follows that of the truth: 1 is perfectly, 0 not at all.",
    "entity_f1": "Whole names found and rightly so: 1 is perfect.",
    "token_accuracy": "The share of the answers' tokens that it puts first.",
    "exact_match": "The share of answers that it would write exactly.",
}
SCORE = "More is better."
SURER, LESS_SURE, AS_SURE = "It is surer than it should be.", "It is less sure than it could be.", "That is close."
END = " That is an end of what was tried: on validation it is right always, or no more than by chance."
MERGED = " Merged into its base model."
CHOSEN = "From a certainty of {threshold} on, as chosen on validation, it answers {coverage}, {risk} of them wrong."
NOT_CHOSEN = "On validation no certainty kept so few wrong."
LEFT = "That is the most that could be had on test."
CHANGED = " {share} of the answers change."
NONE, NOTHING = "none", "more than any (a person costs less)"

CLASSES = "label by label, the worst first"
ENTITIES = "names by kind, the worst first"
CLASS_COLUMNS = ("label", "in test", "answered", "right", "precision", "recall", "F1")
CLASS_NOTE = "Precision: of those it called so, the share that are. Recall: of those that are, the share it found."
MORE_CLASSES = Counted("{count} more are in judgement.json.", "{count} more are in judgement.json.")
CONFUSIONS = "what is taken for what"
CONFUSION_COLUMNS = ("is", "was called", "times", "share of its {units}")
MISTAKES = "the {count} mistakes it was surest of"
FARTHEST = "the {count} answers farthest from the truth"
WRITTEN = "{count} of {wrong} answers that are not what was wanted"
MISTAKE_COLUMNS = ("text", "is", "was called", "certainty")
NUMBER_COLUMNS = ("text", "is", "was answered")
WRITTEN_COLUMNS = ("request", "wanted", "written")
LOOK = "Some may be mistakes of the labels and not of the model: read them."
NO_TEXTS = "The texts are not here: their numbers in the test split, from 0."
ROW = "row {row}"
WORD_IN = "{word}  (in: {text})"

MEASURES = {
    "quality": "right answers",
    "latency": "times",
    "size": "sizes",
    "calibration": "certainty against right answers",
    "risk": "answering only what is sure",
    "harm": "cost of answers",
    "churn": "changes with the seed",
    "typos": "typing errors",
    "forgetting": "forgetting",
    "mistakes": "single mistakes",
}
MEASURE_COLUMNS = ("measure", "why not")
