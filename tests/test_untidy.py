"""Data as it really is. Each test is named in the table of ``docs/untidy-data.md``, which quotes what is said."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem
from peft_lab.host import Host
from peft_lab.listings.inputs import data as listing
from peft_lab.sources.datasets import Data, load_data
from peft_lab.sources.models import find_model, load_tokenizer
from peft_lab.sources.tables import keep_table
from peft_lab.tasks.classification import Classification
from peft_lab.testing import tiny_lab, tiny_rows
from peft_lab.training.batches import encode
from pluggy_specs import DatasetSource

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "untidy-data.md"
LINE = re.compile(r"^\| (?P<what>.+?) \| (?P<happens>.+?) \| `(?P<test>test_\w+)` \|$", re.M)
ROWS = {row["test"]: re.findall(r"`([^`]+)`", row["happens"]) for row in LINE.finditer(PAGE.read_text("utf-8"))}
TICKETS = [
    {"text": f"my device number {i} does odd things, näh", "label": ("it", "hr", "pay")[i % 3]} for i in range(60)
]


class Quoted:
    """The messages that the page quotes for one test; each must come."""

    def __init__(self, messages: list[str]) -> None:
        self.messages = messages
        self.missing = set(messages)

    def refused(self, source: str = "tickets.csv", **spec: Any) -> None:
        """Loading is refused in a line that the page quotes."""
        with pytest.raises(DataProblem) as caught:
            load(source, **spec)
        self.came(str(caught.value))

    def came(self, message: str) -> None:
        """A message came that the page quotes."""
        assert message in self.messages
        assert "\n" not in message
        self.missing.discard(message)

    def noted(self, notes: Any) -> None:
        """Every note that the page quotes and that did not come before is among these."""
        assert self.missing
        assert self.missing <= set(notes), set(notes)
        self.missing.clear()


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Iterator[Quoted]:
    quoted = Quoted(ROWS[request.node.originalname])
    yield quoted
    assert not quoted.missing, f"the page quotes what did not come: {quoted.missing}"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files have short names, and the library's cache is the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def load(source: str, *more: DatasetSource, **spec: Any) -> Data:
    host = Host(entry_points=False)
    for one in more:
        host.add(one)
    return load_data(DataSpec(source=source, **spec), host)


def csv(rows: Any = None, name: str = "tickets.csv", **settings: Any) -> Path:
    pd.DataFrame(TICKETS if rows is None else rows).to_csv(name, index=False, **settings)
    return Path(name)


def texts(data: Data) -> list[str]:
    return sorted(text for table in data.splits.values() for text in table["text"])


# --- the page --------------------------------------------------------------------------------------------------------


def test_every_row_of_the_page_names_a_test_and_every_test_has_a_row() -> None:
    here = {name for name, thing in globals().items() if name.startswith("test_") and callable(thing)}
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ") and "`test_" in line]
    assert len(lines) == len(ROWS) > 50, "a row that cannot be read, or two rows for one test"
    assert here - {"test_every_row_of_the_page_names_a_test_and_every_test_has_a_row"} == set(ROWS)


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_name_that_is_not_there(page: Quoted) -> None:
    csv()
    page.refused("tickts.csv")


def test_an_empty_file(page: Quoted) -> None:
    Path("tickets.csv").write_text("")
    page.refused()


def test_names_without_rows(page: Quoted) -> None:
    Path("tickets.csv").write_text("text,label\n")
    page.refused()


def test_an_encoding_that_is_not_utf8(page: Quoted) -> None:
    csv(encoding="cp1252")
    page.refused()
    advised = Path("new.csv").write_text(Path("tickets.csv").read_text("cp1252"), "utf-8")
    assert advised and texts(load("new.csv"))[0].endswith("näh")


def test_utf16_with_and_without_a_mark(page: Quoted) -> None:
    csv(encoding="utf-16")
    page.refused()
    csv(encoding="utf-16-le")
    page.refused()


def test_half_a_character(page: Quoted) -> None:
    Path("tickets.csv").write_bytes(b"text,label\nhello \xed\xa0\xbd,it\n")
    page.refused()
    with pytest.raises(DataProblem) as caught:
        keep_table([*TICKETS, {"text": "half \ud83d", "label": "it"}], "df", Path())
    page.came(str(caught.value))
    Path("tickets.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": "half \\ud83d", "label": "b"}\n')
    page.refused("tickets.jsonl")


def test_line_ends_of_other_systems() -> None:
    plain = load(str(csv())).fingerprint
    for ends in ("\r\n", "\r"):
        assert load(str(csv(name="other.csv", lineterminator=ends))).fingerprint == plain


def test_a_byte_order_mark() -> None:
    plain = load(str(csv())).fingerprint
    marked = load(str(csv(name="marked.csv", encoding="utf-8-sig")))
    assert (marked.fingerprint, marked.spec.text) == (plain, "text")


def test_other_separators() -> None:
    plain = load(str(csv())).fingerprint
    for mark in (";", "\t", "|"):
        assert load(str(csv(name="other.csv", sep=mark))).fingerprint == plain
    assert load(str(csv(name="tickets.tsv", sep="\t"))).fingerprint == plain


def test_quotes_and_line_breaks(page: Quoted) -> None:
    rows = [{"text": f'so, he said "{i}"\nand; left|\tthen', "label": "ab"[i % 2]} for i in range(30)]
    data = load(str(csv(rows)))
    assert texts(data) == sorted(str(row["text"]) for row in rows)
    page.noted(data.notes)


def test_rows_with_too_many_fields(page: Quoted) -> None:
    Path("tickets.csv").write_text("text,label\nhello, world,greet\nbye,greet\n")
    page.refused()
    Path("tickets.csv").write_text("text,label\nhello,greet\nbye, all,greet\n")
    page.refused()


def test_rows_with_too_few_fields(page: Quoted) -> None:
    csv()
    with Path("tickets.csv").open("a", encoding="utf-8") as file:
        file.write("a text and no more\n")
    data = load("tickets.csv")
    assert len(texts(data)) == 60
    page.noted(data.notes)


def test_a_quote_that_never_ends(page: Quoted) -> None:
    csv()
    with Path("tickets.csv").open("a", encoding="utf-8") as file:
        file.write('"he said,it\nmore,it\n')
    page.refused()


def test_compressed_files(page: Quoted) -> None:
    plain = csv().read_bytes()
    Path("tickets.csv.gz").write_bytes(gzip.compress(plain))
    page.refused("tickets.csv.gz")
    Path("tickets.csv").write_bytes(gzip.compress(plain))
    page.refused()
    with zipfile.ZipFile("tickets.zip", "w") as packed:
        packed.writestr("tickets.csv", plain)
    page.refused("tickets.zip")


def test_an_excel_file(page: Quoted) -> None:
    with zipfile.ZipFile("tickets.xlsx", "w") as packed:
        packed.writestr("xl/workbook.xml", "<workbook/>")
    page.refused("tickets.xlsx")


def test_a_wrong_ending(page: Quoted) -> None:
    pd.DataFrame(TICKETS).to_parquet("tickets.csv")
    page.refused()
    csv(name="tickets.parquet")
    page.refused("tickets.parquet")
    csv(name="tickets.txt")
    page.refused("tickets.txt")


def test_files_that_may_hold_code(page: Quoted) -> None:
    marker = Path("ran")
    Path("tickets.pkl").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    page.refused("tickets.pkl")
    assert not marker.exists()


def test_links(page: Quoted) -> None:
    plain = load(str(csv())).fingerprint
    Path("link.csv").symlink_to("tickets.csv")
    assert load("link.csv").fingerprint == plain
    Path("tickets.csv").rename("moved.csv")
    page.refused("link.csv")


def test_no_permission(page: Quoted, monkeypatch: pytest.MonkeyPatch) -> None:
    csv()
    if os.geteuid() == 0:  # whom the system refuses nothing
        real = Path.open

        def refusing(path: Path, *arguments: Any, **more: Any) -> Any:
            if path.name == "tickets.csv":
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *arguments, **more)

        monkeypatch.setattr(Path, "open", refusing)
    else:
        Path("tickets.csv").chmod(0)
    page.refused()


def test_a_file_that_changes_while_it_is_read(page: Quoted, monkeypatch: pytest.MonkeyPatch) -> None:
    csv()
    real = datasets.Dataset.from_csv

    def slow(path: str, **settings: Any) -> Any:
        table = real(path, **settings)
        with Path(path).open("a") as file:
            file.write("one more,it\n")
        return table

    monkeypatch.setattr(datasets.Dataset, "from_csv", slow)
    page.refused()


@pytest.mark.parametrize("in_memory", [10, 10**9])
def test_a_file_that_changes_between_two_reads(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peft_lab.sources.files.IN_MEMORY", in_memory)
    path = csv()
    before, stamp = load("tickets.csv"), path.stat()
    path.write_bytes(path.read_bytes().replace(b"number 7 ", b"number X "))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # same size, same time: only the content tells
    after = load("tickets.csv")
    assert any("number X" in text for text in texts(after))
    assert before.fingerprint != after.fingerprint


def test_a_disk_that_is_full(page: Quoted, monkeypatch: pytest.MonkeyPatch) -> None:
    csv()

    def full(path: str, **settings: Any) -> Any:
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise datasets.exceptions.DatasetGenerationError("An error occurred") from error

    monkeypatch.setattr(datasets.Dataset, "from_csv", full)
    page.refused()


def test_a_folder(page: Quoted) -> None:
    Path("mine").mkdir()
    csv(name="mine/train.csv")
    csv([{"text": f"asked {i}", "label": "hr"} for i in range(4)], "mine/test.csv")
    csv(name="mine/extra.csv")
    data = load("mine")
    assert {split: len(table) for split, table in data.splits.items()} == {"train": 54, "validation": 6, "test": 4}
    page.came(next(note for note in data.notes if "not used" in note))
    Path("mine/train.csv").unlink()
    page.refused("mine")
    Path("empty").mkdir()
    page.refused("empty")


def test_rows_under_a_key(page: Quoted) -> None:
    Path("tickets.json").write_text(json.dumps({"version": 1, "data": TICKETS}))
    page.refused("tickets.json")


def test_json_by_columns(page: Quoted) -> None:
    Path("tickets.json").write_text(json.dumps({name: [row[name] for row in TICKETS] for name in ("text", "label")}))
    page.refused("tickets.json")


def test_objects_in_a_column(page: Quoted) -> None:
    rows = [{"text": row["text"], "label": {"name": row["label"]}} for row in TICKETS]
    Path("tickets.json").write_text(json.dumps(rows))
    page.refused("tickets.json", text="text", label="label")


def test_several_labels_a_row(page: Quoted) -> None:
    Path("tickets.json").write_text(json.dumps([{**row, "label": ["it", "hr"]} for row in TICKETS]))
    page.refused("tickets.json")


def test_keys_that_differ_by_row(page: Quoted) -> None:
    rows = [*TICKETS, {"text": "only a text"}, {"label": "it", "colour": "red"}]
    Path("tickets.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = load("tickets.jsonl")
    assert len(texts(data)) == 60
    page.noted(data.notes)
    kept = keep_table(rows, "df", Path())
    assert load(str(kept)).fingerprint == data.fingerprint


def test_numbers_and_words_in_one_column() -> None:
    rows = [{"text": row["text"], "label": (1, "one", True)[i % 3]} for i, row in enumerate(TICKETS)]
    Path("tickets.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert set(load("tickets.jsonl").labels) == {"1", "one", "True"}


def test_a_table_with_mixed_columns(page: Quoted) -> None:
    with pytest.raises(DataProblem) as caught:
        keep_table(pd.DataFrame({"text": ["a b", 1, None], "label": ["x", "y", "z"]}), "df", Path())
    page.came(str(caught.value))


def test_nan_in_json(page: Quoted) -> None:
    rows = [*TICKETS, {"text": "no label", "label": float("nan")}, {"text": float("nan"), "label": "it"}]
    Path("tickets.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = load("tickets.jsonl")
    assert len(texts(data)) == 60
    page.noted(data.notes)


def test_json_that_is_none(page: Quoted) -> None:
    Path("tickets.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": oh no}\n')
    page.refused("tickets.jsonl")


# --- columns ---------------------------------------------------------------------------------------------------------


def test_a_missing_column(page: Quoted) -> None:
    csv()
    page.refused(text="txt")
    page.refused(label="queue")


def test_columns_that_cannot_be_told(page: Quoted) -> None:
    csv([{"t": f"some words {i}", "p": "ab"[i % 2], "q": "cd"[i % 2]} for i in range(40)])
    page.refused()


def test_a_file_without_names(page: Quoted) -> None:
    csv(header=False)
    page.refused()


# --- texts -----------------------------------------------------------------------------------------------------------


def test_empty_texts(page: Quoted) -> None:
    data = load(str(csv([*TICKETS, {"text": None, "label": "it"}, {"text": "   ", "label": "it"}])))
    assert len(texts(data)) == 60
    page.noted(data.notes)


def test_missing_values_in_a_table(page: Quoted) -> None:
    rows = [*TICKETS, {"text": float("nan"), "label": "it"}, {"text": "a text", "label": None}]
    data = load(str(keep_table(pd.DataFrame(rows), "df", Path())))
    assert len(texts(data)) == 60
    page.noted(data.notes)


def test_words_for_nothing_as_texts(page: Quoted) -> None:
    data = load(str(csv([*TICKETS, {"text": "NaN", "label": "it"}, {"text": "n/a", "label": "it"}])))
    assert len(texts(data)) == 62
    page.noted(data.notes)


def test_no_row_left(page: Quoted) -> None:
    csv([{"text": None, "label": "ab"[i % 2]} for i in range(9)])
    page.refused(text="text", label="label")


def test_numbers_as_texts() -> None:
    pd.DataFrame([{"text": 100 + i, "label": i % 2} for i in range(40)]).to_parquet("tickets.parquet")
    data = load("tickets.parquet", text="text", label="label")
    assert texts(data) == [str(100 + i) for i in range(40)]
    assert data.labels == {"0": 18, "1": 18}


def test_texts_that_stand_twice(page: Quoted) -> None:
    data = load(str(csv([*TICKETS, *TICKETS[:12]])))
    assert len(texts(data)) == 72
    assert not set(data.splits["train"]["text"]) & set(data.splits["validation"]["text"])
    page.noted(data.notes)


def test_one_text_with_two_labels(page: Quoted) -> None:
    data = load(str(csv([*TICKETS, {**TICKETS[0], "label": "hr"}, {**TICKETS[1], "label": "pay"}])))
    page.noted(data.notes)


def test_control_characters_and_emoji(page: Quoted) -> None:
    odd = ["nul \x00 here", "\x1b[31mred", "right \u202e to left", "zero\u200bwidth"]
    fine = ["👩\u200d🔧 an engineer", "نمی\u200cخواهم", "e\u0301"]
    rows = [*TICKETS, *({"text": text, "label": "ev\u202eil"} for text in (*odd, *fine) for _ in range(2))]
    Path("tickets.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    data = load("tickets.jsonl")
    assert set(texts(data)) >= {*odd, *fine}, "texts are kept as they are"
    page.came(next(note for note in data.notes if "invisible" in note))
    shown = listing(data)
    for way in (str(shown), shown._repr_html_()):
        assert r"ev\u202eil" in way
        assert not set("\x00\x1b\u202e\u200b") & set(way)


def test_zero_bytes_in_csv() -> None:
    Path("tickets.csv").write_text(csv().read_text("utf-8") + "nul \x00 here,it\n", "utf-8")
    assert "nul \x00 here" in texts(load("tickets.csv"))


def test_a_text_of_ten_megabytes(tmp_path: Path) -> None:
    long = "red ship " * 1_200_000
    began = time.perf_counter()
    for name in ("tickets.csv", "tickets.jsonl"):
        frame = pd.DataFrame([*TICKETS, {"text": long, "label": "it"}])
        if name.endswith("csv"):
            frame.iloc[::-1].to_csv(name, index=False)
        else:
            frame.to_json(name, orient="records", lines=True)
        data = load(name)
        assert max(map(len, texts(data))) == len(long)
    assert len(str(listing(data))) < 5000
    assert time.perf_counter() - began < 30


# --- texts and the tokenizer -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_lab(tmp_path_factory.mktemp("lab"))


def trained(lab: Any, rows: list[dict[str, str]], **settings: Any) -> Any:
    lab.add(DatasetSource("odd", "rows of this test", lambda: {"train": tiny_rows(60), "test": rows}))
    return lab.train("head", data="odd", epochs=1, batch_size=16, **settings)


def test_texts_over_the_limit(page: Quoted, lab: Any) -> None:
    rows = [*tiny_rows(9), {"text": "red ship dock " * 10, "label": "about-red"}]
    page.noted(trained(lab, rows, max_length=16).record["notes"])


@pytest.fixture(scope="module")
def tokenizer(lab: Any) -> Any:
    """That of the tiny model, passing over invisible characters as BERT's does."""
    from tokenizers import normalizers

    tokenizer = load_tokenizer(find_model("tiny", lab.host))
    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer()
    return tokenizer


