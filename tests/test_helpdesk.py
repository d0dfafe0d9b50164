"""The packaged help-desk data keeps what its README promises."""

import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer

import peft_lab.sources as sources

FOLDER = Path(sources.HELPDESK)
SINGLE = re.split(
    r"\s+",
    "brx brine fid gannet heron kestrel lantern ox-2 ox-4 p7 slx tern bosun capstan galley keelhaul mole plank puck "
    "slip stowaway wake-up",
)
WORDS = [
    *SINGLE,
    "blue form",
    "crow's nest",
    "ebb day",
    "fat plank",
    "green slip",
    "pilot rate",
    "shell card",
    "tide list",
]


@pytest.fixture(scope="module")
def splits() -> dict[str, pd.DataFrame]:
    return {
        split: pd.read_csv(FOLDER / f"{split}.csv", dtype=str, keep_default_na=False) for split in ("train", "test")
    }


def words_in(texts: pd.Series) -> Counter[str]:
    lower = [text.lower() for text in texts]
    return Counter({w: sum(bool(re.search(rf"(?<![\w-]){w}(s|ed)?(?![\w-])", t)) for t in lower) for w in WORDS})


def test_sizes(splits: dict[str, pd.DataFrame]) -> None:
    train, test = splits["train"], splits["test"]
    assert list(train.columns) == list(test.columns) == ["text", "label"]
    assert train.label.nunique() == 15
    assert set(train.label) == set(test.label)
    assert train.label.value_counts().min() >= 70
    assert test.label.value_counts().min() >= 25
    assert len({" ".join(t.lower().split()) for t in pd.concat([train, test]).text}) == len(train) + len(test) >= 1500
    assert 0.25 <= len(test) / (len(train) + len(test)) <= 0.30


def test_no_row_of_test_is_nearly_a_row_of_train(splits: dict[str, pd.DataFrame]) -> None:
    cut = CountVectorizer(analyzer="char", ngram_range=(3, 3), binary=True, dtype=np.int32)
    train = cut.fit_transform(splits["train"].text)
    cut_all = CountVectorizer(
        vocabulary=cut.vocabulary_, analyzer="char", ngram_range=(3, 3), binary=True, dtype=np.int32
    )
    test = cut_all.transform(splits["test"].text)
    sizes = np.array([len({t.lower()[i : i + 3] for i in range(len(t) - 2)}) for t in splits["test"].text])
    shared = (test @ train.T).toarray()
    jaccard = shared / (sizes[:, None] + np.asarray(train.sum(axis=1)).T - shared)
    row, other = np.unravel_index(jaccard.argmax(), jaccard.shape)
    assert jaccard.max() < 0.6, (splits["test"].text[row], splits["train"].text[other])
    assert jaccard.max() > 0.3  # otherwise this measures nothing


def test_code_words_stand_in_both_splits(splits: dict[str, pd.DataFrame]) -> None:
    train, test = words_in(splits["train"].text), words_in(splits["test"].text)
    assert all(train[word] >= 5 for word in WORDS), train
    assert all(test[word] >= 3 for word in WORDS), test


def test_lengths_vary(splits: dict[str, pd.DataFrame]) -> None:
    for table in splits.values():
        lengths = table.text.str.split().str.len()
        assert lengths.min() <= 3
        assert lengths.max() >= 50
        assert (lengths <= 4).mean() > 0.04
        assert (lengths >= 25).mean() > 0.04


def test_text_is_clean(splits: dict[str, pd.DataFrame]) -> None:
    for split, table in splits.items():
        raw = (FOLDER / f"{split}.csv").read_bytes()
        assert not raw.startswith(b"\xef\xbb\xbf")
        assert raw.count(b"\n") == len(table) + 1  # one row, one line
        for text in table.text:
            assert text == " ".join(text.split())
            assert text == unicodedata.normalize("NFC", text)
            assert all(char.isprintable() and char != "\ufffd" for char in text), text
            assert "Ã" not in text and "â€" not in text, text


def test_the_readme_says_what_is_there(splits: dict[str, pd.DataFrame]) -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    for split, table in splits.items():
        assert f"| `{split}.csv` | {len(table):,} |" in readme
    for label, rows in splits["train"].label.value_counts().items():
        assert f"| `{label}` | {rows} | {(splits['test'].label == label).sum()} |" in readme
    for word in WORDS:
        assert word in readme.lower()
