"""Data as people have it: formats, columns, labels, splits, and what goes wrong."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

import peft_lab.sources as sources
from peft_lab.asking import asking
from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem, UnknownName
from peft_lab.sources import hub
from peft_lab.sources.datasets import Data, load_data
from peft_lab.sources.splitting import draw
from peft_lab.sources.tables import keep_table
from pluggy_specs import DatasetSource


class TinyHost:
    """The three calls that loading needs."""

    def __init__(self, *more: DatasetSource) -> None:
        self.known = {source.name: source for source in (*sources.register_datasets(), *more)}

    def offers(self, kind: str) -> dict[str, Any]:
        return {name: SimpleNamespace(item=item) for name, item in self.known.items()} if kind == "datasets" else {}

    def asking(self, kind: str, name: str, hook: str) -> Any:
        return asking(kind, name, hook)

    def find(self, kind: str, name: str) -> DatasetSource:
        if name not in self.known:
            raise UnknownName(kind, name, self.known)
        return self.known[name]


HOST: Any = TinyHost()
ROWS = [
    {"message": f"my device number {i} does odd things, näh", "queue": ("it", "hr", "pay")[i % 3]} for i in range(60)
]


def load(source: str | Path, **spec: Any) -> Data:
    return load_data(DataSpec(source=str(source), **spec), HOST)


def refusal(source: str | Path, **spec: Any) -> str:
    with pytest.raises(DataProblem) as caught:
        load(source, **spec)
    said = str(caught.value)
    assert "\n" not in said
    return said


def csv(path: Path, rows: Any = None, **settings: Any) -> Path:
    pd.DataFrame(ROWS if rows is None else rows).to_csv(path, index=False, **settings)
    return path


def pairs(table: Any) -> list[tuple[str, str]]:
    return list(zip(table["text"], table["label"], strict=True))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


# --- formats ---------------------------------------------------------------------------------------------------------


def write_as(kind: str, folder: Path) -> Path:
    frame, path = pd.DataFrame(ROWS), folder / f"mine.{kind.split('-')[0]}"
    if kind.endswith("jsonl"):
        frame.to_json(path, orient="records", lines=True, force_ascii=False)
    elif kind.endswith("json"):
        frame.to_json(path, orient="records")
    elif kind == "parquet":
        frame.to_parquet(path)
    else:
        mark = {"tsv": "\t", "csv-semicolon": ";", "csv-pipe": "|", "csv-tab": "\t"}.get(kind, ",")
        frame.to_csv(path, index=False, sep=mark, encoding="utf-8-sig" if kind == "csv-bom" else "utf-8")
    return path


KINDS = ["csv", "csv-semicolon", "csv-pipe", "csv-tab", "csv-bom", "tsv", "json", "jsonl", "parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_data(kind: str, tmp_path: Path) -> None:
    data, plain = load(write_as(kind, tmp_path)), load(csv(tmp_path / "plain.csv"))
    assert data.fingerprint == plain.fingerprint
    assert data.splits["train"].column_names == ["text", "label"]
    for split in ("train", "validation"):
        assert pairs(data.splits[split]) == pairs(plain.splits[split])


def test_bom_before_json_lines(tmp_path: Path) -> None:
    path = write_as("jsonl", tmp_path)
    plain = load(path).fingerprint
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load(path).fingerprint == plain


def test_words_that_pandas_takes_for_missing_are_labels(tmp_path: Path) -> None:
    rows = [{"text": f"some text {i}", "label": ("None", "NA", "007", "null")[i % 4]} for i in range(40)]
    assert set(load(csv(tmp_path / "a.csv", rows)).splits["train"]["label"]) == {"None", "NA", "007", "null"}


def test_commas_quotes_and_line_breaks_in_texts(tmp_path: Path) -> None:
    rows = [{"text": f'so, he said "{i}"\nand; left|\tthen', "label": "ab"[i % 2]} for i in range(30)]
    data = load(csv(tmp_path / "a.csv", rows))
    assert sorted(t for s in data.splits.values() for t in s["text"]) == sorted(str(row["text"]) for row in rows)
    assert "30 rows in train with line breaks in the text" in data.notes


def test_fingerprint_is_the_same_in_another_process_and_sees_every_cell(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv")
    code = (
        "import sys; from types import SimpleNamespace as N; from peft_lab.data_spec import DataSpec\n"
        "from peft_lab.sources.datasets import load_data\n"
        "print(load_data(DataSpec(source=sys.argv[1]), N(offers=lambda kind: {})).fingerprint)"
    )
    there = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == load(path).fingerprint
    seen = {load(path).fingerprint}
    for number, change in enumerate(({"message": "another"}, {"queue": "pay"})):
        changed = [*ROWS[:7], {**ROWS[7], **change}, *ROWS[8:]]
        seen.add(load(csv(tmp_path / f"{number}.csv", changed)).fingerprint)
    assert len(seen) == 3


def test_a_folder_of_files(tmp_path: Path) -> None:
    csv(tmp_path / "train.csv")
    csv(tmp_path / "dev.csv", [{"message": f"held out {i}", "queue": "it"} for i in range(5)])
    pd.DataFrame([{"message": f"asked {i}", "queue": "hr"} for i in range(4)]).to_parquet(tmp_path / "my_test.parquet")
    (tmp_path / "README.md").write_text("not data")
    data = load(tmp_path)
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 60, "validation": 5, "test": 4}
    csv(tmp_path / "other_test.csv")
    assert "2 test files: my_test.parquet, other_test.csv" in refusal(tmp_path)
    (tmp_path / "train.csv").unlink()
    assert "no train file" in refusal(tmp_path)


def test_a_large_file_is_mapped_and_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peft_lab.sources.files.IN_MEMORY", 10)
    path = csv(tmp_path / "a.csv", [*ROWS, {"message": "", "queue": "it"}])
    data = load(path)
    assert str(tmp_path) in data.splits["train"].cache_files[0]["filename"]
    monkeypatch.undo()
    assert load(path).fingerprint == data.fingerprint
    assert not load(path).splits["train"].cache_files


def test_test_and_validation_files_of_ones_own(tmp_path: Path) -> None:
    other = csv(tmp_path / "t.csv", [{"message": f"asked {i}", "queue": "hr"} for i in range(4)])
    data = load(csv(tmp_path / "a.csv"), test=str(other))
    assert len(data.splits["test"]) == 4
    data = load(tmp_path / "a.csv", validation=str(other))
    assert len(data.splits["train"]) == 60
    assert pairs(data.splits["validation"]) == [(f"asked {i}", "hr") for i in range(4)]


# --- registered, hub -------------------------------------------------------------------------------------------------


def test_helpdesk_is_registered() -> None:
    data = load("helpdesk")
    told = data.describe()
    assert told["rows"] == {"train": 1383, "validation": 154, "test": 568}
    assert told["label_count"] == 15
    assert sum(told["labels"].values()) == 1383
    assert data.notes == ("154 of 1537 training rows carved out for validation",)
    assert data.spec.label == "label"
    assert load_data(data.spec, HOST).fingerprint == data.fingerprint


def test_a_registered_name_goes_before_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    rows = [{"t": f"word {i}", "c": i % 2} for i in range(20)]
    source = DatasetSource("mine", "", lambda: {"train": rows}, text="t", label="c")
    data = load_data(DataSpec(source="mine"), TinyHost(source))  # type: ignore[arg-type]
    assert set(data.splits["train"]["label"]) == {"0", "1"}


def test_hub_unreachable_says_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "hub_reachable", lambda: False)
    said = refusal("helpdesc")
    assert "hub cannot be reached" in said
    assert "Did you mean 'helpdesk'?" in said
    assert "tickets.csv" in refusal("glue/mrpc")


def test_hub_data_with_class_names_and_withheld_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    features = datasets.Features(
        {
            "idx": datasets.Value("int32"),
            "sentence1": datasets.Value("string"),
            "sentence2": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["different", "same"]),
        }
    )

    def table(n: int, withheld: bool = False) -> datasets.Dataset:
        rows = [
            {"idx": i, "sentence1": f"one {i}", "sentence2": f"two {i}", "label": -1 if withheld else i % 2}
            for i in range(n)
        ]
        return datasets.Dataset.from_list(rows, features=features)

    asked = []

    def load_dataset(*way: str, **settings: Any) -> datasets.DatasetDict:
        asked.append((way, settings))
        if len(way) == 1:
            raise datasets.exceptions.DatasetNotFoundError("Dataset 'corpus/mrpc' doesn't exist on the Hub")
        splits = {"train": table(30), "validation_matched": table(6), "test": table(5, True), "extra": table(2)}
        return datasets.DatasetDict(splits)

    monkeypatch.setattr(hub, "hub_reachable", lambda: True)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = load("corpus/mrpc")
    assert asked == [(("corpus/mrpc",), {}), (("corpus", "mrpc"), {})]
    assert data.splits["train"][1] == {"text": "one 1", "text_pair": "two 1", "label": "same"}
    assert set(data.splits) == {"train", "validation"}
    assert "splits not used: extra" in data.notes
    assert "5 rows without label left out of test" in data.notes
    assert "test has no labelled row and is left out" in data.notes


def test_hub_refusal_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*way: str) -> None:
        raise RuntimeError("Dataset scripts are no longer supported, but found glue.py\nmore\nand more")

    monkeypatch.setattr(hub, "hub_reachable", lambda: True)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert "scripts are no longer supported" in refusal("some/thing")


# --- columns ---------------------------------------------------------------------------------------------------------


def test_columns_guessed_by_name_and_said(tmp_path: Path) -> None:
    rows = [{"id": str(i), "Subject": "hm", "Body": f"the text {i}", "Queue": "ab"[i % 2]} for i in range(20)]
    data = load(csv(tmp_path / "a.csv", rows))
    assert (data.spec.text, data.spec.label) == ("Body", "Queue")
    assert "columns guessed: text=Body, label=Queue (not used: 'id', 'Subject')" in data.notes


def test_columns_guessed_by_content(tmp_path: Path) -> None:
    rows = [{"n": i, "wat": f"some words are here {i}", "soort": "ab"[i % 2]} for i in range(40)]
    data = load(csv(tmp_path / "a.csv", rows))
    assert (data.spec.text, data.spec.label) == ("wat", "soort")


def test_columns_named_win_over_guesses(tmp_path: Path) -> None:
    rows = [{"text": f"a {i}", "other": f"b {i}", "label": "x", "kind": "ab"[i % 2]} for i in range(40)]
    data = load(csv(tmp_path / "a.csv", rows), text="other", label="kind")
    assert data.splits["train"][0]["text"].startswith("b ")
    assert data.spec.text_pair is None


@pytest.mark.parametrize(("a", "b"), [("sentence1", "sentence2"), ("Premise", "hypothesis"), ("text", "text_pair")])
def test_pairs_are_guessed(a: str, b: str, tmp_path: Path) -> None:
    rows = [{b: f"second {i}", a: f"first {i}", "label": i % 2} for i in range(20)]
    data = load(csv(tmp_path / "a.csv", rows))
    assert data.splits["train"][0]["text"].startswith("first")
    assert data.splits["train"].column_names == ["text", "text_pair", "label"]


def test_columns_that_change_places(tmp_path: Path) -> None:
    rows = [{"label": f"words {i}", "text": "ab"[i % 2]} for i in range(20)]
    data = load(csv(tmp_path / "a.csv", rows), text="label", label="text")
    assert set(data.splits["train"]["label"]) == {"a", "b"}


def test_column_faults(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv")
    assert refusal(path, text="mesage") == "no column 'mesage' for the text. Did you mean 'message'?"
    assert "no column 'intent' for the label. There is: message, queue" in refusal(path, label="intent")
    assert "cannot be two things" in refusal(path, text="queue", label="queue")
    rows = [{"t": f"some words {i}", "p": "ab"[i % 2], "q": "cd"[i % 2]} for i in range(40)]
    said = refusal(csv(tmp_path / "b.csv", rows))
    assert "'p', 'q' could all be it" in said
    assert said.endswith("Say which, such as: --text t --label p")
    rows = [{"text": f"words {i}", "category": f"unique {i}"} for i in range(60)]
    assert "hardly a label" in refusal(csv(tmp_path / "c.csv", rows))
    assert load(tmp_path / "c.csv", label="category", validation=str(tmp_path / "c.csv"))  # said, so done
    other = csv(tmp_path / "t.csv", [{"text": "asked", "queue": "hr"}])
    assert "test has no column 'message' for the text" in refusal(path, test=str(other))


def test_label_column_of_a_file_sorted_by_label(tmp_path: Path) -> None:
    rows = [{"words": f"some words {i}", "kind": "ab"[i // 3000], "n": i} for i in range(6000)]
    assert load(csv(tmp_path / "a.csv", rows)).spec.label == "kind"


# --- labels and rows -------------------------------------------------------------------------------------------------


def test_rows_left_out_are_counted(tmp_path: Path) -> None:
    rows = [*ROWS, {"message": None, "queue": "it"}, {"message": "  ", "queue": "it"}, {"message": "hm", "queue": None}]
    for path in (csv(tmp_path / "a.csv", rows), tmp_path / "a.parquet"):
        pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
        data = load(path)
        assert "2 rows without text left out of train" in data.notes
        assert "1 row without label left out of train" in data.notes
        assert sum(len(split) for split in data.splits.values()) == 60
        assert data.fingerprint == load(csv(tmp_path / "plain.csv")).fingerprint


def test_labels_stripped_and_look_alikes_named(tmp_path: Path) -> None:
    rows = [{"text": f"words {i}", "label": (" pay", "hr", "HR")[i % 3]} for i in range(60)]
    data = load(csv(tmp_path / "a.csv", rows))
    assert set(data.splits["train"]["label"]) == {"pay", "hr", "HR"}
    assert "blanks around 20 labels of train removed" in data.notes
    assert "labels that differ only by case, blanks or invisible characters are kept apart: 'HR' / 'hr'" in data.notes


@pytest.mark.parametrize("values", [[0, 1], [0.0, 1.0], ["0", "1"], [False, True]])
def test_numeric_labels_become_names(values: list[Any], tmp_path: Path) -> None:
    pd.DataFrame([{"text": f"words {i}", "label": values[i % 2]} for i in range(20)]).to_parquet(tmp_path / "a.parquet")
    data = load(tmp_path / "a.parquet")
    assert data.task == "classification"
    assert set(data.splits["train"]["label"]) == ({"False", "True"} if values[0] is False else {"0", "1"})


def test_numbers_with_fractions_ask_for_regression(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", [{"text": f"words {i}", "label": i / 7} for i in range(40)])
    assert "--task regression" in refusal(path)
    data = load(path, task="regression")
    assert data.splits["train"].features["label"].dtype == "float64"
    assert len(data.splits["validation"]) == 4
    path = csv(tmp_path / "b.csv", [{"text": f"words {i}", "label": "high" if i == 9 else i} for i in range(40)])
    assert "holds 'high', not a number" in refusal(path, task="regression")


def test_repeats_and_leaks_are_said(tmp_path: Path) -> None:
    test = csv(tmp_path / "t.csv", [*ROWS[:3], {"message": "new", "queue": "hr"}])
    data = load(csv(tmp_path / "a.csv", [*ROWS, *ROWS[:12]]), test=str(test))
    assert "12 rows in train with a text that stands there already" in data.notes
    assert "3 test rows also stand in train" in data.notes
    assert len(data.splits["test"]) == 4  # said, not dropped


def test_lists_as_labels_are_refused(tmp_path: Path) -> None:
    pd.DataFrame([{"text": f"t {i}", "label": ["a", "b"]} for i in range(9)]).to_json(
        tmp_path / "a.json", orient="records"
    )
    assert "column 'label' holds lists" in refusal(tmp_path / "a.json")


# --- splits ----------------------------------------------------------------------------------------------------------


def test_carving_is_stratified_capped_and_repeatable(tmp_path: Path) -> None:
    rows = [{"text": f"words {i}", "label": "a" if i % 4 else "b"} for i in range(400)]
    path = csv(tmp_path / "a.csv", rows)
    data = load(path)
    assert Counter(data.splits["validation"]["label"]) == {"a": 30, "b": 10}
    assert len(data.splits["train"]) == 360
    assert not set(data.splits["train"]["text"]) & set(data.splits["validation"]["text"])
    assert pairs(load(path).splits["validation"]) == pairs(data.splits["validation"])
    assert pairs(load(path, split_seed=1).splits["validation"]) != pairs(data.splits["validation"])
    assert len(load(path, validation_most=12).splits["validation"]) == 12
    assert load(path, split_seed=1).fingerprint == data.fingerprint


def test_a_carved_text_is_not_in_train(tmp_path: Path) -> None:
    rows = [{"text": f"words {i % 50}", "label": "ab"[i % 2]} for i in range(80)]  # 30 texts twice, 20 once
    data = load(csv(tmp_path / "a.csv", rows), validation_share=0.2)
    assert len(data.splits["validation"]) == 16
    assert not set(data.splits["train"]["text"]) & set(data.splits["validation"]["text"])


def test_limit_keeps_validation_and_every_label(tmp_path: Path) -> None:
    rows = [{"text": f"words {i}", "label": "rare" if i % 100 == 0 else "ab"[i % 2]} for i in range(400)]
    path = csv(tmp_path / "a.csv", rows)
    data = load(path, limit=20)
    assert len(data.splits["train"]) == 20
    assert set(data.splits["train"]["label"]) == {"rare", "a", "b"}
    assert pairs(data.splits["validation"]) == pairs(load(path).splits["validation"])
    assert "20 of 360 training rows used, as the limit says" in data.notes
    assert "There are 3 labels" in refusal(path, limit=2)
    assert len(load(path, limit=10**6).splits["train"]) == 360


def test_draw_takes_what_is_asked_for_and_leaves_one_of_each() -> None:
    labels = np.array([0] * 10 + [1] * 2 + [2])
    for count in range(1, 14):
        drawn = draw(labels, np.arange(13), count, 0, leave=1, least=0)
        assert len(set(drawn.tolist())) == len(drawn) == min(count, 10)
        assert set(labels[np.setdiff1d(np.arange(13), drawn)]) == {0, 1, 2}
        drawn = draw(labels, np.arange(13), count, 0, leave=0, least=1)
        assert len(drawn) == max(count, 3) if count < 3 else len(drawn) == count
    assert draw(labels, np.arange(13), 4, 0, leave=1, least=0).tolist() == [2, 4, 6, 8]  # frozen for good
    assert draw(None, np.arange(13), 4, 0, leave=1, least=0).tolist() == [4, 6, 10, 11]


# --- what cannot be used ---------------------------------------------------------------------------------------------


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    csv(tmp_path / "tickets.csv")
    assert f"Did you mean '{tmp_path / 'tickets.csv'}'?" in refusal(tmp_path / "tickts.csv")
    assert "There is no folder" in refusal(tmp_path / "nowhere" / "a.csv")
    (tmp_path / "empty.csv").write_text("")
    assert "empty.csv is empty" in refusal(tmp_path / "empty.csv")
    (tmp_path / "head.csv").write_text("text,label\n")
    assert "no rows" in refusal(tmp_path / "head.csv")
    (tmp_path / "none.json").write_text("[]")
    assert "none.json has no rows" in refusal(tmp_path / "none.json")
    (tmp_path / "a.xlsx").write_text("x")
    assert "a.xlsx is an Excel workbook" in refusal(tmp_path / "a.xlsx")
    (tmp_path / "a.pkl").write_bytes(b"cos\nsystem\n(S'touch gone'\ntR.")
    assert "never loaded" in refusal(tmp_path / "a.pkl")
    (tmp_path / "bad.parquet").write_text("no parquet")
    assert "bad.parquet is not a parquet file" in refusal(tmp_path / "bad.parquet")
    (tmp_path / "cut.parquet").write_bytes(write_as("parquet", tmp_path).read_bytes()[:-9])
    assert "cut.parquet cannot be read" in refusal(tmp_path / "cut.parquet")
    (tmp_path / "bad.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": oh no}\n')
    assert "bad.jsonl cannot be read" in refusal(tmp_path / "bad.jsonl")


def test_unquoted_separators_are_never_read_shifted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nhello, world,greet\nbye, all,greet\n")
    assert "first row has 3 fields" in refusal(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("text,label\nhello,greet\nbye, all,greet\n")
    assert 'must stand between "quotes"' in refusal(tmp_path / "b.csv")


@pytest.mark.parametrize(("encoding", "said"), [("cp1252", "cp1252"), ("utf-16", "utf-16"), ("latin-1", "cp1252")])
def test_wrong_encoding_names_the_right_one(encoding: str, said: str, tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", encoding=encoding)
    problem = refusal(path)
    assert f"is not UTF-8 (line {1 if encoding == 'utf-16' else 2}); it looks like {said}" in problem
    new = path.read_text(said)
    path.write_text(new, "utf-8")
    assert load(path).splits["train"][0]["text"].endswith("näh")


def test_a_character_cut_at_the_end_of_the_file(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv")
    path.write_bytes(path.read_bytes() + "x ü".encode()[:-1])
    assert "is not UTF-8 (line 62)" in refusal(path)


def test_labels_that_cannot_teach(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", [{"text": f"t {i}", "label": "only"} for i in range(9)])
    assert "same label, 'only'" in refusal(path)
    test = csv(tmp_path / "t.csv", [{"message": "asked", "queue": q} for q in ("hr", "legal", "sales")])
    assert "2 labels are in test only: 'legal', 'sales'" in refusal(csv(tmp_path / "b.csv"), test=str(test))
    path = csv(tmp_path / "c.csv", [{"text": None, "label": "ab"[i % 2]} for i in range(9)])
    assert "no training row has both 'text' and 'label'" in refusal(path, text="text")
    path = csv(tmp_path / "d.csv", [{"text": "one here", "label": "a"}, {"text": "two here", "label": "b"}])
    assert "too few to carve" in refusal(path)


# --- from the notebook -----------------------------------------------------------------------------------------------


def test_keep_table_and_load_it_again(tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS, index=range(100, 160)).astype({"queue": "category"})
    given: list[Any] = [ROWS, frame, datasets.Dataset.from_list(ROWS)]
    plain = load(csv(tmp_path / "plain.csv")).fingerprint
    for number, obj in enumerate(given):
        path = keep_table(obj, "my frame", tmp_path / str(number))
        assert path.name.startswith("my_frame-")
        assert path.suffix == ".parquet"
        assert keep_table(obj, "my frame", tmp_path / str(number)) == path
        assert [p.name for p in path.parent.iterdir()] == [path.name]
        assert load(path).fingerprint == plain
    assert keep_table(ROWS[1:], "my frame", tmp_path) != keep_table(ROWS, "my frame", tmp_path)


def test_keep_splits_with_class_names(tmp_path: Path) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    tables = {
        split: datasets.Dataset.from_list(
            [{"text": f"{split} {i}", "label": i % 2} for i in range(20)], features=features
        )
        for split in ("train", "test")
    }
    path = keep_table(datasets.DatasetDict(tables), "answers", tmp_path)
    assert path.is_dir()
    data = load(path)
    assert len(data.splits["test"]) == 20
    assert set(data.splits["train"]["label"]) == {"no", "yes"}


def test_keep_table_refuses_what_is_no_table(tmp_path: Path) -> None:
    for obj in (3, "text", ["a", "b"], pd.DataFrame({"a": [1, "x", None]})):
        with pytest.raises(DataProblem):
            keep_table(obj, "x", tmp_path)


def test_nothing_is_printed_and_settings_come_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    datasets.enable_progress_bars()
    level = datasets.utils.logging.get_verbosity()
    load(csv(tmp_path / "a.csv"))
    keep_table(ROWS, "x", tmp_path / "k")
    (tmp_path / "bad.jsonl").write_text('{"text": oh no}\n')
    refusal(tmp_path / "bad.jsonl")
    assert capfd.readouterr() == ("", "")
    assert not datasets.are_progress_bars_disabled()
    assert datasets.utils.logging.get_verbosity() == level


def test_describe_is_json(tmp_path: Path) -> None:
    import json

    rows = [{"text": f"words {i}", "label": f"k{i % 150}"} for i in range(1500)]
    told = load(csv(tmp_path / "a.csv", rows)).describe()
    assert json.loads(json.dumps(told)) == told
    assert len(told["labels"]) == 100
    assert told["label_count"] == 150