def test_a_limit_that_leaves_no_text(page: Quoted, tokenizer: Any) -> None:
    table = datasets.Dataset.from_list(tiny_rows(9))
    with pytest.raises(DataProblem) as caught:
        encode(table, [], tokenizer, 2)
    page.came(str(caught.value))
    assert encode(table, [], tokenizer, 3).cut == 9


def test_the_beginning_of_a_very_long_text_is_enough(tokenizer: Any) -> None:
    draw = random.Random(0)
    long = " ".join(draw.choices(("red", "ship", "dock-crane", "x" * 300, "näh,", "\n\n"), k=2500))
    short = [row["text"] for row in tiny_rows(3)]
    for pair in (None, [short[0], long, short[1], long]):
        rows = {"text": [long, short[2], long, long]} | ({"text_pair": pair} if pair else {})
        coded = encode(datasets.Dataset.from_dict(rows), [], tokenizer, 40)
        whole = tokenizer(*rows.values(), truncation=True, max_length=40)["input_ids"]
        assert [ids.tolist() for ids in coded.columns["input_ids"]] == whole
        assert coded.cut == (4 if pair else 3)
    began = time.perf_counter()
    endless = datasets.Dataset.from_dict({"text": [long * 40, "a " + "long" * 50_000, " " * 200_000 + "red"]})
    assert encode(endless, [], tokenizer, 40).lengths.tolist() == [40, 4, 3]
    assert time.perf_counter() - began < 5


