"""Words with tags, numbers, and public tasks by name: read from small files of the same layout, offline."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem
from peft_lab.host import Host
from peft_lab.listings.inputs import data as listing
from peft_lab.sources import hub
from peft_lab.sources.datasets import Data, load_data
from peft_lab.sources.known_tasks import TASKS
from peft_lab.sources.words import FIRM
from pluggy_specs import DatasetSource

SHARED = Path(os.environ.get("PEFT_LAB_SHARED", Path(__file__).parents[2] / "shared")) / "data"
SENTENCES = [
    [("Ann", "B-per"), ("Lee", "I-per"), ("sails", "O"), ("to", "O"), ("Oslo", "B-loc")],
    [("Rain", "O"), ("in", "O"), ("New", "B-loc"), ("York", "I-loc"), ("City", "I-loc"), (".", "O")],
    [("Bob", "B-per"), ("Eve", "B-per"), ("#met", "O")],
]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(hub, "hub_reachable", lambda: False)


def load(source: str, *more: DatasetSource, **spec: Any) -> Data:
    host = Host(entry_points=False)
    for one in more:
        host.add(one)
    return load_data(DataSpec(source=source, **spec), host)


def refused(source: str, **spec: Any) -> str:
    with pytest.raises(DataProblem) as caught:
        load(source, **spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def conll(
    name: str = "a.conll",
    *,
    between: str = "\t",
    after: str = "\n",
    end: str = "\n",
    sentences: Any = None,
    times: int = 12,
) -> str:
    """A file with some sentences many times over, each made a little different by a number."""
    blocks = []
    for number in range(times):
        for sentence in SENTENCES if sentences is None else sentences:
            lines = [between.join(fields) for fields in [*sentence, (str(number), "O")]]
            blocks.append(after.join(lines) + after)
    Path(name).write_text(after.join(blocks).rstrip("\n") + end, encoding="utf-8")
    return name


def rows_of(data: Data) -> list[tuple[str, tuple[str, ...]]]:
    return sorted((row["text"], tuple(row["label"])) for table in data.splits.values() for row in table)


# --- CoNLL ------------------------------------------------------------------------------------------------------------


def test_a_conll_file_is_rows_of_words_with_tags() -> None:
    data = load(conll())
    assert data.task == "tagging"
    assert "task guessed: tagging, a label for each word" in data.notes
    assert "columns guessed: text=tokens, label=tags" in data.notes
    assert ("Rain in New York City . 3", ("O", "O", "B-loc", "I-loc", "I-loc", "O", "O")) in rows_of(data)
    assert len(rows_of(data)) == 36 and len(data.splits["validation"]) == 4
    assert sum(data.labels.values()) < 12 * 5 and set(data.labels) == {"per", "loc"}, "entities of training rows"
    told = data.describe()["labels"]
    assert told == dict(data.labels)


ODD: dict[str, dict[str, Any]] = {
    "blanks": {"between": " "},
    "many blanks": {"between": "   "},
    "tabs and blanks": {"between": " \t "},
    "two tabs": {"between": "\t\t"},
    "Windows": {"after": "\r\n"},
    "blanks after each line": {"after": "  \n"},
    "tabs in empty lines": {"after": "\t\n"},
    "no last line break": {"end": ""},
    "many empty lines at the end": {"end": "\n\n \n\t\n"},
}


@pytest.mark.parametrize("way", ODD)
def test_odd_spacing_makes_no_difference(way: str) -> None:
    plain = load(conll("plain.conll"))
    odd = load(conll("odd.conll", **ODD[way]))
    assert rows_of(odd) == rows_of(plain) and odd.fingerprint == plain.fingerprint


def test_tabs_in_some_lines_and_blanks_in_others() -> None:
    plain = load(conll("plain.conll"))
    lines = Path("plain.conll").read_text().split("\n")
    mixed = "\n".join(line.replace("\t", " ") if n % 3 else line for n, line in enumerate(lines))
    Path("mixed.conll").write_text(mixed)
    assert load("mixed.conll").fingerprint == plain.fingerprint


def test_a_word_between_tabs_may_hold_a_blank() -> None:
    data = load(conll(sentences=[[("New York", "B-loc"), ("is", "O"), ("big", "O")]]))
    assert rows_of(data)[0][0].split(" ")[0] == f"New{FIRM}York"
    assert len(rows_of(data)[0][1]) == 4
    assert "12 words of train hold blanks, which were made firm" in data.notes


def test_documents_comments_and_hashtags() -> None:
    Path("b.conll").write_text(
        "\ufeff-DOCSTART- -X- O\n\n# sent_id = 1 of many\n" + Path(conll()).read_text() + "\n-DOCSTART-\tO\n", "utf-8"
    )
    data = load("b.conll")
    assert rows_of(data) == rows_of(load("a.conll"))
    assert any("#met" in text for text, _ in rows_of(data)), "a hashtag is a word"
    assert "2 -DOCSTART- lines of b.conll passed over" in data.notes
    assert "1 comment line of b.conll passed over" in data.notes


def test_columns_between_word_and_tag() -> None:
    three = [[(word, word[0].upper(), "x", tag) for word, tag in sentence] for sentence in SENTENCES]
    blocks = ["\n".join([*(" ".join(line) for line in s), f"{n} N x O"]) for n in range(9) for s in three]
    Path("c.conll").write_text("\n\n".join(blocks))
    data = load("c.conll")
    assert "columns guessed: text=tokens, label=tags (not used: 'column_2', 'column_3')" in data.notes
    other = load("c.conll", label="column_2")
    assert ("Bob Eve #met 0", ("B", "E", "#", "N")) in rows_of(other)
    assert "tags of train name no entities (B-, I- and O): scored word by word" in other.notes


def test_a_first_column_that_counts_is_passed_over() -> None:
    rows = [[*s, (f"end{n}", "O")] for n in range(9) for s in SENTENCES]
    counted = [[(str(n), word, tag) for n, (word, tag) in enumerate(row, 1)] for row in rows]
    Path("n.conll").write_text("\n\n".join("\n".join("\t".join(line) for line in s) for s in counted))
    data = load("n.conll")
    assert rows_of(data)[0][0].startswith(("Ann", "Bob", "Rain"))
    assert "the first column of n.conll counts the words; the second is taken for them" in data.notes


def test_lines_that_do_not_fit_are_refused_by_number() -> None:
    text = Path(conll()).read_text()
    Path("short.conll").write_text(text.replace("Oslo\tB-loc", "Oslo", 1))
    said = refused("short.conll")
    assert said.startswith("short.conll has 1 field in line 5 ('Oslo'), and 2 in most lines")
    Path("one.conll").write_text(text.replace("\t", "-"))
    assert "one.conll has one column" in refused("one.conll")
    Path("none.conll").write_text("\n \n\t\n")
    assert "none.conll has no rows" in refused("none.conll")
    Path("latin.conll").write_bytes("Zoë\tB-per\n".encode("latin-1"))
    assert "latin.conll is not UTF-8 (line 1)" in refused("latin.conll")


def test_a_folder_and_a_test_file() -> None:
    Path("mine").mkdir()
    conll("mine/train.conll")
    conll("mine/dev.conll", times=2)
    conll("test.bio", times=1)
    data = load("mine", test="test.bio")
    assert {split: len(table) for split, table in data.splits.items()} == {"train": 36, "validation": 6, "test": 3}
    strange = [[("Mars", "B-planet"), ("is", "O")]]
    conll("strange.conll", sentences=strange)
    said = refused("mine", test="strange.conll")
    assert said == "1 label is in test only: 'planet'. Each label needs training rows"


def test_a_folder_of_text_files_as_conll_has_them() -> None:
    Path("news").mkdir()
    for name, times in (("train", 12), ("valid", 2), ("test", 1)):
        conll(f"news/{name}.txt", times=times)
    data = load("news")
    assert {split: len(table) for split, table in data.splits.items()} == {"train": 36, "validation": 6, "test": 3}
    Path("letter.txt").write_text("Dear Ann,\n\nthe ship has sailed.\nYours, Bob\n")
    said = refused("letter.txt")
    assert (
        "; .txt is read as words with tags. If it holds something else, name it so: .csv" in said
        and said.startswith("letter.txt has ")
    )


def test_a_row_that_is_a_word_is_no_sentence() -> None:
    """CoNLL files named .tsv, and tables with a column of words: empty lines are lost, and with them the sentences."""
    conll("a.tsv")
    assert refused("a.tsv").startswith("column 'B-per' holds tags of single words, such as 'I-per'. A row must be a")
    words = pd.DataFrame([{"Word": word, "Tag": tag} for sentence in SENTENCES * 9 for word, tag in sentence])
    words.to_csv("words.csv", index=False)
    assert refused("words.csv").startswith("column 'Tag' holds tags of single words")
    said = refused("words.csv", task="tagging", text="Word", label="Tag")
    assert said.startswith("every training row is a single word")


# --- schemes ----------------------------------------------------------------------------------------------------------


def spans(tags: list[str]) -> list[tuple[int, int, str]]:
    """Entities of tags in IOB2, from first to last word."""
    found: list[tuple[int, int, str]] = []
    for at, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append((at, at, tag[2:]))
        elif tag.startswith("I-"):
            first, _, kind = found.pop()
            found.append((first, at, kind))
    return found


def in_scheme(tags: list[str], scheme: str) -> list[str]:
    """Tags in IOB2 written in another scheme."""
    told = ["O"] * len(tags)
    before: tuple[int, str] = (-2, "")
    for first, last, kind in spans(tags):
        if scheme == "IOB1":
            told[first : last + 1] = [f"I-{kind}"] * (last - first + 1)
            if before == (first - 1, kind):
                told[first] = f"B-{kind}"
        else:
            begin, inside, end, single = {"BIOES": [*"BIES"], "BILOU": [*"BILU"], "BMES": [*"BMES"]}[scheme]
            told[first : last + 1] = [f"{inside}-{kind}"] * (last - first + 1)
            told[first], told[last] = f"{begin}-{kind}", f"{end}-{kind}"
            if first == last:
                told[first] = f"{single}-{kind}"
        before = (last, kind)
    return told


def sampled(count: int = 80) -> list[list[str]]:
    """Tags in IOB2 with everything in them: neighbours of one kind and of two, single words, long entities."""
    draw = random.Random(3)
    rows = []
    for _ in range(count):
        row: list[str] = []
        for _ in range(draw.randint(2, 6)):
            kind = draw.choice(("per", "loc", ""))
            row += [f"B-{kind}", *[f"I-{kind}"] * draw.randint(0, 2)] if kind else ["O"]
        rows.append(row)
    return rows


@pytest.mark.parametrize("scheme", ["IOB1", "BIOES", "BILOU", "BMES"])
def test_every_scheme_becomes_the_same_iob2(scheme: str) -> None:
    tags = sampled()
    told = {
        name: [{"tokens": [f"w{n}" for n in range(len(row))], "ner_tags": row} for row in rows]
        for name, rows in (("plain", tags), ("other", [in_scheme(row, scheme) for row in tags]))
    }
    assert told["plain"] != told["other"]
    for name, rows in told.items():
        pd.DataFrame(rows).to_json(f"{name}.jsonl", orient="records", lines=True)
    plain, other = load("plain.jsonl"), load("other.jsonl")
    assert rows_of(other) == rows_of(plain)
    assert f"tags of train are {scheme} and were taken over as IOB2" in other.notes
    assert not any("taken over" in note for note in plain.notes)


def test_a_stray_inside_is_taken_for_a_beginning_and_counted() -> None:
    odd = [[("in", "O"), ("Oslo", "I-loc")], [("Ann", "B-per"), ("Oslo", "I-loc"), ("Lee", "I-per")]]
    data = load(conll(sentences=[*SENTENCES, *odd], times=4))
    assert ("Ann Oslo Lee 0", ("B-per", "B-loc", "B-per", "O")) in rows_of(data)
    said = "12 words of train stand in entities that nothing begins, such as 'I-loc': taken as the beginning"
    assert said in data.notes


# --- lists in other files ---------------------------------------------------------------------------------------------


def test_numbers_get_the_names_that_the_data_set_has() -> None:
    names = ["O", "B-per", "I-per"]
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": datasets.List(datasets.Value("string")),
            "pos_tags": datasets.List(datasets.ClassLabel(names=["N", "V"])),
            "ner_tags": datasets.List(datasets.ClassLabel(names=names)),
        }
    )
    rows = [{"id": str(n), "tokens": ["Ann", f"Lee{n}"], "pos_tags": [0, 1], "ner_tags": [1, 2]} for n in range(20)]
    withheld = {"id": "x", "tokens": ["no", "tags"], "pos_tags": [0, 0], "ner_tags": [-1, -1]}
    datasets.Dataset.from_list([*rows, withheld], features=features).to_parquet("a.parquet")
    data = load("a.parquet")
    assert data.task == "tagging"
    assert "columns guessed: text=tokens, label=ner_tags (not used: 'id', 'pos_tags')" in data.notes
    assert rows_of(data)[0] == ("Ann Lee0", ("B-per", "I-per"))
    assert "1 row without label left out of train" in data.notes
    assert load("a.parquet", label="pos_tags").describe()["labels"] == {"N": 20, "V": 18}, "19 training rows"


def test_rows_whose_words_and_tags_do_not_match_are_refused() -> None:
    rows = [{"tokens": ["a", "b"], "tags": ["O", "B-x"]}] * 12 + [{"tokens": ["a", "b", "c"], "tags": ["O", "O"]}]
    pd.DataFrame(rows).to_json("a.jsonl", orient="records", lines=True)
    assert refused("a.jsonl").startswith("row 13 has 3 words and 2 tags in column 'tags'")
    rows = [{"tokens": [f"w{n}", "", "b"], "tags": ["O", "O", "B-x"]} for n in range(20)]
    pd.DataFrame(rows).to_json("b.jsonl", orient="records", lines=True)
    data = load("b.jsonl")
    assert rows_of(data)[0] == ("w0 b", ("O", "B-x"))
    assert "20 empty words of train taken out" in data.notes


def test_lists_for_another_task_or_without_tags_are_refused() -> None:
    for more in ({"task": "classification"}, {"task": "regression"}, {"text": "tokens", "text_pair": "tags"}):
        said = refused(conll(), **more)
        assert said.startswith("'tokens', 'tags' hold lists, not whole texts. A list of words beside a list of tags"), (
            more
        )
    pd.DataFrame([{"tokens": ["Ann", "sails"]}] * 20).to_json("t.jsonl", orient="records", lines=True)
    assert refused("t.jsonl").startswith("'tokens' holds lists, not whole texts. A list of words beside a list of tags")
    said = refused("t.jsonl", task="tagging")
    assert said.startswith("cannot tell the label column among 'tokens': no other column holds lists")


def test_a_text_with_its_tags_in_one_cell() -> None:
    rows = [{"text": f"Ann  saw {n}", "label": "B-per O O"} for n in range(20)]
    pd.DataFrame(rows).to_csv("a.csv", index=False)
    data = load("a.csv", task="tagging")
    assert rows_of(data)[0] == ("Ann saw 0", ("B-per", "O", "O"))
    whole = [{"text": f"Ann saw {n}", "more": "words", "kind": "ab"[n % 2]} for n in range(20)]
    pd.DataFrame(whole).to_csv("k.csv", index=False)
    assert "row 1 has 3 words and 1 tag in column 'kind'" in refused("k.csv", task="tagging", label="kind")
    assert "tagging is of single texts" in refused("k.csv", task="tagging", text_pair="more", label="kind")


def test_words_that_all_have_one_tag_are_refused() -> None:
    flat = [[("Ann", "O"), ("sails", "O")]]
    assert "every word of the training rows has the same tag, 'O'" in refused(conll(sentences=flat))
    assert load(conll("b.conll"), test=conll("flat.conll", sentences=flat, times=2)).splits["test"]


def test_lists_beside_whole_texts_with_labels_stay_beside() -> None:
    rows = [{"text": f"words here {n}", "label": "ab"[n % 2], "tokens": ["w"], "tags": ["O"]} for n in range(20)]
    pd.DataFrame(rows).to_json("a.jsonl", orient="records", lines=True)
    assert load("a.jsonl").task == "classification"


def test_tagged_data_is_shown_with_its_entities() -> None:
    shown = listing(load(conll()))
    examples = {row[0]: str(row[2]) for row in shown.rows}
    assert set(examples) == {"per", "loc"}
    assert "in [New York City] ." in examples["loc"] or "sails to [Oslo]" in examples["loc"]
    assert examples["per"].startswith(("[Ann Lee] sails", "[Bob] Eve #met"))


# --- numbers ----------------------------------------------------------------------------------------------------------


def prices(labels: list[Any]) -> str:
    pd.DataFrame([{"text": f"house {n} by the sea", "price": v} for n, v in enumerate(labels)]).to_csv(
        "p.csv", index=False
    )
    return "p.csv"


def test_regression_is_proposed_and_never_forced() -> None:
    proposed = "column 'price' holds 25 different numbers, each taken for a class; if they are amounts, say --task"
    data = load(prices([n % 25 for n in range(100)]), label="price")
    assert data.task == "classification" and any(note.startswith(proposed) for note in data.notes)
    few = load(prices([n % 5 for n in range(100)]), label="price")
    assert not any("amounts" in note for note in few.notes)
    said = load(prices([n % 25 for n in range(100)]), label="price", task="classification")
    assert not any("amounts" in note for note in said.notes), "a task that was said needs no proposal"
    assert refused(prices([n / 7 for n in range(60)]), label="price").endswith("Say --task regression")


def test_numbers_are_found_and_shown_in_ranges() -> None:
    data = load(prices([100.0, 900.0, *(100 + 20.5 * (n % 39) for n in range(98))]), task="regression")
    assert data.spec.label == "price" and data.spec.task == "regression"
    assert data.spread is not None and (data.spread.lowest, data.spread.highest) == (100.0, 900.0)
    shown = listing(data)
    assert [row[0] for row in shown.rows] == ["100 to 260", "260 to 420", "420 to 580", "580 to 740", "740 to 900"]
    assert sum(int(row[1] or 0) for row in shown.rows) == len(data.splits["train"])
    assert all(str(row[2]).startswith("house") for row in shown.rows)
    assert "on average with a deviation of" in shown.note
    stars = listing(load(prices([n % 5 + 1 for n in range(60)]), task="regression"))
    assert [row[0] for row in stars.rows] == ["1", "2", "3", "4", "5"], "few numbers are shown each"
    assert sum(int(row[1] or 0) for row in stars.rows) == 54
    assert "every training row has the same 'price', 3" in refused(prices([3.0] * 40), task="regression")


# --- public tasks -----------------------------------------------------------------------------------------------------

PAIR = {"copa": ("choice1", "choice2"), "wic": ("False", "True"), "wsc": ("False", "True")}
CLASSES = {
    "glue/cola": ("unacceptable", "acceptable"),
    "glue/mrpc": ("not_equivalent", "equivalent"),
    "glue/mnli": ("entailment", "neutral", "contradiction"),
    "super_glue/cb": ("entailment", "contradiction", "neutral"),
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "super_glue/copa": {
        "premise": "The man sat down.",
        "choice1": "He was tired.",
        "choice2": "He was tall.",
        "question": ["cause", "effect"],
    },
    "super_glue/multirc": {"paragraph": "Ann sails.", "question": "Who sails?", "answer": "Ann"},
    "super_glue/wic": {
        "word": "bank",
        "sentence1": "The bank is green.",
        "sentence2": "A bank lends.",
        "start1": 4,
        "end1": 8,
        "start2": 2,
        "end2": 6,
    },
    "super_glue/wsc": {
        "text": "Mark told Pete lies, which he believed.",
        "span1_index": 0,
        "span2_index": 5,
        "span1_text": "Mark",
        "span2_text": "he",
    },
}
LAYOUTS["super_glue/wsc.fixed"] = LAYOUTS["super_glue/wsc"]


def laid_out(name: str) -> datasets.DatasetDict:
    """A few rows in the layout that a task has on the hub, its test labels withheld."""
    known = TASKS[name]
    features: dict[str, Any] = {"idx": datasets.Value("int32")}
    if known.task == "tagging":
        features |= {
            "tokens": datasets.List(datasets.Value("string")),
            "pos_tags": datasets.List(datasets.ClassLabel(names=["N", "V"])),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])),
        }
        row: dict[str, Any] = {"tokens": ["Ann", "Lee", "sails"], "pos_tags": [0, 0, 1], "ner_tags": [1, 2, 0]}
    elif known.task == "regression":
        row = {c: f"some {c}" for c in (known.text, known.text_pair) if c}
        features |= {c: datasets.Value("string") for c in row} | {"label": datasets.Value("float32")}
    else:
        columns = LAYOUTS.get(name) or {c: f"some {c}" for c in (known.text, known.text_pair) if c}
        kinds = {str: "string", int: "int32", list: "string"}
        features |= {c: datasets.Value(kinds[type(value)]) for c, value in columns.items()}
        features["label"] = datasets.ClassLabel(names=list(classes_of(name)))
        row = dict(columns)

    def rows(count: int, withheld: bool = False) -> list[dict[str, Any]]:
        made = []
        for n in range(count):
            one = {c: v[n % 2] if isinstance(v, list) and c == "question" else v for c, v in row.items()} | {"idx": n}
            if known.task == "tagging":
                one["tokens"] = [f"{one['tokens'][0]}{n}", *one["tokens"][1:]]
            else:
                one["label"] = -1 if withheld else n / 7 if known.task == "regression" else n % len(classes_of(name))
            made.append(one)
        return made

    splits = {"train": rows(30), "validation": rows(6), "test": rows(4, withheld=known.task == "classification")}
    if name == "glue/mnli":
        splits = {f"{s}_matched" if s != "train" else s: r for s, r in splits.items()}
        splits |= {"validation_mismatched": rows(9)}
    kinds_ = datasets.Features(features)
    return datasets.DatasetDict({s: datasets.Dataset.from_list(r, features=kinds_) for s, r in splits.items()})


def classes_of(name: str) -> tuple[str, ...]:
    return CLASSES.get(name) or PAIR.get(name.partition("/")[2].partition(".")[0]) or ("no", "yes")


@pytest.mark.parametrize("name", TASKS)
def test_files_of_the_layout_of_the_hub_are_all_it_takes(name: str) -> None:
    for split, table in laid_out(name).items():
        Path(name).mkdir(parents=True, exist_ok=True)
        table.to_parquet(f"{name}/{split}.parquet")
    data, known = load(name), TASKS[name]
    assert (data.task, data.spec.metric) == (known.task, known.metrics[0])
    assert any(note.startswith(f"{name} is judged by ") for note in data.notes)
    columns = data.splits["train"].column_names
    assert columns == (["text", "text_pair", "label"] if known.text_pair else ["text", "label"])
    if known.task == "classification":
        assert set(data.labels) == set(classes_of(name))
        assert "test has no labelled row and is left out" in data.notes
    assert len(data.splits["validation"]) == 6 and len(data.splits["train"]) == 30, (
        "the validation split of the task, none carved out"
    )
    from peft_lab.tasks.classification import Classification
    from peft_lab.tasks.regression import Regression
    from peft_lab.tasks.tagging import Tagging

    task = {"classification": Classification, "regression": Regression, "tagging": Tagging}[known.task]()
    assert set(known.metrics) <= set(task.scores(task.targets(data.splits["train"])))


def first(name: str) -> dict[str, Any]:
    for split, table in laid_out(name).items():
        Path(name).mkdir(parents=True, exist_ok=True)
        table.to_parquet(f"{name}/{split}.parquet")
    return load(name).splits["train"][0]


def test_what_becomes_of_choices_and_spans() -> None:
    copa = first("super_glue/copa")
    assert copa["text"] == "The man sat down. What was the cause of this?"
    assert (copa["text_pair"], copa["label"]) == ("1: He was tired. 2: He was tall.", "choice1")
    wic = first("super_glue/wic")
    assert (wic["text"], wic["text_pair"]) == ("The *bank* is green.", "A *bank* lends.")
    wsc = first("super_glue/wsc")
    assert (wsc["text"], wsc["text_pair"]) == ("Mark told Pete lies, which *he* believed.", "Mark")
    assert first("super_glue/multirc")["text_pair"] == "Who sails? Ann"


@pytest.mark.parametrize(
    ("name", "repository", "config"),
    [
        ("glue/cola", "nyu-mll/glue", "cola"),
        ("superglue/copa", "aps/super_glue", "copa"),
        ("wnut17", "leondz/wnut_17", ""),
    ],
)
def test_the_library_loads_them(name: str, repository: str, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through ``datasets`` itself, from a folder that stands where it would look on the hub."""
    known = name.replace("superglue", "super_glue").replace("wnut17", "wnut_17")
    folder = Path(repository) / config
    folder.mkdir(parents=True)
    for split, table in laid_out(known).items():
        table.to_parquet(f"{folder}/{split}-00000-of-00001.parquet")
    part = f"- config_name: {config or 'default'}\n  data_files:\n"
    files = "".join(
        f"  - split: {split}\n    path: {Path(config) / split}-*\n" for split in ("train", "validation", "test")
    )
    (Path(repository) / "README.md").write_text(f"---\nconfigs:\n{part}{files}---\n")
    monkeypatch.setattr(hub, "hub_reachable", lambda: True)
    data = load(name)
    assert data.spec.metric == TASKS[known].metrics[0] and len(data.splits["train"]) == 30


