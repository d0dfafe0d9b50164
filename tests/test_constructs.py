"""Constructs tell labels apart, by a test that holds, and the view shows them to a person who knows the field."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, fisher_exact
from test_present import HOSTILE, check_html, make_run, record_of
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from peft_lab.errors import BadOption, MethodRefused
from peft_lab.methods._construct_artifact import constructs_artifact
from peft_lab.methods._construct_labels import read_labels
from peft_lab.methods._construct_statistics import statistics_of
from peft_lab.methods._construct_windows import Words
from peft_lab.methods._constructs import count, find_constructs
from peft_lab.present import render
from peft_lab.testing import tiny_lab
from peft_lab.training.journal import Journal
from peft_lab.views.constructs import Constructs as View

NOISE = [f"n{i}" for i in range(40)]
PLANTED = ["alpha", "beta", "gamma", "delta", "common"]


def tokenizer_of(words):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*special, *words])}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )


def context_of(texts, labels, tokenizer, size=32):
    """What a method sees: padded batches of texts with labels."""

    def batches(most):
        for start in range(0, len(texts), size):
            coded = tokenizer(texts[start : start + size], padding=True, return_tensors="pt")
            yield {**coded, "labels": torch.tensor(labels[start : start + size])}

    return SimpleNamespace(tokenizer=tokenizer, batches=batches, task=SimpleNamespace(generates=False))


def model_of(*names):
    return SimpleNamespace(config=SimpleNamespace(id2label=dict(enumerate(names))))


def planted(number=400, seed=0):
    """Two neighbours in order decide the one label, two words apart in order the other; every word is in both."""
    draw = random.Random(seed)
    texts, labels = [], []
    for row in range(number):
        words = draw.choices(NOISE, k=24)
        if draw.random() < 0.4:
            words[20] = "common"
        label = row % 2
        if label == 0:
            words[0:2], words[8], words[11] = ["alpha", "beta"], "delta", "gamma"
        else:
            words[0:2] = ["beta", "alpha"]
            words[8], words[8 + draw.randint(2, 4)] = "gamma", "delta"
        texts.append(" ".join(words))
        labels.append(label)
    return texts, labels


@pytest.fixture(scope="module")
def found():
    texts, labels = planted()
    tokenizer = tokenizer_of([*PLANTED, *NOISE])
    context = context_of(texts, labels, tokenizer)
    return find_constructs(model_of("near", "apart"), context, most=8, false_discovery=0.05, reach=5)


def spelled(constructs, label):
    return [
        (one.kind, *constructs.words.tokenizer.convert_ids_to_tokens(list(one.ids)))
        for one in constructs.found
        if one.label == label
    ]


def test_planted_constructs_lead_and_a_neutral_word_is_not_among_them(found):
    assert spelled(found, 0)[:2] == [(2, "alpha", "beta"), (0, "delta", "gamma")]
    assert spelled(found, 1)[:2] == [(2, "beta", "alpha"), (0, "gamma", "delta")]
    assert not any("common" in one for label in (0, 1) for one in spelled(found, label))
    assert not any(one[0] == 1 for label in (0, 1) for one in spelled(found, label))  # single words tell nothing


def test_with_shuffled_labels_no_more_survives_than_may():
    texts, labels = planted()
    tokenizer = tokenizer_of([*PLANTED, *NOISE])
    words = Words(tokenizer)
    tokens = [
        words.tokens(batch["input_ids"].numpy(), batch["attention_mask"].numpy())
        for batch in context_of(texts, labels, tokenizer).batches(10**9)
    ]
    table = count(tokens, words, reach=5)
    survivors = []
    for seed in range(5):
        mixed = np.random.default_rng(seed).permutation(labels)
        classes = np.eye(2, dtype=np.float32)[mixed]
        statistics = statistics_of(table.presence.T @ classes, table.having, classes.sum(0), table.texts)
        survivors.append((statistics.adjusted <= 0.05).mean())
    assert np.mean(survivors) <= 0.05
    classes = np.eye(2, dtype=np.float32)[labels]
    statistics = statistics_of(table.presence.T @ classes, table.having, classes.sum(0), table.texts)
    assert (statistics.adjusted <= 0.05).sum() >= 4  # the same tests with the true labels


def test_labels_that_nothing_tells_apart_are_refused():
    draw = random.Random(1)
    texts = [" ".join(draw.choices(NOISE, k=8)) for _ in range(60)]
    context = context_of(texts, [n % 2 for n in range(60)], tokenizer_of(NOISE))
    with pytest.raises(MethodRefused, match="tells the labels apart"):
        find_constructs(model_of("a", "b"), context, most=8, false_discovery=0.01, reach=3)


@pytest.mark.parametrize(
    ("inside", "having", "size", "texts"), [(60, 100, 200, 500), (9, 10, 40, 400), (1, 12, 30, 90)]
)
def test_statistics_are_those_of_the_textbook(inside, having, size, texts):
    table = [[inside, having - inside], [size - inside, texts - having - size + inside]]
    args = np.array([[float(inside)]]), np.array([float(having)]), np.array([float(size)]), texts
    statistics = statistics_of(*args)
    expected = min(having, texts - having) * min(size, texts - size) / texts
    if expected >= 5:
        chi_square, p = chi2_contingency(table, correction=False)[:2]
        assert statistics.chi_square[0, 0] == pytest.approx(chi_square)
    else:
        tails = [fisher_exact(table, alternative=side)[1] for side in ("greater", "less")]
        p = min(1, 2 * min(tails))
        assert np.isnan(statistics.chi_square[0, 0])
    assert statistics.adjusted[0, 0] == pytest.approx(p)
    assert (statistics.z[0, 0] > 0) == (inside / having > size / texts)


def test_a_word_that_only_one_label_has_is_sure_however_rare_the_label():
    """77 labels, ten texts of each: three texts with the word, all of one label."""
    statistics = statistics_of(np.array([[3.0]]), np.array([3.0]), np.array([10.0]), 770)
    assert statistics.z[0, 0] > 1.96


def test_special_tokens_and_padding_are_no_constructs_and_are_not_reached_over():
    tokenizer = tokenizer_of(["left", "right", *NOISE])
    draw = random.Random(2)
    first = [
        [" ".join([*draw.choices(NOISE, k=3), "left"]), " ".join(["right", *draw.choices(NOISE, k=3)])]
        for _ in range(80)
    ]
    second = [[" ".join(draw.choices(NOISE, k=4)), " ".join(draw.choices(NOISE, k=4))] for _ in range(80)]
    labels = [0] * 80 + [1] * 80
    context = context_of([*first, *second], labels, tokenizer)
    constructs = find_constructs(model_of("yes", "no"), context, most=8, false_discovery=0.05, reach=5)
    assert {("left",), ("right",)} == {one[1:] for one in spelled(constructs, 0)}
    special = set(tokenizer.all_special_ids)
    assert not any(special & set(one.ids) for one in constructs.found)


def test_pieces_within_words_start_no_construct():
    tokenizer = tokenizer_of(["embed", "##ding", "##s", *NOISE])
    draw = random.Random(3)
    texts = []
    for row in range(120):
        words = draw.choices(NOISE, k=6)
        if row % 2:
            words[2:5] = ["embed", "##ding", "##s"]
        texts.append(" ".join(words))
    context = context_of(texts, [row % 2 for row in range(120)], tokenizer)
    constructs = find_constructs(model_of("no", "yes"), context, most=8, false_discovery=0.05, reach=5)
    assert spelled(constructs, 1)[0] == (3, "embed", "##ding", "##s")
    assert constructs_artifact(constructs).arrays["kind"].values[0] == 1  # one word, whatever the pieces
    assert not any(one[1].startswith("##") for one in spelled(constructs, 1))


def test_constructs_end_where_words_end_and_long_words_are_known_by_their_beginning():
    tokenizer = tokenizer_of(["an", "##ti", "##dis", "##es", "##tab", *NOISE])
    draw = random.Random(7)
    texts = []
    for row in range(120):
        words = draw.choices(NOISE, k=6)
        if row % 2:
            words[1:3] = ["an", "##ti", "##dis", "##es", "##tab"]
        texts.append(" ".join(words))
    context = context_of(texts, [row % 2 for row in range(120)], tokenizer)
    constructs = find_constructs(model_of("no", "yes"), context, most=8, false_discovery=0.05, reach=5)
    assert spelled(constructs, 1) == [(3, "an", "##ti", "##dis")]


def test_words_of_a_script_without_blanks_start_anywhere():
    words = Words(tokenizer_of(["▁my", "▁card", "カ", "ing", "▁new"]))
    ids = np.array([[2, *words.tokenizer.convert_tokens_to_ids(["▁my", "ing", "カ", "▁card"]), 3]])
    tokens = words.tokens(ids, np.ones_like(ids))
    assert words.starts(tokens)[0].tolist() == [False, True, False, True, True, False]


def test_positions_are_those_of_the_constructs_and_not_what_lies_between(found):
    tokenizer = found.words.tokenizer
    batch = tokenizer(
        ["n1 alpha beta n2 gamma n3 n4 delta", "beta n1 alpha delta n1 gamma"], padding=True, return_tensors="pt"
    )
    wanted = {(0, "gamma", "delta"), (2, "alpha", "beta")}
    keep = [one for one in found.found if (one.kind, *tokenizer.convert_ids_to_tokens(list(one.ids))) in wanted]
    assert len(keep) == 2
    only = type(found)(**{**vars(found), "found": keep})
    marked = only.positions(batch)
    shown = [
        [t for t, on in zip(tokenizer.convert_ids_to_tokens(ids), row, strict=True) if on]
        for ids, row in zip(batch["input_ids"].tolist(), marked, strict=True)
    ]
    assert shown == [["alpha", "beta", "gamma", "delta"], []]


def test_what_the_same_texts_have_is_said_once():
    draw = random.Random(4)
    texts = [
        " ".join([*draw.choices(NOISE, k=3), *(["lost", "card"] if row % 2 else []), *draw.choices(NOISE, k=3)])
        for row in range(100)
    ]
    tokenizer = tokenizer_of(["lost", "card", *NOISE])
    context = context_of(texts, [row % 2 for row in range(100)], tokenizer)
    constructs = find_constructs(model_of("no", "yes"), context, most=8, false_discovery=0.05, reach=5)
    assert spelled(constructs, 1) == [(2, "lost", "card")]


def test_a_longer_one_must_tell_more_than_its_part():
    """ "printer" decides by itself; "the" after it, in half of its texts, is chance."""
    draw = random.Random(6)
    texts = [
        " ".join([*draw.choices(NOISE, k=3), ("pen", "printer")[row % 2], draw.choice(["the", "a"])])
        for row in range(200)
    ]
    tokenizer = tokenizer_of(["pen", "printer", "the", "a", *NOISE])
    context = context_of(texts, [row % 2 for row in range(200)], tokenizer)
    constructs = find_constructs(model_of("no", "yes"), context, most=8, false_discovery=0.05, reach=3)
    assert spelled(constructs, 1) == [(1, "printer")]


def test_each_label_has_its_own_budget():
    """A label with few texts keeps its words beside one with many."""
    draw = random.Random(5)
    texts, labels = [], []
    for row in range(440):
        label = 0 if row < 200 else 1 if row < 400 else 2
        own = [f"own{label}x{draw.randint(0, 2)}"] if label != 1 else [f"own1x{draw.randint(0, 9)}"]
        texts.append(" ".join([*draw.choices(NOISE, k=5), *own]))
        labels.append(label)
    vocabulary = [f"own{label}x{n}" for label in range(3) for n in range(10)]
    context = context_of(texts, labels, tokenizer_of([*vocabulary, *NOISE]))
    constructs = find_constructs(model_of("a", "b", "c"), context, most=3, false_discovery=0.05, reach=2)
    assert [len(spelled(constructs, label)) for label in range(3)] == [3, 3, 3]
    assert {one[1] for one in spelled(constructs, 2)} == {"own2x0", "own2x1", "own2x2"}


def test_labels_of_every_kind_of_task():
    config = SimpleNamespace(id2label={0: "O", 1: "PER", 2: "LOC"})
    tagged = read_labels([np.array([[-100, 0, 1], [0, 2, -100]])], config)
    assert tagged.of_texts.tolist() == [[1, 1, 0], [1, 0, 1]]
    halves = read_labels([np.array([1.0, 2.0, 3.0, 4.0], dtype=np.float32)], config)
    assert halves.of_texts.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    for wrong in (None, np.array([[5, 900]])):
        with pytest.raises(MethodRefused, match="no labels"):
            read_labels([wrong], config)


# --- the view ---------------------------------------------------------------------------------------------------------


def run_with(tmp_path, artifact, name="run-3"):
    run = make_run(tmp_path, record_of(name, "sparse"))
    Journal.artifact(SimpleNamespace(path=run.path), artifact)  # type: ignore[arg-type]
    return run


def test_the_view_says_what_was_found_and_marks_it(tmp_path, found):
    run = run_with(tmp_path, constructs_artifact(found))
    picture = render(View().draw([run]))
    html = picture._repr_html_()
    check_html(html)
    assert len(html) < 200_000
    assert "Most telling: “alpha beta” for near, in 200 of its 200 texts" in picture.alt
    assert "alpha beta" in html and "gamma … delta" in html
    text = html[html.index("a training text of each label") :]
    assert ">alpha beta</span> n" in text and ">gamma</span> n" in text


def test_a_long_example_says_that_it_goes_on(tmp_path):
    draw = random.Random(8)
    texts = [" ".join([("pen", "printer")[row % 2], *draw.choices(NOISE, k=(70, 5)[row % 2])]) for row in range(60)]
    context = context_of(texts, [row % 2 for row in range(60)], tokenizer_of(["pen", "printer", *NOISE]))
    constructs = find_constructs(model_of("long", "short"), context, most=1, false_discovery=0.05, reach=2)
    html = View().draw([run_with(tmp_path, constructs_artifact(constructs))]).html
    assert html.count(" …</div>") == 1 and html.index(" …</div>") < html.rindex("<b>short</b>")


def test_labels_can_be_named_and_a_wrong_name_is_told(tmp_path, found):
    run = run_with(tmp_path, constructs_artifact(found))
    html = View(View.Options(labels=("apart",))).draw([run]).html
    assert "apart" in html and "<b>near</b>" not in html
    with pytest.raises(BadOption, match="'aparte'.*Did you mean 'apart'"):
        View(View.Options(labels=("aparte",))).draw([run])


def test_hostile_and_wide_text_is_only_text(tmp_path, found):
    words = [*HOSTILE, "カードを", "紛失"]
    artifact = constructs_artifact(found)
    arrays = dict(artifact.arrays)
    for name in arrays:
        labels = {
            axis: [words[n % len(words)] + str(n) for n in range(len(names))]
            for axis, names in arrays[name].labels.items()
        }
        arrays[name] = type(arrays[name])(arrays[name].values, arrays[name].axes, labels)
    run = run_with(tmp_path, type(artifact)(artifact.kind, arrays))
    html = render(View().draw([run]))._repr_html_()
    check_html(html)
    assert "カードを" in html


def test_a_trained_run_has_its_constructs(tmp_path):
    lab = tiny_lab(tmp_path)
    run = lab.train("sparse", density=0.02, epochs=1)
    arrays = run.artifact("constructs").arrays
    assert arrays["label"].labels["construct"] == ["blue", "green", "red"]
    assert arrays["totals"].values[0] == 86  # 10 of the 96 became the validation split
    assert "Most telling: “green” for about-green" in render(View().draw([run])).alt
    about = json.loads((run.path / "artifacts" / "constructs.json").read_text())
    assert about["kind"] == "constructs"