def test_texts_that_the_tokenizer_cannot_read(page: Quoted, tokenizer: Any) -> None:
    blank = {"text": "\u200b\u200b", "label": "about-red"}
    coded = encode(datasets.Dataset.from_list([*tiny_rows(9), blank, blank]), [], tokenizer, 64)
    page.came(coded.notes("test", 64)[0])
    with pytest.raises(DataProblem) as caught:
        encode(datasets.Dataset.from_list([blank, blank]), [], tokenizer, 64)
    page.came(str(caught.value))


# --- labels ----------------------------------------------------------------------------------------------------------


def test_one_label(page: Quoted) -> None:
    csv([{**row, "label": "only"} for row in TICKETS])
    page.refused()


def test_a_label_in_test_only(page: Quoted) -> None:
    csv()
    csv([{"text": "asked", "label": label} for label in ("hr", "legal", "sales")], "asked.csv")
    page.refused(test="asked.csv")


def test_a_label_in_test_that_looks_like_one_of_train(page: Quoted) -> None:
    csv()
    csv([{"text": "asked", "label": "IT"}], "asked.csv")
    page.refused(test="asked.csv")


def test_numbers_as_labels() -> None:
    def named(labels: list[Any], kind: str) -> str:
        frame = pd.DataFrame([{"text": row["text"], "label": labels[i % 2]} for i, row in enumerate(TICKETS)])
        name = f"tickets.{kind}"
        frame.to_csv(name, index=False) if kind == "csv" else frame.to_parquet(name)
        data = load(name)
        assert set(data.labels) == {"0", "1"}
        return data.fingerprint

    ways = [named([0, 1], "csv"), named([0, 1], "parquet"), named([0.0, 1.0], "parquet"), named(["0", "1"], "csv")]
    assert len(set(ways)) == 1


