"""Copies of training texts with changed words: what changes, what never does, and where it is refused."""

from __future__ import annotations

import json
import random

import datasets
import pytest

from peft_lab.errors import BadOption, DataProblem
from peft_lab.recipe import Training
from peft_lab.testing import tiny_lab
from peft_lab.training.augmentation import augmented, changed_text, left_out, replaced, swapped

WORDS = [f"w{number}" for number in range(20)]


def rows(**more):
    return datasets.Dataset.from_dict({"text": [" ".join(WORDS), "one", "a b"], "label": ["x", "y", "z"], **more})


def test_swapping_keeps_the_words_and_changes_as_many_places():
    found = swapped(WORDS, 2, random.Random(0))
    assert sorted(found) == sorted(WORDS)
    assert 2 <= sum(a != b for a, b in zip(found, WORDS, strict=True)) <= 4


def test_leaving_out_keeps_the_order_and_never_all():
    draw = random.Random(0)
    lengths = []
    for _ in range(200):
        found = left_out(WORDS, 2, draw)
        assert found == [word for word in WORDS if word in found]
        lengths.append(len(found))
    assert 17.5 < sum(lengths) / 200 < 18.5
    assert all(left_out(["a", "b"], 2, draw) for _ in range(50))


def test_synonyms_come_from_the_table():
    found = replaced(WORDS, 2, random.Random(0), {"w3": ["s"], "w4": ["t"], "w9": ["u"]})
    assert len(found) == len(WORDS) and sum(a != b for a, b in zip(found, WORDS, strict=True)) == 2
    assert set(found) - set(WORDS) <= {"s", "t", "u"}


def test_a_single_word_and_text_without_blanks_stay():
    for text in ("one", "", "日本語の文には空白がない"):
        assert changed_text(text, 0.5, random.Random(0), {}) == text


def test_labels_go_with_their_texts_and_the_same_seed_gives_the_same():
    settings = Training(augment=0.1, augment_copies=4)
    found, said = augmented(rows(), settings, 0, "classification", "d")
    again, _ = augmented(rows(), settings, 0, "classification", "d")
    other, _ = augmented(rows(), settings, 1, "classification", "d")
    assert found["text"][:3] == rows()["text"] and found["label"][:3] == ["x", "y", "z"]
    assert list(found["text"]) == list(again["text"]) != list(other["text"])
    assert all(
        label == ("x" if text.startswith("w") or " w" in text else "z")
        for text, label in zip(found["text"][3:], found["label"][3:], strict=True)
    )
    assert "copies of training texts" in said and "unchanged" in said


@pytest.mark.parametrize(
    ("more", "task", "source", "what"),
    [
        ({"text_pair": ["p", "q", "r"]}, "classification", "d", "text pairs"),
        ({}, "tagging", "d", "tags"),
        ({}, "classification", "glue/cola", "acceptability"),
    ],
)
def test_where_labels_would_not_hold_it_is_refused(more, task, source, what):
    with pytest.raises(BadOption, match=what):
        augmented(rows(**more), Training(augment=0.1), 0, task, source)


@pytest.mark.parametrize("content", ['["a"]', '{"a": "b"}', '{"a": []}', "{"])
def test_a_table_that_is_none_is_one_line(tmp_path, content):
    file = tmp_path / "words.json"
    file.write_text(content)
    with pytest.raises(DataProblem, match=r"words\.json"):
        augmented(rows(), Training(augment=0.1, synonyms=str(file)), 0, "classification", "d")
    with pytest.raises(DataProblem, match="nowhere"):
        augmented(rows(), Training(augment=0.1, synonyms="nowhere.json"), 0, "classification", "d")


def test_a_run_trains_on_the_copies_and_says_so(tmp_path):
    lab = tiny_lab(tmp_path)
    file = tmp_path / "words.json"
    file.write_text(json.dumps({"ship": ["boat"]}))
    few = {"epochs": 1, "batch_size": 8, "device": "cpu"}
    plain, more = lab.train("head", **few), lab.train("head", **few, augment=0.2, augment_copies=2, synonyms=str(file))
    assert more.record["steps"]["done"] > 2 * plain.record["steps"]["done"]
    assert any("copies of training texts" in note for note in more.record["notes"])
    assert plain.record["fingerprints"]["data"] == more.record["fingerprints"]["data"]
    assert plain.record["data"] == more.record["data"]
