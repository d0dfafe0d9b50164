"""Tasks: scores against numbers worked out by hand, words and tokens, and whole runs on tiny models."""

from __future__ import annotations

import json
import math
import random
import runpy
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption, DataProblem, MethodRefused, UnknownName
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.present.card import run_card
from peft_lab.run import Run
from peft_lab.tasks.classification import Classification, positive_of
from peft_lab.tasks.regression import Regression
from peft_lab.tasks.tagging import Tagging
from peft_lab.testing import FAMILIES, check_families, tiny_lab, tiny_rows
from peft_lab.training.batches import Batcher, encode
from peft_lab.training.restore import restore
from peft_lab.training.sample_texts import largest_difference
from peft_lab.training.words import first_tokens
from pluggy_specs import DatasetSource
from pluggy_specs.pieces import UNSUPERVISED

METHODS = {name: offer.item for name, offer in Host(entry_points=False).offers("methods").items()}
FAST: dict[str, Any] = {"device": "cpu", "precision": "fp32", "batch_size": 8}
COLOURS, THINGS, OTHERS = ("red", "green", "blue"), ("ship", "dock", "crane"), ("the", "a", "is", "on", "wind")


def tagged(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Texts in which a colour and the thing behind it are one entity, and a gull is one by itself."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        words: list[tuple[str, str]] = []
        for _ in range(draw.randint(2, 5)):
            kind = draw.choice(("thing", "bird", "", ""))
            if kind == "thing":
                words += [(draw.choice(COLOURS), "B-thing"), (draw.choice(THINGS), "I-thing")]
            elif kind == "bird":
                words.append(("gull", "B-bird"))
            else:
                words.append((draw.choice(OTHERS), "O"))
        rows.append({"text": " ".join(word for word, _ in words), "label": [tag for _, tag in words]})
    return rows


def counted(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Texts whose number is a price: thousands, by how often a word stands in them."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        words = [draw.choice(("red", "rope", "the", "salt")) for _ in range(8)]
        rows.append({"text": " ".join(words), "label": 250_000 + 10_000 * words.count("red") + draw.random()})
    return rows


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = tiny_lab(tmp_path_factory.mktemp("tasks"), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    offered = {
        "tags": ("tagging", tagged(160), tagged(60, seed=1)),
        "prices": ("regression", counted(200), counted(60, seed=1)),
    }
    for name, (task, train, test) in offered.items():
        lab.add(DatasetSource(name, "for tests", partial(dict, train=train, test=test), task=task))
    return lab


@pytest.fixture(scope="module")
def tags(lab: Lab) -> Run:
    return lab.train("full", data="tags", epochs=6, learning_rate=3e-3, **FAST)


@pytest.fixture(scope="module")
def prices(lab: Lab) -> Run:
    return lab.train("full", data="prices", epochs=8, learning_rate=3e-3, **FAST)


# --- scores, by hand --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        (["0", "1"], "1"),
        (["no", "yes"], "yes"),
        (["equivalent", "not_equivalent"], "equivalent"),
        (["acceptable", "unacceptable"], "acceptable"),
        (["entailment", "not_entailment"], "entailment"),
        (["False", "True"], "True"),
        (["ham", "spam"], "spam"),
        (["cat", "dog"], "dog"),
    ],
)
def test_which_of_two_labels_is_looked_for(labels: list[str], positive: str) -> None:
    assert positive_of(labels) == positive
    assert positive_of(labels[::-1]) == positive or positive == "dog"
    rows = [{"text": "x", "label": label} for label in labels]
    assert Classification().targets(rows) == {"labels": labels, "positive": positive}


def test_scores_of_two_labels() -> None:
    task, targets = Classification(), {"labels": ["equivalent", "not_equivalent"], "positive": "equivalent"}
    gold, answers = [0, 0, 0, 1, 1, 1, 1, 1], [0, 0, 1, 0, 1, 1, 1, 1]
    scores = task.metrics(np.eye(2)[answers], gold, targets)
    assert scores == {
        "accuracy": 6 / 8,
        "macro_f1": pytest.approx((4 / 6 + 8 / 10) / 2),
        "matthews": pytest.approx((2 * 4 - 1 * 1) / math.sqrt(3 * 3 * 5 * 5)),
        "f1": pytest.approx(2 * 2 / (2 * 2 + 1 + 1)),
    }
    assert set(task.scores(targets)) == set(scores)
    assert "f1" not in task.metrics(np.eye(3)[[0, 1, 2]], [0, 1, 1], {"labels": ["a", "b", "c"]})


def test_constant_answers_are_zero_and_flagged() -> None:
    """No score is NaN, no library warns, and the word for it is there."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        two = Classification().metrics(np.eye(2)[[1, 1, 1]], [0, 1, 1], {"labels": ["0", "1"], "positive": "1"})
        right = Classification().metrics(np.eye(2)[[1, 1]], [1, 1], {"labels": ["0", "1"], "positive": "1"})
        number = Regression().metrics(np.full((4, 1), 0.3), [0.0, 1.0, -1.0, 2.0], {"mean": 5.0, "deviation": 2.0})
        same = Regression().metrics(np.array([[0.3], [0.1]]), [1.0, 1.0], {"mean": 5.0, "deviation": 2.0})
        words = Tagging().metrics([np.eye(2)[[1, 1]]], [np.array([0, 1])], {"labels": ["B-x", "O"], "entities": True})
    assert (two["matthews"], two["constant"]) == (0.0, 1.0)
    assert (right["accuracy"], right["f1"], right["matthews"]) == (1.0, 1.0, 0.0)
    assert "constant" not in right, "so they should be"
    assert (number["pearson"], number["spearman"], number["constant"]) == (0.0, 0.0, 1.0)
    assert (same["pearson"], same["spearman"]) == (0.0, 0.0)
    assert "constant" not in same, "labels that are all the same are not the model's doing"
    assert (words["entity_f1"], words["constant"]) == (0.0, 1.0)
    for scores in (two, right, number, same, words):
        assert all(math.isfinite(score) for score in scores.values())
    assert "constant" not in Classification().metrics(np.eye(2)[[1, 0, 1]], [0, 1, 1], {"labels": ["0", "1"]})


def test_numbers_are_learned_standardised_and_told_in_their_units() -> None:
    task, rows = Regression(), [{"text": "x", "label": label} for label in (100, 300, 200, 400)]
    targets = task.targets(rows)
    assert targets == {"mean": 250.0, "deviation": pytest.approx(math.sqrt(12_500))}
    labels = task.encode_labels(rows, targets)
    assert np.mean(labels) == pytest.approx(0) and np.std(labels) == pytest.approx(1)
    losses, supervised = task.losses(torch.tensor([[0.5], [0.0]]), {"labels": torch.tensor([1.5, -2.0])})
    assert losses.tolist() == [[1.0], [4.0]] and supervised.tolist() == [[1.0], [1.0]]
    off = (np.array([110, 290, 230, 400]) - 250) / targets["deviation"]
    scores = task.metrics(off[:, None], labels, targets)
    assert scores["mse"] == pytest.approx((10**2 + 10**2 + 30**2 + 0) / 4)
    assert scores["pearson"] == pytest.approx(np.corrcoef([110, 290, 230, 400], [100, 300, 200, 400])[0, 1])
    assert scores["spearman"] == 1.0
    assert [ranked[0][0] for ranked in task.answers(off[:, None], targets)] == ["110", "290", "230", "400"]
    assert task.answers(np.array([[1.0]]), {"mean": 250_000.0, "deviation": 1000.0})[0][0][0] == "251,000"


def test_entities_are_scored_as_wholes() -> None:
    task = Tagging()
    rows = [{"text": "x " * 8, "label": ["B-x", "I-x", "O", "B-x", "O", "B-y", "I-y", "O"]}]
    targets = task.targets(rows)
    names = ["B-x", "B-y", "I-x", "I-y", "O"]
    assert targets == {"labels": names, "entities": True}
    told = [
        "B-x",
        "I-x",
        "O",
        "B-x",
        "I-x",
        "I-y",
        "I-y",
        "O",
    ]  # the first is right; the second too long; the third begins with I-
    outputs = np.eye(5)[[names.index(tag) for tag in told]]
    scores = task.metrics([outputs], task.encode_labels(rows, targets), targets)
    assert scores == {
        "entity_f1": pytest.approx(2 / 3),
        "entity_precision": pytest.approx(2 / 3),
        "entity_recall": pytest.approx(2 / 3),
        "accuracy": 6 / 8,
    }
    outputs[5:] = np.nan  # cut off before the third
    cut = task.metrics([outputs], task.encode_labels(rows, targets), targets)
    assert cut["entity_recall"] == pytest.approx(1 / 3) and cut["entity_precision"] == pytest.approx(1 / 2)
    assert task.scores(targets)[0] == "entity_f1" and set(task.scores(targets)) == set(scores)


def test_a_kind_seen_in_one_form_has_both() -> None:
    assert Tagging().targets([{"label": ["B-x", "O", "I-y"]}])["labels"] == ["B-x", "B-y", "I-x", "I-y", "O"]


def test_tags_that_name_no_entities_are_scored_word_by_word() -> None:
    task, rows = Tagging(), [{"label": ["DET", "NOUN", "VERB"]}, {"label": ["NOUN"]}]
    targets = task.targets(rows)
    assert targets == {"labels": ["DET", "NOUN", "VERB"], "entities": False}
    outputs = [np.eye(3)[[0, 1, 1]], np.full((1, 3), np.nan)]
    scores = task.metrics(outputs, task.encode_labels(rows, targets), targets)
    assert scores["accuracy"] == 0.5, "two of four, one of which was cut off"
    assert scores["macro_f1"] == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert list(task.scores(targets)) == ["accuracy", "macro_f1"]


def test_only_labelled_tokens_are_supervised() -> None:
    labels = torch.tensor([[UNSUPERVISED, 0, UNSUPERVISED], [1, 2, UNSUPERVISED]])
    outputs = torch.randn(2, 3, 4, requires_grad=True)
    losses, supervised = Tagging().losses(outputs, {"labels": labels})
    assert losses.shape == supervised.shape == (2, 3)
    assert supervised.tolist() == [[0, 1, 0], [1, 1, 0]]
    assert losses[1, 1].item() == pytest.approx(-outputs[1, 1].log_softmax(-1)[2].item())
    losses.sum().backward()
    assert outputs.grad is not None
    assert (outputs.grad.abs().sum(-1) > 0).int().tolist() == supervised.int().tolist()


# --- words and tokens -------------------------------------------------------------------------------------------------


def cutting(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer that cuts words into letters in the way of a family: BERT's, GPT-2's, or Llama's."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    inner: Tokenizer
    if kind == "word-piece":
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
        inner = Tokenizer(models.WordPiece({t: i for i, t in enumerate(vocabulary)}, unk_token="[UNK]"))
        inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        inner.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    elif kind == "bytes":
        vocabulary = ["[PAD]", *pre_tokenizers.ByteLevel.alphabet()]
        blank = next(letter for letter in vocabulary if letter == "\u0120")
        vocabulary.append(f"{blank}a")
        inner = Tokenizer(models.BPE({t: i for i, t in enumerate(vocabulary)}, [(blank, "a")]))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.post_processor = processors.ByteLevel(trim_offsets=False)
        inner.decoder = decoders.ByteLevel()
    else:
        vocabulary = ["[PAD]", "[UNK]", "\u2581", *letters, *(f"\u2581{letter}" for letter in letters)]
        inner = Tokenizer(models.Unigram([(t, -1.0) for t in vocabulary], unk_id=1))
        inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]")


@pytest.mark.parametrize("kind", ["word-piece", "bytes", "metaspace"])
def test_the_first_token_of_each_word_is_found(kind: str) -> None:
    tokenizer = cutting(kind)
    text = "an old man sails away"
    coded = tokenizer(text, return_offsets_mapping=True)
    places = first_tokens(text, coded["offset_mapping"])
    tokens = tokenizer.convert_ids_to_tokens(coded["input_ids"])
    assert [tokens[at].lstrip("\u0120\u2581") or "(blank)" for at in places] in (
        ["a", "o", "m", "s", "a"],
        ["a", "(blank)", "(blank)", "(blank)", "a"],
    )
    starts = [0, *(at + 1 for at, letter in enumerate(text) if letter == " ")]
    spans = [coded["offset_mapping"][at] for at in places]
    assert all(first <= start < last for start, (first, last) in zip(starts, spans, strict=True))
    assert len(set(places.tolist())) == 5


def test_words_cut_off_or_not_read_have_no_token() -> None:
    tokenizer = cutting("word-piece")
    coded = tokenizer("an old man", return_offsets_mapping=True, truncation=True, max_length=5)
    assert first_tokens("an old man", coded["offset_mapping"]).tolist() == [1, 3, -1]
    text = "an \u200b man"  # BERT's pre-tokenizer keeps it, WordPiece knows no such letter: one unknown token
    assert (first_tokens(text, tokenizer(text, return_offsets_mapping=True)["offset_mapping"]) >= 0).all()
    assert first_tokens("an old", [(0, 0), (0, 2), (0, 0)]).tolist() == [1, -1]


def batched(rows: list[dict[str, Any]], tokenizer: Any, limit: int = 64, labels: Any = None) -> Any:
    table = datasets.Dataset.from_list(rows)
    return encode(table, [np.array(row) for row in labels] if labels else [], tokenizer, limit, True)


@pytest.mark.parametrize("side", ["right", "left"])
def test_labels_stand_on_first_tokens_whatever_the_padding(side: str) -> None:
    tokenizer = cutting("word-piece")
    tokenizer.padding_side = side
    data = batched([{"text": "an old man"}, {"text": "go"}], tokenizer, labels=[[7, 8, 9], [5]])
    batch = Batcher(tokenizer, torch.device("cpu")).batch(data, np.array([0, 1]))
    tokens = [tokenizer.convert_ids_to_tokens(row) for row in batch["input_ids"]]
    pairs = [list(zip(*row, strict=True)) for row in zip(tokens, batch["labels"].tolist(), strict=True)]
    found = [[(token, label) for token, label in row if label != UNSUPERVISED] for row in pairs]
    assert found == [[("a", 7), ("o", 8), ("m", 9)], [("g", 5)]]
    special = torch.isin(batch["input_ids"], torch.tensor([0, 2, 3]))
    assert (batch["labels"][special] == UNSUPERVISED).all()


def test_words_that_are_cut_off_are_counted_and_said() -> None:
    tokenizer = cutting("word-piece")
    data = batched([{"text": "ab cd ef gh"}, {"text": "ab"}], tokenizer, limit=6, labels=[[0, 1, 0, 1], [1]])
    assert (data.cut, data.lost, data.unread) == (1, 2, 0)
    assert data.notes("test", 6) == ["1 of 2 test texts is longer than 6 tokens and was cut, 2 words with them"]


def test_texts_of_which_no_word_is_read_teach_nothing() -> None:
    """They are left out of what is taught and scored, never of what is answered."""
    inner = Tokenizer(models.BPE({"[PAD]": 0, "r": 1, "e": 2, "d": 3}, []))  # letters it does not know are dropped
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]")
    rows = [{"text": "red zzz"}, {"text": "zzz"}, {"text": "red"}]
    taught = batched(rows[:1] + rows[2:], tokenizer, labels=[[0, 1], [1]])
    assert taught.unread == 1 and taught.notes("train", 9) == [
        "1 word of train with no token that this tokenizer reads"
    ]
    data = batched(rows, tokenizer, labels=[[0, 1], [1], [1]])
    assert len(data) == len(data.labels) == 2 and data.labels[1].tolist() == [1]
    assert "1 train text is left out: this tokenizer reads none of their words" in data.notes("train", 9)
    with pytest.raises(DataProblem, match="no text has a token"):
        batched(rows[1:2], tokenizer, labels=[[1]])


def test_a_tokenizer_that_knows_no_places_is_refused() -> None:
    class Slow:
        padding_side = "right"

        def num_special_tokens_to_add(self, pair: bool) -> int:
            return 0

        def __call__(self, *texts: Any, return_offsets_mapping: bool = False, **more: Any) -> Any:
            raise NotImplementedError("return_offset_mapping is not available when using Python tokenizers")

    with pytest.raises(DataProblem, match="which word a token is of. Choose a model with a tokenizer"):
        batched([{"text": "a b"}], Slow(), labels=[[0, 0]])


# --- runs -------------------------------------------------------------------------------------------------------------


def test_tagging_learns_entities_and_keeps_what_it_learned(tags: Run, lab: Lab) -> None:
    assert tags.status == "finished" and tags.headline == "entity_f1"
    assert tags.metrics["test"]["entity_f1"] > 0.9, tags.metrics
    assert all(mark["ok"] for mark in tags.record["proof"])
    assert tags.record["data"]["labels"].keys() == {"thing", "bird"}
    best = max((p for p in tags.points if p["split"] == "validation"), key=lambda p: p["entity_f1"])
    assert tags.record["best"]["step"] == best["step"]
    restored = restore(tags, lab.host)
    scores = restored.score(tagged(60, seed=1))
    assert {name: scores[name] for name in tags.metrics["test"]} == tags.metrics["test"]
    alone = [restored.outputs([row]) for row in tagged(4, seed=3)]
    together = restored.outputs(tagged(4, seed=3))
    for one, row in zip(alone, together, strict=True):
        assert np.allclose(one[0], row[: one.shape[1]], atol=1e-5)
        assert np.isnan(row[one.shape[1] :]).all()


def test_entities_are_predicted_word_by_word(tags: Run, lab: Lab) -> None:
    shown = lab.predict(tags.id, "the red ship is on a gull", top=2)
    assert [row[0] for row in shown.rows] == ["the", "red", "ship", "is", "on", "a", "gull"]
    assert [row[1] for row in shown.rows] == ["O", "B-thing", "I-thing", "O", "O", "O", "B-bird"]
    assert shown.note.startswith("red ship (thing), gull (bird). By run-")
    assert all(len(str(row[3]).split(", ")) == 1 for row in shown.rows)
    two = lab.predict(tags.id, "a  gull", "blue <b>crane</b>")
    assert [row[0] for row in two.rows] == [1, 1, 2, 2]
    assert "<b>" not in two._repr_html_().replace("&lt;b&gt;", "")
    long = lab.predict(tags.id, "the wind " * 40 + "gull")
    assert long.rows[-1][1:3] == ["no answer", "–"] and "behind the last token" in long.note
    assert "no answer" not in two.note


def test_a_tagging_run_can_be_saved_moved_and_merged(tags: Run, lab: Lab, tmp_path: Path) -> None:
    small = lab.train("lora", data="tags", epochs=1, **FAST)
    for name, run in (("lora", small), ("full", tags)):
        assert "0" in str(lab.save(run.id, str(tmp_path / name)))
        lab.load(str(tmp_path / name))
        assert lab.predict("the red ship").rows
        lab.rollback()
    manifest = json.loads((tmp_path / "lora" / "peft_lab.json").read_text())
    assert manifest["layout"] == "peft", manifest["why_not_peft"]
    assert json.loads((tmp_path / "lora" / "adapter_config.json").read_text())["task_type"] == "TOKEN_CLS"
    lab.merge(small.id, str(tmp_path / "merged"))
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert sorted(config["label2id"]) == ["B-bird", "B-thing", "I-bird", "I-thing", "O"]


def test_a_tagging_run_is_planned_resumed_and_compared(tags: Run, lab: Lab) -> None:
    plan = lab.plan("bitfit", data="tags", epochs=1, **FAST)
    assert plan.fits and plan.seconds
    from peft_lab.training.progress import Progress
    from peft_lab.training.session import resume, train

    recipe = lab.recipe("bitfit", data="tags", epochs=2, **FAST)
    whole = lab.train_recipe(recipe)

    class Stopping(Progress):
        def stopping(self) -> bool:
            return self.state.get("step", 0) >= 9

    stopped = train(recipe, lab.host, lab.folder, Stopping())
    assert stopped.status == "stopped"
    ended = resume(stopped, lab.host)
    assert ended.metrics == whole.metrics
    shown = str(lab.compare(tags.id, whole.id))
    assert "entity f1" in shown and "constant" not in shown


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models, each made when it is first asked for."""
    return tmp_path_factory.mktemp("families")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_head_for_words_and_for_numbers(family: str, families: Path) -> None:
    """It trains whole, a text alone gets what it gets in a batch, and what is kept gives the same bit for bit."""
    for task in ("tagging", "regression"):
        for method in (METHODS["full"], METHODS["lora"]):
            assert check_families(method, families, families=[family], task=task) == {family: "trains"}


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_words_are_answered_alone_as_in_a_batch(family: str, tmp_path: Path) -> None:
    lab = tiny_lab(tmp_path, family=family)
    splits = {"train": tagged(40), "test": tagged(10, seed=1)}
    lab.add(DatasetSource("tags", "for tests", lambda: splits, task="tagging"))
    run = lab.train("lora", data="tags", epochs=1, **FAST)
    assert run.status == "finished" and all(mark["ok"] for mark in run.record["proof"]), run.record["proof"]
    restored = restore(run, lab.host)
    row = splits["test"][0]
    assert largest_difference(restored.outputs([row]), restored.outputs([row])) == 0
    alone, together = restored.outputs([row]), restored.outputs(splits["test"][:4])[0]
    assert np.allclose(alone[0], together[: alone.shape[1]], atol=1e-4)


def test_virtual_tokens_are_refused_for_words(lab: Lab) -> None:
    with pytest.raises(MethodRefused, match="labels of words would lose their places"):
        lab.train("peft:prompt_tuning", data="tags", epochs=1, num_virtual_tokens=2, **FAST)


def test_regression_learns_and_answers_in_units(prices: Run, lab: Lab, tmp_path: Path) -> None:
    assert prices.headline == "pearson" and prices.metrics["test"]["pearson"] > 0.9, prices.metrics
    assert prices.metrics["test"]["mse"] < 10_000**2, "the deviation is about 12,000"
    assert set(prices.metrics["test"]) == {"pearson", "spearman", "mse", "loss"}
    none, all_ = "rope the salt rope the salt rope the", "red " * 8
    shown = lab.predict(prices.id, none, all_)
    assert list(shown.columns) == ["text", "answer"] and "units of its data" in shown.note
    low, high = (float(str(row[1]).replace(",", "")) for row in shown.rows)
    assert 235_000 < low < 268_000 and high > low + 20_000
    lab.save(prices.id, str(tmp_path / "kept"))
    targets = prices.record["targets"]
    text = (tmp_path / "kept" / "README.md").read_text()
    assert f"logits * {targets['deviation']!r} + {targets['mean']!r}" in text


def test_the_score_that_chooses_can_be_named(lab: Lab) -> None:
    rows = [{**row, "label": "yes" if "red" in row["text"] else "no"} for row in tiny_rows(120)]
    lab.add(DatasetSource("two", "for tests", lambda: {"train": rows}))
    run = lab.train_recipe(lab.recipe("head", data=DataSpec(source="two", metric="matthews"), epochs=3, **FAST))
    assert run.headline == "matthews"
    assert "The best state is the one with the highest matthews on validation" in run.record["notes"]
    assert "F1 is that of 'yes'" in run.record["notes"]
    told = [p for p in run.points if p["split"] == "validation"]
    assert run.metrics["validation"]["matthews"] == max(p["matthews"] for p in told)
    assert "validation matthews" in run_card(run).text
    with pytest.raises(BadOption, match="classification has no score 'mathews'.*Did you mean 'matthews'"):
        lab.train_recipe(lab.recipe("head", data=DataSpec(source="two", metric="mathews"), **FAST))
    before = lab.spec = DataSpec(source="tiny")
    with pytest.raises(BadOption, match="Did you mean 'matthews'"):
        lab.data("two", metric="mathews")
    with pytest.raises(UnknownName, match="Did you mean 'regression'"):
        lab.data("two", task="regresion")
    assert lab.spec == before, "what was refused is not chosen"
    assert lab.data("two", metric="f1") and lab.spec.metric == "f1"
    lab.spec = None


def test_a_data_set_names_its_own_score(lab: Lab) -> None:
    rows = [{**row, "label": "yes" if "red" in row["text"] else "no"} for row in tiny_rows(60)]
    lab.add(DatasetSource("judged", "for tests", lambda: {"train": rows}, metric="f1"))
    assert lab.train("head", data="judged", epochs=1, **FAST).headline == "f1"


def test_a_model_that_tells_nothing_apart_is_said_to(lab: Lab) -> None:
    rows = [{**row, "label": "rare" if i % 20 == 0 else "common"} for i, row in enumerate(tiny_rows(120))]
    lab.add(DatasetSource("dull", "for tests", lambda: {"train": rows, "test": rows[:40]}))
    run = lab.train("head", data="dull", epochs=2, **FAST)
    assert "All answers on test are the same: the model tells nothing apart" in run.record["notes"]
    assert run.metrics["test"]["matthews"] == 0 and "constant" not in run.metrics["test"]
    assert not any("constant" in point for point in run.points)


def test_the_plain_script_measures_and_chooses_the_same(lab: Lab, tmp_path: Path) -> None:
    rows = [{**row, "label": "yes" if "red" in row["text"] else "no"} for row in tiny_rows(90)]
    lab.add(DatasetSource("scripted", "for tests", lambda: {"train": rows}))
    run = lab.train_recipe(lab.recipe("head", data=DataSpec(source="scripted", metric="f1"), epochs=2, **FAST))
    lab.code(run.id, file=str(tmp_path / "same.py"))
    runpy.run_path(str(tmp_path / "same.py"), run_name="__main__")
    results = json.loads((tmp_path / "same-model" / "results.json").read_text())
    assert results["metrics"]["validation"] == pytest.approx(run.metrics["validation"], abs=1e-5)