def test_whole_numbers_written_with_a_fraction(page: Quoted) -> None:
    csv([{"text": row["text"], "label": float(i % 2)} for i, row in enumerate(TICKETS)])
    csv([{"text": f"asked {i}", "label": i % 2} for i in range(4)], "asked.csv")
    data = load("tickets.csv", test="asked.csv")
    assert set(data.labels) == {"0", "1"}
    page.noted(data.notes)


def test_numbers_with_fractions(page: Quoted) -> None:
    csv([{**row, "label": i / 7} for i, row in enumerate(TICKETS)])
    page.refused()


def test_true_and_false() -> None:
    frame = pd.DataFrame([{**row, "label": i % 2 == 0} for i, row in enumerate(TICKETS)])
    frame.to_parquet("tickets.parquet")
    frame.to_csv("tickets.csv", index=False)
    assert set(load("tickets.parquet").labels) == {"False", "True"}
    assert load("tickets.parquet").fingerprint == load("tickets.csv").fingerprint


def test_blanks_around_labels(page: Quoted) -> None:
    data = load(str(csv([{**row, "label": row["label"].replace("hr", " hr ")} for row in TICKETS])))
    assert set(data.labels) == {"it", "hr", "pay"}
    page.noted(data.notes)


def test_labels_that_look_alike(page: Quoted) -> None:
    names = ["HR", "hr", "caf\u00e9", "cafe\u0301", "pay", "pa\u200by"]
    data = load(str(csv([{**row, "label": names[i % 6]} for i, row in enumerate(TICKETS)])))
    assert len(data.labels) == 6
    (note,) = (note for note in data.notes if "kept apart" in note)
    page.came(note.replace("cafe\u0301", "café"))