def test_the_copy_that_the_hub_makes_of_a_script_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a folder for each configuration, and none by name."""
    for name in ("copa", "wic"):
        for split, table in laid_out(f"super_glue/{name}").items():
            folder = Path("aps/super_glue") / name / split
            folder.mkdir(parents=True)
            table.to_parquet(folder / "0000.parquet")
    monkeypatch.setattr(hub, "hub_reachable", lambda: True)
    data = load("super_glue/copa")
    assert len(data.splits["train"]) == 30 and set(data.labels) == {"choice1", "choice2"}


def test_ways_to_the_hub_are_tried_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(*way: str, **settings: Any) -> datasets.DatasetDict:
        asked.append((way, settings))
        if not settings:
            raise datasets.exceptions.DatasetNotFoundError(f"{way[0]} doesn't exist")
        return laid_out("conll2003")

    monkeypatch.setattr(hub, "hub_reachable", lambda: True)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert load("conll2003").task == "tagging"
    assert asked == [(("lhoestq/conll2003",), {}), (("eriktks/conll2003",), {"revision": "refs/convert/parquet"})]


def test_offline_it_is_said_what_would_work() -> None:
    assert refused("glue/mrpc") == (
        "no data named 'glue/mrpc' here, and the hub cannot be reached. "
        "Put its files, as the hub has them, into a folder glue/mrpc: train.parquet, validation.parquet. "
        "Or name a file such as tickets.csv"
    )


def test_names_that_are_nearly_right() -> None:
    assert "Did you mean 'glue/mrpc'?" in refused("mrpc") and "Did you mean 'glue/mrpc'?" in refused("glue/mrcp")
    assert "Did you mean 'glue/rte' or 'super_glue/rte'?" in refused("RTE")
    assert "There is: helpdesk" in refused("owner/unheard-of")


def test_what_cannot_be_trained_on_is_refused_with_the_reason() -> None:
    assert "super_glue/record cannot be trained on here: its answers are chosen" in refused("super_glue/record")
    assert "it has rows for testing only" in refused("glue/ax")


def test_a_column_that_is_missing_is_named() -> None:
    Path("super_glue/copa").mkdir(parents=True)
    laid_out("super_glue/copa")["train"].remove_columns("choice2").to_parquet("super_glue/copa/train.parquet")
    assert "train of super_glue/copa has no column 'choice2'" in refused("super_glue/copa")


def test_what_a_person_says_goes_before_what_is_known() -> None:
    for split, table in laid_out("glue/mrpc").items():
        Path("glue/mrpc").mkdir(parents=True, exist_ok=True)
        table.to_parquet(f"glue/mrpc/{split}.parquet")
    data = load("glue/mrpc", text="sentence2", metric="f1")
    assert data.splits["train"].column_names == ["text", "label"] and data.spec.metric == "f1"
    assert load("./glue/mrpc").spec.metric == "accuracy"


# --- real files -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.is_dir(), reason="the files of shared/data are not here")
def test_real_files() -> None:
    wnut = load(str(SHARED / "wnut17_train.conll"), test=str(SHARED / "wnut17_test.conll"))
    rows = {split: len(table) for split, table in wnut.splits.items()}
    assert rows["test"] == 1287 and rows["train"] + rows["validation"] == 3394
    assert set(wnut.labels) == {"corporation", "creative-work", "group", "location", "person", "product"}
    sts = load(str(SHARED / "sts_train.csv"), task="regression")
    assert sts.spread is not None and (sts.spread.lowest, sts.spread.highest) == (0.0, 5.0)
    assert load(str(SHARED / "cola_train.csv"), metric="matthews").task == "classification"
