"""Arithmetic of judgements: known values, other libraries, and what must hold whatever the numbers are."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from peft_lab.errors import BadOption
from peft_lab.judging import mistakes
from peft_lab.judging.answers import CLASSES, NUMBERS, OTHER, Answers, softmax
from peft_lab.judging.calibration import brier, fit_temperature, log_loss, reliability
from peft_lab.judging.churn import churn, siblings, spread
from peft_lab.judging.forgetting import drift
from peft_lab.judging.harm import best_threshold, expected_harm, read_costs
from peft_lab.judging.latency import time_calls
from peft_lab.judging.lines import milliseconds, of_hundred
from peft_lab.judging.measures import wilson
from peft_lab.judging.risk import area, at_threshold, coverage_at, excess_area, risk_coverage, threshold_for
from peft_lab.judging.typos import BESIDE, mistyped_rows, with_typos

QUICK = settings(max_examples=60, deadline=None)


def items(most: int = 40):
    """Confidences, with ties, and whether answers are wrong."""
    sure = st.sampled_from([0.3, 0.5, 0.5000001, 0.7, 0.9, 1.0])
    return st.lists(st.tuples(sure, st.booleans()), min_size=1, max_size=most)


def classes(outputs, label, names=()) -> Answers:
    outputs = np.asarray(outputs, dtype=np.float32)
    return Answers(outputs, np.asarray(label), np.arange(len(outputs)), tuple(names))


# --- risk and coverage -----------------------------------------------------------------------------------------------


def test_areas_worked_out_by_hand():
    curve = risk_coverage(np.array([0.9, 0.6, 0.8, 0.5, 0.7]), np.array([0, 1, 0, 1, 0]))
    assert curve.risk.tolist() == pytest.approx([0, 0, 0, 0.25, 0.4])
    assert area(curve, "A") == pytest.approx(0.13)
    assert area(curve, "B") == pytest.approx(0.1125)
    assert coverage_at(curve, 0.25) == pytest.approx(0.8)
    assert coverage_at(curve, 0.2) == pytest.approx(0.6)
    assert threshold_for(curve, 0.25) == 0.6


def test_the_area_that_torch_uncertainty_shows():
    curve = risk_coverage(np.array([0.7, 0.6, 0.8]), np.array([0, 1, 0]))
    assert area(curve, "B") == pytest.approx(0.0833, abs=5e-5)


def test_no_coverage_where_even_the_surest_answer_is_wrong():
    curve = risk_coverage(np.array([0.9, 0.8]), np.array([1, 0]))
    assert math.isnan(coverage_at(curve, 0.1)) and threshold_for(curve, 0.1) is None
    assert math.isnan(at_threshold(np.array([0.5]), np.array([1]), 0.9)[1])
    assert math.isnan(area(risk_coverage(np.zeros(0), np.zeros(0))))
    assert math.isnan(area(risk_coverage(np.ones(1), np.zeros(1)), "B"))


@given(items(), st.randoms())
@QUICK
def test_the_order_of_texts_changes_nothing(found, random):
    mixed = list(found)
    random.shuffle(mixed)
    one, other = (risk_coverage(*map(np.array, zip(*group, strict=True))) for group in (found, mixed))
    assert np.allclose(one.risk, other.risk) and np.array_equal(one.ends, other.ends)
    for risk in (0.0, 0.2, 0.5):
        assert coverage_at(one, risk) == pytest.approx(coverage_at(other, risk), nan_ok=True)


@given(items())
@QUICK
def test_bounds_of_the_curve(found):
    sure, wrong = map(np.array, zip(*found, strict=True))
    curve = risk_coverage(sure, wrong)
    assert ((curve.risk >= 0) & (curve.risk <= 1)).all()
    assert curve.risk[-1] == pytest.approx(wrong.mean()) and curve.coverage[-1] == 1
    assert 0 <= area(curve) <= 1 and excess_area(curve) >= -1e-9
    least = risk_coverage(np.where(wrong, 0.1, 0.9), wrong)  # every mistake among the least sure
    assert area(least) <= area(curve) + 1e-9
    if (threshold := threshold_for(curve, 0.2)) is not None:  # what the threshold promises is what it keeps
        coverage, risk = at_threshold(sure, wrong, threshold)
        assert risk <= 0.2 + 1e-9 and coverage == pytest.approx(coverage_at(curve, 0.2))


# --- calibration -----------------------------------------------------------------------------------------------------


def test_an_item_on_an_edge_belongs_to_the_bin_below():
    found = reliability(np.array([0.0, 0.2, 0.2000001, 1.0]), np.array([0, 1, 1, 1]), bins=5)
    assert found.count.tolist() == [2, 1, 0, 0, 1]


def test_calibration_error_worked_out_by_hand():
    sure = np.array([0.95] * 10 + [0.65] * 10)
    right = np.array([1] * 8 + [0] * 2 + [1] * 7 + [0] * 3)
    assert reliability(sure, right).error == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)


def test_a_model_that_is_right_as_often_as_it_says_has_no_error():
    sure = np.repeat([0.3, 0.5, 0.8], 10)
    right = np.concatenate([np.arange(10) < 10 * share for share in (0.3, 0.5, 0.8)])
    assert reliability(sure, right).error == pytest.approx(0, abs=1e-12)


def test_losses_are_those_of_sklearn():
    from sklearn import metrics

    draw = np.random.default_rng(0)
    outputs, label = draw.normal(size=(50, 4)), draw.integers(0, 4, 50)
    assert log_loss(outputs, label) == pytest.approx(metrics.log_loss(label, softmax(outputs), labels=range(4)))
    two = np.stack([np.zeros(50), outputs[:, 0]], axis=1)
    binary = metrics.brier_score_loss(label % 2, softmax(two)[:, 1])
    assert brier(two, label % 2) == pytest.approx(2 * binary)  # over both labels, sklearn over one


def test_the_temperature_is_the_least_of_a_fine_grid():
    draw = np.random.default_rng(1)
    truth = draw.normal(size=(400, 5))
    label = np.array([draw.choice(5, p=row) for row in softmax(truth)])
    outputs = 2.5 * truth  # two and a half times as sure as it should be
    grid = np.arange(1.5, 4.0, 0.002)
    best = grid[np.argmin([log_loss(outputs, label, float(one)) for one in grid])]
    assert fit_temperature(outputs, label) == pytest.approx(best, abs=0.002) and 2 < best < 3.2


def test_a_temperature_stays_within_its_range():
    sure = np.array([[4.0, 0.0], [0.0, 4.0]])
    assert fit_temperature(sure, np.array([0, 1])) == pytest.approx(0.05)  # always right
    assert fit_temperature(sure, np.array([1, 0])) == pytest.approx(20)  # never
    assert fit_temperature(100 * sure, np.array([0, 1])) == 1  # nothing is left to mend
    assert fit_temperature(np.zeros((4, 3)), np.array([0, 1, 2, 0])) == 1  # nothing can be mended


@given(arrays(np.float64, (12, 3), elements=st.floats(-20, 20)), arrays(np.int64, 12, elements=st.integers(0, 2)))
@QUICK
def test_a_temperature_changes_no_answer_and_never_makes_it_worse(outputs, label):
    found = fit_temperature(outputs, label)
    assert log_loss(outputs, label, found) <= log_loss(outputs, label) + 1e-9
    shares = softmax(outputs, found)
    assert (shares[np.arange(12), outputs.argmax(-1)] == shares.max(-1)).all()
    assert 0 <= reliability(shares.max(-1), outputs.argmax(-1) == label).error <= 1


# --- harm ------------------------------------------------------------------------------------------------------------

COSTS = {"spam": {"ham": 5}, "ham": {"spam": 0.5}}


@pytest.mark.parametrize("way", ["mapping", "square", "long", "semicolons", "frame", "long frame"])
def test_costs_by_the_names_of_labels(way, tmp_path):
    import pandas as pd

    texts = {
        "square": "truth,spam,ham\nham,0.5,0\nspam,0,5\n",
        "long": "answer,truth,cost\nham,spam,5\nspam,ham,0.5\n",
        "semicolons": "\ufeff;ham;spam\nspam;5;\nham;;0.5\n",
    }
    frames = {
        "frame": lambda: pd.DataFrame({"spam": [0, 0.5], "ham": [5, 0]}, index=["spam", "ham"]),
        "long frame": lambda: pd.DataFrame({"truth": ["spam", "ham"], "answer": ["ham", "spam"], "cost": [5, 0.5]}),
    }
    value = COSTS
    if way in texts:
        value = tmp_path / "costs.csv"
        value.write_text(texts[way], encoding="utf-8")
    elif way in frames:
        value = frames[way]()
    assert read_costs(value, ["ham", "spam"]).matrix.tolist() == [[0, 0.5], [5, 0]]


def test_what_is_not_said_costs_one_where_it_is_wrong():
    assert read_costs(None, "abc").matrix.tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert read_costs({"a": {"c": 7}}, "abc").matrix.tolist() == [[0, 1, 7], [1, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ({"spam": {"hamm": 1}}, "'hamm'.*Did you mean 'ham'"),
        ({"spam": {"ham": -1}}, "no price"),
        ({"spam": {"ham": "dear"}}, "no price"),
        ({"spam": {"ham": float("inf")}}, "no price"),
        ({"spam": 3}, "no table"),
        ("nowhere.csv", "nowhere.csv cannot be read"),
    ],
)
def test_costs_that_cannot_be_used(costs, said):
    with pytest.raises(BadOption, match=said):
        read_costs(costs, ["ham", "spam"])


def test_harm_worked_out_by_hand():
    costs, sure = np.array([0.0, 5.0, 0.0, 1.0]), np.array([0.9, 0.4, 0.8, 0.6])
    assert expected_harm(costs, sure, 0.0, 0.5) == (1.5, 1.0)
    assert expected_harm(costs, sure, 0.5, 0.5) == ((0 + 0.5 + 0 + 1) / 4, 0.75)
    assert best_threshold(costs, sure, 0.5) == 0.8
    assert best_threshold(costs, sure, 10.0) == 0.0  # nobody is worth that
    assert best_threshold(np.ones(3), np.array([0.5, 0.6, 0.7]), 0.1) == math.inf
    assert best_threshold(np.zeros(3), np.array([0.5, 0.6, 0.7]), 0.0) == 0.0  # of equal ones the one that answers most


@given(items(), st.floats(0, 2))
@QUICK
def test_no_threshold_harms_less_than_the_best_one(found, price):
    sure, costs = map(np.array, zip(*found, strict=True))
    least, _ = expected_harm(costs, sure, best_threshold(costs, sure, price), price)
    for threshold in (0.0, *sure, math.inf):
        assert least <= expected_harm(costs, sure, threshold, price)[0] + 1e-9
    assert least <= min(price, float(costs.mean())) + 1e-9


# --- agreement -------------------------------------------------------------------------------------------------------


def test_churn_worked_out_by_hand():
    one, other, third = np.array([0, 1, 2, 0]), np.array([0, 1, 2, 1]), np.array([0, 1, 0, 0])
    found = churn([one, other, third])
    assert (found.mean, found.lowest, found.highest, found.agreement) == (pytest.approx(1 / 3), 0.25, 0.5, 0.5)
    assert churn([one, one]).mean == 0 and churn([one]) is None


def test_numbers_that_differ_between_seeds():
    from scipy import stats

    draw = np.random.default_rng(0)
    one, other = draw.normal(size=20), draw.normal(size=20)
    found = spread([one, other])
    assert found.difference == pytest.approx(np.abs(one - other).mean())
    assert found.correlation == pytest.approx(stats.spearmanr(one, other).statistic)
    assert math.isnan(spread([one, np.zeros(20)]).correlation)


def run_of(number: int, seed: int, *, rank: int = 8, data: str = "d", status: str = "finished"):
    def dumped(mode, exclude):
        assert exclude == {"seed": True, "data": {"subset_seed"}}, "another draw of as many rows is another seed, too"
        return {"rank": rank}

    recipe = SimpleNamespace(seed=seed, model_dump=dumped)
    record = {"fingerprints": {"data": data, "model": "m"}}
    return SimpleNamespace(path=f"run-{number}", status=status, recipe=recipe, record=record)


def test_siblings_differ_in_the_seed_only():
    others = [
        run_of(2, 1),
        run_of(3, 1),
        run_of(4, 0),
        run_of(5, 2, rank=4),
        run_of(6, 3, data="e"),
        run_of(7, 4, status="stopped"),
        run_of(8, 5),
    ]
    assert [run.path for run in siblings(run_of(1, 0), [run_of(1, 0), *others])] == ["run-2", "run-8"]


# --- answers and mistakes --------------------------------------------------------------------------------------------


def test_what_answers_are():
    assert classes([[1, 2], [3, 4]], [0, 1]).kind == CLASSES
    assert classes([[1], [3]], [0.5, 1.5]).kind == NUMBERS
    assert classes([[1, 2], [3, 4]], [0.5, 1.5]).kind == OTHER
    assert classes([[1, 2], [3, 4]], [0, 2]).kind == OTHER  # a label that has no output
    lost = classes([[1, 2], [np.nan, np.nan]], [0, 1])
    assert len(lost.answered) == 1 and lost.answered.row.tolist() == [0]


def test_errors_by_class_are_those_of_sklearn():
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    draw = np.random.default_rng(3)
    found = classes(draw.normal(size=(60, 4)), draw.integers(0, 4, 60), "abcd")
    told = {row["label"]: row for row in mistakes.by_class(found)}
    numbers = precision_recall_fscore_support(found.label, found.answer, labels=range(4))
    for at, name in enumerate("abcd"):
        row = told[name]
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx([part[at] for part in numbers[:3]])
        assert row["there"] == numbers[3][at]
    assert np.array_equal(mistakes.confusion(found), confusion_matrix(found.label, found.answer))
    worst = [row["f1"] for row in mistakes.by_class(found)]
    assert worst == sorted(worst)
    biggest = mistakes.confusions(found, most=3)
    matrix = mistakes.confusion(found)
    np.fill_diagonal(matrix, 0)
    assert [one["count"] for one in biggest] == sorted(matrix.flatten(), reverse=True)[:3]


def test_a_label_that_never_was_answered_has_no_precision():
    (row,) = [row for row in mistakes.by_class(classes([[5, 0], [5, 0]], [0, 1], "ab")) if row["label"] == "b"]
    assert row["precision"] is None and row["recall"] == 0 and row["f1"] == 0


def test_the_surest_mistakes_come_first_with_their_texts():
    found = classes([[0, 1], [0, 9], [0, 5], [0, 3]], [0, 0, 1, 0], ["no", "yes"])
    rows = [{"text": f"text {n}"} for n in range(4)]
    told = mistakes.surest(found, rows)
    assert [one["text"] for one in told] == ["text 1", "text 3", "text 0"]
    assert told[0] == {"row": 1, "text": "text 1", "truth": "no", "answer": "yes"} | {
        "confidence": pytest.approx(1 / (1 + math.exp(-9)))
    }
    assert [one["row"] for one in mistakes.surest(found, None, most=1)] == [1]


def test_entities_are_those_of_seqeval():
    from seqeval.metrics import classification_report

    draw = np.random.default_rng(4)
    names = ("B-x", "B-y", "I-x", "I-y", "O")
    row = np.repeat(np.arange(8), 6)
    place = np.tile(np.arange(6), 8)
    found = Answers(draw.normal(size=(48, 5)).astype(np.float32), draw.integers(0, 5, 48), row, names, place)
    told = {one["label"]: one for one in mistakes.by_entity(found)}
    tags = [[[names[i] for i in of[row == n]] for n in range(8)] for of in (found.label, found.answer)]
    report = classification_report(*tags, output_dict=True, zero_division=0)
    for kind in "xy":
        assert told[kind]["f1"] == pytest.approx(report[kind]["f1-score"])
        assert (told[kind]["recall"] or 0) == pytest.approx(report[kind]["recall"])
        assert told[kind]["there"] == report[kind]["support"]


# --- other measures --------------------------------------------------------------------------------------------------


def test_intervals_are_those_of_scipy():
    from scipy.stats import binomtest

    for right, count in ((0, 10), (9, 10), (270, 300), (10, 10)):
        expected = binomtest(right, count).proportion_ci(0.95, method="wilson")
        assert wilson(right, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_drift_of_known_vectors():
    before = np.random.default_rng(5).normal(size=(6, 4))
    same = drift(before, before)
    assert same.cosine == pytest.approx(1) and same.apart == pytest.approx(0, abs=1e-9) and same.neighbours == 1
    turn, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(4, 4)))
    turned = drift(before, 3 * before @ turn)
    assert turned.neighbours == 1 and turned.apart > 0.1  # a turn loses nothing, and moves everything
    swapped = drift(np.eye(3), np.eye(3)[[1, 2, 0]])
    assert swapped.cosine == pytest.approx(0) and swapped.apart == pytest.approx(1)


def test_times_leave_out_the_first_calls(monkeypatch):
    import time

    now = iter(np.arange(100_000) * 0.5)
    called = []
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(now)))
    rows = [{"text": "a"}, {"text": "b"}, {"text": "c"}]
    found = time_calls(called.append, rows, lambda: None, calls=100, warm_up=10)
    assert found.calls == 100 and found.p50 == found.p99 == 0.5
    assert found.texts_per_second == pytest.approx(32 / 0.5)
    assert [len(group) for group in called].count(1) == 110 and [len(group) for group in called].count(32) == 10
    assert [group[0]["text"] for group in called[:4]] == ["a", "b", "c", "a"]


def test_figures_in_words():
    assert [milliseconds(value) for value in (0.0004, 0.0123, 0.5, 1.5)] == ["0.4 ms", "12 ms", "500 ms", "1.5 s"]
    assert [of_hundred(value) for value in (0.913, 0.004, 0.996, 1.0, 0.0)] == ["91", "0.4", "99.6", "100", "0"]


# --- typing errors ---------------------------------------------------------------------------------------------------

TEXTS = (
    "Please reset my password for the VPN, thanks",
    "パスワードがリセットできません",
    "管理者に連絡してください",
    "Привет мир как дела",
    "हिन्दी में लिखा है",
    "naïve café à la crème",
    "비밀번호를 잊어버렸어요",
)


@pytest.mark.parametrize("text", TEXTS)
def test_typos_are_the_same_each_time_and_leave_words_apart(text):
    for share in (0.1, 0.6, 1.0):
        found = with_typos(text, share, seed=1)
        assert found == with_typos(text, share, seed=1)
        assert len(found.split()) == len(text.split()) and all(found.split())
        assert [part.isspace() for part in found.split(" ")] == [part.isspace() for part in text.split(" ")]
    assert with_typos(text, 1.0, 1) != text
    assert len({with_typos(text, 0.6, seed) for seed in range(20)}) > 5


@given(st.text(max_size=60), st.floats(0.01, 1))
@QUICK
def test_typos_keep_the_number_of_words(text, share):
    assert len(with_typos(text, share).split()) == len(text.split())


def test_about_the_share_that_is_asked_for_is_mistyped():
    text = " ".join(["keyboard"] * 2000)
    for share in (0.02, 0.1):
        hit = sum(one != "keyboard" for one in with_typos(text, share).split()) / 2000
        assert hit == pytest.approx(1 - (1 - share) ** 8, abs=0.03)


def test_keys_lie_beside_each_other():
    assert set(BESIDE["g"]) == set("tyfhvb") and set(BESIDE["q"]) == set("wa")
    assert all(key in BESIDE[other] for key, others in BESIDE.items() for other in others)


def test_kana_lose_their_voicing_or_size_and_never_become_keys():
    found = {with_typos("がっこう", 1.0, seed) for seed in range(60)}
    letters = set("".join(found))
    assert {"か", "つ", "ガ"} <= letters
    assert all("\u3041" <= letter <= "\u30f6" for letter in letters)


def test_rows_keep_what_is_no_text():
    rows = [{"text": "red rope", "text_pair": '{"tools": []}', "label": "x"}]
    (alone,), (both,) = mistyped_rows(rows, 1.0, 0, pair=False), mistyped_rows(rows, 1.0, 0, pair=True)
    assert alone["text"] != "red rope" and alone["text_pair"] == '{"tools": []}' and alone["label"] == "x"
    assert both["text_pair"] != '{"tools": []}'