def test_words_for_nothing_as_labels(page: Quoted) -> None:
    data = load(str(csv([{**row, "label": ("NaN", "None", "007")[i % 3]} for i, row in enumerate(TICKETS)])))
    assert set(data.labels) == {"NaN", "None", "007"}
    page.noted(data.notes)


def test_a_label_with_one_row(page: Quoted) -> None:
    data = load(str(csv([*TICKETS, {"text": "the only one", "label": "rare"}])))
    assert data.labels["rare"] == 1
    assert "rare" not in data.splits["validation"]["label"]
    page.noted(data.notes)


def test_a_label_that_prevails(page: Quoted) -> None:
    data = load(str(csv([{**row, "label": "spam" if i % 12 == 0 else "ham"} for i, row in enumerate(TICKETS)])))
    page.noted(data.notes)


def test_ten_thousand_labels(page: Quoted) -> None:
    rows = [{"text": f"text {i} of many", "label": f"intent {i % 10_000}"} for i in range(40_000)]
    csv(rows)
    began = time.perf_counter()
    data = load("tickets.csv", text="text", label="label")
    shown = listing(data)
    task = Classification()
    targets = task.targets(data.splits["train"])
    codes = task.encode_labels(data.splits["validation"], targets)
    assert time.perf_counter() - began < 15
    assert len(data.labels) == len(targets["labels"]) == 10_000
    assert [targets["labels"][code] for code in codes] == list(data.splits["validation"]["label"])
    assert len(shown) == 30
    assert "The 30 most frequent of 10,000 labels." in str(shown)
    assert all(row[2].startswith("text ") for row in shown.rows)
    page.noted(data.notes)


