"""Phrases as units: what is chosen, how texts are cut, what trains, and that a saved run cuts them so again."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from peft_lab.errors import MethodRefused, PeftLabError
from peft_lab.methods._merged_tokens import Phrase, add_phrases, that_become_one
from peft_lab.testing import tiny_lab
from peft_lab.testing.tiny import WORDS
from peft_lab.training.cutting import cut_unlike, usual_cutting
from peft_lab.training.restore import restore, untrained

FEW = {"epochs": 2, "batch_size": 8, "device": "cpu", "precision": "fp32"}


def rows(count):
    """Texts whose labels are told by a phrase, none of whose words tells it alone."""
    draw = random.Random(0)
    told = [("a", "red ship"), ("a", "blue dock"), ("b", "red dock"), ("b", "blue ship")]
    rest = [word for word in WORDS if word not in ("red", "blue", "ship", "dock")]
    made = []
    for number in range(count):
        label, phrase = told[number % 4]
        before, after = (" ".join(draw.choices(rest, k=3)) for _ in range(2))
        made.append({"text": f"{before} {phrase} {after}", "label": label})
    return made


def byte_level(tmp_path):
    from tokenizers import decoders, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    inner.train_from_iterator([row["text"] for row in rows(40)] + ["lost card and lost cards"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


def word_pieces():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "lost", "card", "##s", "and", "my", "##s", "."]
    inner = Tokenizer(models.WordPiece({w: i for i, w in enumerate(dict.fromkeys(words))}, unk_token="[UNK]"))
    from tokenizers import normalizers

    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]")


def cut(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [tokenizer.decode([i]).strip() for i in ids]


# --- the tokenizer ---------------------------------------------------------------------------------------------------


def test_a_phrase_is_one_token_where_it_stands_as_whole_words():
    plain = word_pieces()
    told = add_phrases(plain, [Phrase("lost card", (4, 5))])
    assert cut(told, "my lost card and my card.") == ["my", "lost card", "and", "my", "card", "."]
    assert cut(told, "My LOST card.") == ["my", "lost card", "."]
    assert cut(told, "lost cards") == cut(plain, "lost cards")  # part of a word is no phrase
    assert "lost card" not in plain.get_vocab()


def test_blanks_that_belong_to_words_go_with_the_phrase(tmp_path):
    plain = byte_level(tmp_path)
    told = add_phrases(plain, [Phrase("red ship", ())])
    at = told.convert_tokens_to_ids("red ship")
    usual = plain("the", add_special_tokens=False)["input_ids"], plain(" is", add_special_tokens=False)["input_ids"]
    assert told("the red ship is", add_special_tokens=False)["input_ids"] == [*usual[0], at, *usual[1]]


def test_what_is_a_token_already_is_left_out():
    assert that_become_one(word_pieces(), [Phrase("card", (5,)), Phrase("lost card", (4, 5))]) == [
        Phrase("lost card", (4, 5))
    ]


# --- what trains -----------------------------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path):
    return tiny_lab(tmp_path)


def embedding_of(run, host):
    return restore(run, host).built.model.get_input_embeddings().weight.detach()


def base_embedding(run, host):
    return untrained(run, host).built.model.get_input_embeddings().weight.detach()


def test_new_rows_train_and_old_ones_stay(lab):
    run = lab.train("tokenization", data=rows(120), mode="merge", **{**FEW, "learning_rate": 3e-2, "epochs": 12})
    phrases = [one["text"] for one in run.record["memory"]["tokenization"]["phrases"]]
    assert {"red ship", "blue dock", "red dock", "blue ship"} <= set(phrases)
    weight = embedding_of(run, lab.host)
    base = base_embedding(run, lab.host)
    assert len(weight) == len(base) + len(phrases)
    assert torch.equal(weight[: len(base)], base)
    assert run.cost["trainable"] - run.cost["trainable_head"] == len(phrases) * weight.shape[1]
    assert any("phrases became tokens" in note for note in run.record["notes"])
    for one in run.record["memory"]["tokenization"]["phrases"]:
        begun = base[one["pieces"]].mean(0)
        row = weight[len(base) + phrases.index(one["text"])]
        assert (row - begun).abs().max() > 1e-2


def test_new_rows_begin_as_the_mean_of_their_pieces(lab):
    run = lab.train("tokenization", data=rows(120), mode="merge", learning_rate=1e-7, **FEW)
    weight = embedding_of(run, lab.host)
    base = base_embedding(run, lab.host)
    for number, one in enumerate(run.record["memory"]["tokenization"]["phrases"]):
        assert torch.allclose(weight[len(base) + number], base[one["pieces"]].mean(0), atol=1e-4)


def test_view_trains_rows_of_tokens_in_constructs_only(lab):
    run = lab.train("tokenization", data=rows(120), learning_rate=1e-2, **FEW)
    weight = embedding_of(run, lab.host)
    base = base_embedding(run, lab.host)
    moved = set(torch.nonzero((weight != base).any(1)).flatten().tolist())
    ids = restore(run, lab.host).tokenizer.convert_tokens_to_ids(["red", "blue", "ship", "dock"])
    assert weight.shape == base.shape and set(ids) <= moved and len(moved) < len(base) / 2
    assert "constructs" in run.artifacts


@pytest.mark.parametrize("mode", ["view", "merge"])
def test_in_bf16(lab, mode):
    run = lab.train("tokenization", data=rows(120), mode=mode, **{**FEW, "precision": "bf16"})
    assert all(mark["ok"] for mark in run.record["proof"])
    one, other = (restore(run, lab.host).outputs(rows(8)) for _ in range(2))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("method", ["full+tokenization", "lora+tokenization", "bitfit+tokenization"])
def test_with_others(lab, method):
    run = lab.train(method, data=rows(60), mode="merge", **FEW)
    assert run.status == "finished" and all(mark["ok"] for mark in run.record["proof"])


def test_with_sparse(lab):
    run = lab.train("sparse+tokenization", data=rows(120), density=0.05, **FEW)
    assert run.status == "finished" and all(mark["ok"] for mark in run.record["proof"])


@pytest.mark.parametrize("family", ["albert", "deberta-v2", "modernbert", "llama", "gpt2"])
def test_new_rows_in_families(tmp_path, family):
    lab = tiny_lab(tmp_path, family=family)
    run = lab.train("tokenization", data=rows(120), mode="merge", **FEW)
    assert all(mark["ok"] for mark in run.record["proof"])


def test_no_phrases_is_said(lab):
    with pytest.raises(MethodRefused, match="tells the labels"):
        lab.train(
            "tokenization", data=[{**row, "label": "ab"[n // 4 % 2]} for n, row in enumerate(rows(120))], mode="merge"
        )


# --- kept and asked for again ----------------------------------------------------------------------------------------


def test_saved_loaded_resumed_merged(lab, tmp_path):
    run = lab.train("tokenization", data=rows(120), mode="merge", learning_rate=1e-2, **FEW)
    texts = [{"text": row["text"]} for row in rows(8)]
    expected = restore(run, lab.host).outputs(texts)
    lab.save(run.id, tmp_path / "kept")
    lab.load(tmp_path / "kept")
    assert np.array_equal(lab.served.restored.outputs(texts), expected)
    more = lab.train("tokenization", data=rows(120), mode="merge", from_=run.id, learning_rate=1e-9, **FEW)
    assert more.record["memory"] == run.record["memory"]
    assert np.allclose(restore(more, lab.host).outputs(texts), expected, atol=1e-4)
    lab.merge(run.id, tmp_path / "plain")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "plain")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "plain").eval()
    batch = tokenizer([row["text"] for row in texts], padding=True, return_tensors="pt")
    with torch.no_grad():
        assert np.allclose(model(**batch).logits.numpy(), expected, atol=1e-4)


def test_tokens_before_and_after(lab):
    run = lab.train("tokenization", data=rows(120), mode="merge", **FEW)
    table = lab.tokens("crane red ship gull", run=run.id)
    assert [row[2] for row in table.rows] == ["crane · red · ship · gull", "crane · red ship · gull"]
    assert [row[1] for row in table.rows] == [4, 3]
    assert "tokens of its own" in table.note
    plain = lab.train("bitfit", data=rows(60), **FEW)
    same = lab.tokens("a red ship", run=plain.id)
    assert len(same.rows) == 1 and "as its base model does" in same.note
    with pytest.raises(PeftLabError, match="no text to cut"):
        lab.tokens(run=run.id)


# --- the warning -----------------------------------------------------------------------------------------------------


def test_texts_that_are_cut_otherwise_are_warned_of(lab):
    run = lab.train("bitfit", data=rows(60), **FEW)
    assert "Trust" not in lab.predict(run.id, "crane red ship gull").note
    warned = lab.predict(run.id, "crane red ship gull", "zyx wvu tsr qpo").note
    assert "text 2 holds tokens that the vocabulary lacks" in warned and "Trust these answers less" in warned


def test_short_units_are_warned_of(tmp_path):
    tokenizer = byte_level(tmp_path)
    usual = usual_cutting(tokenizer, rows(40))
    assert usual["fewest_letters"] <= usual["letters"]
    assert cut_unlike(tokenizer, ["crane red ship gull"], usual) == ""
    assert "cut into shorter tokens" in cut_unlike(tokenizer, ["xqzj vwpk jjqz"], usual)
    assert cut_unlike(tokenizer, ["xq"], usual) == ""
    assert usual_cutting(tokenizer, [{"text": "a"}]) == {}