def test_ten_thousand_labels_train(lab: Any) -> None:
    rows = [{"text": row["text"], "label": f"intent {i % 10_000}"} for i, row in enumerate(tiny_rows(20_100))]
    lab.add(DatasetSource("many", "", lambda: {"train": rows}))
    run = lab.train("head", data=DataSpec(source="many", limit=10_000), epochs=1, batch_size=512)
    assert run.status == "finished"
    assert run.cost["trainable_head"] >= 10_000 * 32
    assert len(run.record["data"]["labels"]) == 100


# --- splits ----------------------------------------------------------------------------------------------------------


def test_test_rows_that_stand_in_train(page: Quoted) -> None:
    csv()
    csv([*TICKETS[:3], {"text": "new", "label": "hr"}], "asked.csv")
    csv([TICKETS[9], {"text": "new", "label": "hr"}], "held.csv")
    data = load("tickets.csv", test="asked.csv", validation="held.csv")
    assert len(data.splits["test"]) == 4
    page.noted(data.notes)


def test_a_test_split_without_labels(page: Quoted) -> None:
    Path("mine").mkdir()
    csv(name="mine/train.csv")
    csv([{"text": "asked"}, {"text": "more"}], "mine/test.csv")
    data = load("mine")
    assert "test" not in data.splits
    page.came(next(note for note in data.notes if "left out" in note))
    csv()
    page.refused(test="mine/test.csv")
    csv([{"text": "asked", "label": None}], "mine/test.csv")
    page.noted(load("mine").notes)


def test_a_test_file_beside_a_test_split(page: Quoted) -> None:
    Path("mine").mkdir()
    csv(name="mine/train.csv")
    csv(TICKETS[:9], "mine/test.csv")
    csv([{"text": "asked", "label": "it"}], "asked.csv")
    data = load("mine", test="asked.csv")
    assert list(data.splits["test"]["text"]) == ["asked"]
    page.noted(data.notes)


def test_too_few_rows_to_carve(page: Quoted) -> None:
    csv([{"text": "one here", "label": "a"}, {"text": "two here", "label": "b"}])
    page.refused()


# --- size ------------------------------------------------------------------------------------------------------------

MEASURE = """
import json, sys
from types import SimpleNamespace

import datasets, numpy, pandas, pyarrow
import peft_lab.sources.files as files
from peft_lab.data_spec import DataSpec
from peft_lab.sources.datasets import load_data

files.IN_MEMORY = int(sys.argv[2])

def memory(which):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(which)) / 1024

before = memory("VmRSS")
data = load_data(DataSpec(source=sys.argv[1]), SimpleNamespace(offers=lambda kind: {}))
print(json.dumps([memory("VmHWM") - before, data.fingerprint]))
"""


def measured(file: Path, in_memory: int = 1_000_000) -> tuple[float, str]:
    """MiB that loading takes in a process of its own, and the fingerprint."""
    known = {**os.environ, "PYTHONPATH": str(ROOT), "HF_DATASETS_CACHE": str(file.parent / "cache")}
    command = [sys.executable, "-c", MEASURE, str(file), str(in_memory)]
    done = subprocess.run(command, capture_output=True, text=True, env=known, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    grown, print_ = json.loads(done.stdout.splitlines()[-1])
    return grown, print_


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    for name, rows in (("small.csv", 40_000), ("large.csv", 200_000)):
        with Path(name).open("w") as file:
            file.write("text,label\n")
            file.writelines(f"{f'word {i} and more ' * 30},{'abc'[i % 3]}\n" for i in range(rows))
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    size = large.stat().st_size / 2**20
    grown = size - small.stat().st_size / 2**20
    assert size > 60
    (by_small, _), (by_large, mapped), (held, plain) = measured(small), measured(large), measured(large, 10**9)
    assert mapped == plain, "a fingerprint that depends on the size of the file"
    assert by_large - by_small < 0.4 * grown, (by_small, by_large, grown)
    assert held > by_large, "held in memory the same file takes more: the measure sees memory"


def test_a_limit_is_drawn_before_texts_are_tokenised(page: Quoted, lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[str] = Counter()
    from peft_lab.training import conversing

    def counting(rows: Any, *more: Any) -> Any:
        seen["rows"] += len(rows)
        return encode(rows, *more)

    monkeypatch.setattr(conversing, "encode", counting)
    lab.add(DatasetSource("odd", "", lambda: {"train": tiny_rows(900), "test": tiny_rows(10, seed=1)}))
    run = lab.train("head", data=DataSpec(source="odd", limit=30), epochs=1)
    assert 30 + 90 + 10 <= seen["rows"] < 300
    page.noted(run.record["notes"])


def test_tokens_take_four_bytes(tokenizer: Any) -> None:
    rows = tiny_rows(2500)
    table = datasets.Dataset.from_list(rows)
    coded = encode(table, [], tokenizer, 64)
    plain = tokenizer([row["text"] for row in rows])
    assert [ids.tolist() for ids in coded.columns["input_ids"]] == plain["input_ids"]
    assert coded.columns["input_ids"][7].itemsize == 4
    assert np.array_equal(coded.lengths, [len(ids) for ids in plain["input_ids"]])
    assert [ids.tolist() for ids in coded.columns["input_ids"][2:4]] == plain["input_ids"][2:4]
    with pytest.raises(IndexError):
        coded.columns["input_ids"][2500]
