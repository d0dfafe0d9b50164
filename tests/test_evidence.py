"""Statistics of studies: against scipy, against published examples, and false alarms where nothing is to be shown."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.evidence import false_alarms, false_alarms_on_texts, flips_alone, shown, shown_on_texts, study
from peft_lab.errors import BadOption, RunProblem
from peft_lab.evidence import (
    area_under_curve,
    comparisons,
    correct_answers,
    front,
    mcnemar,
    on_texts,
    pareto,
    smallest_enough,
    summarise,
    two_levels,
)
from peft_lab.evidence.area import area
from peft_lab.evidence.correction import holm
from peft_lab.evidence.paired import detectable, paired, resolution_of, seeds_for_flips, seeds_to_show
from peft_lab.evidence.resampling import bootstrap_interval, quantile, resamples
from peft_lab.evidence.signs import differences_needed, least_p, sign_flip_p
from peft_lab.rows import Row, StudyRows
from pluggy_specs import Array, Artifact

SCORES = {
    ("lora", 100): (0.70, 0.72, 0.71, 0.69, 0.73),
    ("lora", 1000): (0.90, 0.91, 0.92, 0.90, 0.91),
    ("full", 100): (0.60, 0.64, 0.62, 0.61, 0.63),
    ("full", 1000): (0.905, 0.908, 0.915, 0.902, 0.911),
}


def rows_of(scores: dict = SCORES, **more: object) -> StudyRows:
    rows = [
        Row(
            method, examples, str(examples), None, seed, "finished", "accuracy",
            {"accuracy": value, "f1": value - 0.01}, {"accuracy": value + 0.02},
            cost={"trainable": 1000 if method == "lora" else 9000, "total": 10_000, "seconds": examples / 10},
        )
        for (method, examples), values in scores.items()
        for seed, value in enumerate(values)
        if value is not None
    ]  # fmt: skip
    methods = list(dict.fromkeys(method for method, _ in scores))
    return StudyRows("pilot", {"methods": methods}, (*rows, *more.get("also", ())))


def failed(method: str, examples: int, seed: int) -> Row:
    return Row(method, examples, str(examples), None, seed, "failed", error="out of memory")


# --- means -----------------------------------------------------------------------------------------------------------


def test_means_and_intervals_are_those_of_scipy() -> None:
    summary = summarise(rows_of())
    cell = summary.at("lora", 100)
    expected = stats.ttest_1samp(SCORES["lora", 100], 0).confidence_interval(0.95)
    assert (cell.low, cell.high) == pytest.approx(tuple(expected))
    assert cell.mean == pytest.approx(0.71) and cell.sd == pytest.approx(np.std(SCORES["lora", 100], ddof=1))
    assert summary.metric == "accuracy" and summary.split == "test" and summary.best.method == "full"
    assert summary.sizes == ((100, "100"), (1000, "1000")) and summary.seeds == (0, 1, 2, 3, 4)
    assert cell.cost["seconds"] == 10 and "peak_memory" not in cell.cost
    assert summarise(rows_of(), "f1").at("lora", 100).mean == pytest.approx(0.70)


def test_one_seed_has_no_spread_and_failures_are_counted() -> None:
    summary = summarise(rows_of({("lora", 100): (0.7,), ("full", 100): (0.6,)}, also=[failed("full", 100, 1)]))
    lora, full = summary.at("lora", 100), summary.at("full", 100)
    assert lora.n == 1 and math.isnan(lora.sd) and math.isnan(lora.low)
    assert full.failed == 1 and full.errors == ("out of memory",) and full.n == 1


def test_without_test_scores_validation_is_said() -> None:
    row = Row("lora", 100, "100", None, 0, "finished", "accuracy", {}, {"accuracy": 0.8})
    assert summarise(StudyRows("pilot", {}, (row,))).split == "validation"
    with pytest.raises(RunProblem, match="no run of the study pilot has the score 'bleu'"):
        summarise(StudyRows("pilot", {}, (row,)), "bleu")
    with pytest.raises(RunProblem, match="no finished run"):
        summarise(StudyRows("pilot", {}, (failed("full", 100, 0),)))


# --- sign flips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 5, 9, 12])
def test_sign_flips_are_those_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(0.4, 1, n)
    expected = stats.permutation_test(
        (values, np.zeros(n)), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    p, exact = sign_flip_p(values)
    assert exact and p == pytest.approx(expected.pvalue)


def test_flips_of_many_differences() -> None:
    values = np.random.default_rng(0).normal(0.35, 1, 32)
    p, exact = sign_flip_p(values)
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size=(200_000, 32))
    rough = (np.abs(signs @ values) >= abs(values.sum()) - 1e-12).mean()
    assert exact and abs(p - rough) < 5 * math.sqrt(p / 200_000)
    drawn, exact = sign_flip_p(np.append(values, 0.0))
    assert not exact and drawn == pytest.approx(p, rel=0.1) and sign_flip_p(np.append(values, 0.0))[0] == drawn
    assert sign_flip_p(np.ones(40))[0] == 1 / 100_000, "never 0: (b + 1) / (m + 1)"


def test_few_seeds_cannot_show_anything_by_flips() -> None:
    for n in (1, 2, 3, 4, 5, 6):
        assert sign_flip_p(np.ones(n) * 0.3)[0] == least_p(n) == 2 / 2**n
    assert differences_needed(0.05) == 6 and least_p(5) > 0.05
    assert seeds_for_flips(0.05, 1, 1) == 6 and seeds_for_flips(0.05, 1, 4) == 2 and seeds_for_flips(0.05, 21, 1) == 10
    assert sign_flip_p(np.zeros(4))[0] == 1 and sign_flip_p(np.array([0.1, 0.2, -0.3]))[0] == 1


def test_published_sign_flips() -> None:
    """Darwin's maize, fifteen pairs: 1,726 of 32,768 ways reach the sum of 314, as Fisher (1935) counted."""
    darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    p, exact = sign_flip_p(np.array(darwin))
    assert exact and p == pytest.approx(1726 / 32768)


# --- bootstrap -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 5, 8, 12])
def test_percentile_interval_is_that_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    low, high = bootstrap_interval(values, expanded=False)
    drawn = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(0)
    ).confidence_interval
    assert (low, high) == pytest.approx(tuple(drawn), abs=0.05)


def test_all_ways_to_draw_again() -> None:
    shares, weights = resamples(3)
    assert len(shares) == 10 and weights.sum() == pytest.approx(1) and np.allclose(shares.sum(axis=1), 1)
    assert weights[(shares == 1 / 3).all(axis=1)] == pytest.approx(6 / 27)
    assert len(resamples(8)[0]) == 6435 and len(resamples(9)[0]) == 10_000
    assert quantile(np.array([3.0, 1.0, 2.0]), np.array([0.5, 0.25, 0.25]), 0.5) == 2


def test_few_values_cannot_cover_95_percent() -> None:
    assert bootstrap_interval(np.array([0.1, 0.2, 0.6])) == pytest.approx((0.1, 0.6))
    wide, plain = (bootstrap_interval(np.arange(12.0), expanded=e) for e in (True, False))
    assert wide[0] < plain[0] < plain[1] < wide[1]
    assert all(map(math.isnan, bootstrap_interval(np.array([1.0]))))


# --- correction ------------------------------------------------------------------------------------------------------


def test_holm_as_published() -> None:
    """Fifteen p values of Benjamini and Hochberg (1995): three stay at 0.05, their own procedure keeps four."""
    p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459,
        0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
    ]  # fmt: skip
    corrected = holm(p)
    assert corrected[:4] == pytest.approx([0.0015, 0.0056, 0.0247, 0.1140])
    assert (corrected <= 0.05).sum() == 3 and (stats.false_discovery_control(p) <= 0.05).sum() == 4
    shuffled = np.random.default_rng(0).permutation(15)
    assert holm(np.array(p)[shuffled]) == pytest.approx(corrected[shuffled])
    assert all(a <= b for a, b in pairwise(corrected))


def test_holm_as_r_does_it() -> None:
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.01, math.nan]) == pytest.approx([0.02, 1.0])


# --- methods against each other --------------------------------------------------------------------------------------


def test_a_comparison_is_that_of_scipy() -> None:
    (one,) = comparisons(rows_of(), "full")
    apart = [np.subtract(SCORES["lora", n], SCORES["full", n]) for n in (100, 1000)]
    assert one.method == "lora" and one.difference == pytest.approx(np.mean(apart))
    assert one.t_p == pytest.approx(stats.ttest_1samp(np.mean(apart, axis=0), 0).pvalue)
    flipped = np.concatenate(apart)
    assert one.permutation_p == pytest.approx(
        stats.permutation_test(
            (flipped, np.zeros(10)), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
        ).pvalue
    )
    assert (one.t_low, one.t_high) == pytest.approx(
        tuple(stats.ttest_1samp(np.mean(apart, axis=0), 0).confidence_interval(0.95))
    )
    assert one.blocks == 10 and one.seeds == 5 and one.p == max(one.permutation_p, one.t_p) and one.family == 1
    assert one.verdict == "better" and one.rests_on == "both tests" and one.t_low < one.low < one.high < one.t_high


def test_the_other_way_round_it_is_worse() -> None:
    (best,) = comparisons(rows_of())
    (named,) = comparisons(rows_of(), "full")
    assert best.method == "full" and best.against == "lora" and best.verdict == "worse"
    assert (best.difference, best.t_low, best.high) == pytest.approx((-named.difference, -named.t_high, -named.low))
    assert best.above == 5 - named.above


def test_one_size_and_few_seeds_rest_on_the_t_test_alone() -> None:
    (one,) = comparisons(rows_of(), "full", examples=100)
    assert one.permutation_p == 2 / 32 and one.rests_on == "t-test alone" and one.seeds_needed == 6
    assert one.p == one.t_p < 0.001 and one.verdict == "better"
    (close,) = comparisons(rows_of(), "full", examples=1000)
    assert close.verdict == "no difference shown" and close.detectable > abs(close.difference)


def test_one_seed_shows_nothing() -> None:
    (one,) = comparisons(rows_of({key: values[:1] for key, values in SCORES.items()}))
    assert one.verdict == "no difference shown" and one.rests_on == "no test" and math.isnan(one.p)
    assert one.corrected_p == 1 and one.difference < 0


def test_against_the_best_every_pair_counts() -> None:
    scores = {**SCORES, ("bitfit", 100): (0.5,) * 5, ("bitfit", 1000): (0.8, 0.81, 0.82, 0.8, 0.81)}
    best = comparisons(rows_of(scores))
    assert [c.method for c in best] == ["full", "bitfit"] and {c.family for c in best} == {3}
    assert {c.family for c in comparisons(rows_of(scores), "lora")} == {2}
    with pytest.raises(BadOption, match="no method 'ful'"):
        comparisons(rows_of(scores), "ful")


def test_budgets_of_one_seed_are_one_block() -> None:
    """A run of thirty seconds is the beginning of that of two minutes: to count both would be to count twice."""
    once = rows_of()
    from dataclasses import replace

    twice = StudyRows("pilot", once.plan, tuple(replace(r, budget=b) for r in once.rows for b in (30.0, 120.0)))
    (one,), (other,) = comparisons(once), comparisons(twice)
    assert (other.p, other.blocks, other.verdict) == (one.p, one.blocks, one.verdict)
    assert comparisons(twice, budget=30.0)[0].difference == pytest.approx(one.difference)


def test_what_failed_is_never_better() -> None:
    scores = {**SCORES, ("lora", 1000): (0.90, 0.91, 0.92, 0.90, None)}
    (one,) = comparisons(rows_of(scores, also=[failed("lora", 1000, 4)]), "full")
    assert one.corrected_p <= 0.05 and one.difference > 0 and one.left_out == 1
    assert one.verdict == "no difference shown" and one.failed == (1, 0)
    (waits,) = comparisons(rows_of(scores), "full")
    assert waits.verdict == "better"


def test_scores_that_agree_by_rounding_are_no_certainty() -> None:
    """Three times one text of forty is no proof, although the spread is 0."""
    one, other = ({(100, None, s): v for s in range(3)} for v in (0.5, 0.525))
    assert paired(one, other).t_p == 0
    assert paired(one, other, resolution_of([0.5, 0.525])).t_p == pytest.approx(0.0513, abs=0.001)


def test_baselines_are_compared_when_named() -> None:
    also = [
        Row(name, n, str(n), None, seed, "finished", "accuracy", {"accuracy": value + seed / 1000})
        for name, value, sizes in (("untrained", 0.1, (0,)), ("head", 0.5, (100, 1000)))
        for n in sizes
        for seed in range(5)
    ]
    rows = rows_of(also=also)
    assert [c.method for c in comparisons(rows)] == ["full"]
    assert {c.method for c in comparisons(rows, "head")} == {"lora", "full"}
    assert all(c.verdict == "better" and c.blocks == 10 for c in comparisons(rows, "untrained"))
    assert [c.blocks for c in comparisons(rows, "untrained", examples=100)] == [5] * 2, "it has no rows of its own"
    assert summarise(rows).baselines == ("untrained", "head") and len(summarise(rows).sizes) == 2
    assert {one.method for one in smallest_enough(rows)} == {"lora", "full", "head"}
    asked = StudyRows("pilot", {"methods": ["lora", "full", "head"]}, rows.rows)
    assert [c.method for c in comparisons(asked)] == ["full", "head"]


def test_what_would_be_needed() -> None:
    """G*Power gives the same: 34 pairs for an effect of 0.5 at 0.05 and power 0.8."""
    assert seeds_to_show(0.5, 1.0, 0.05) == 34 and seeds_to_show(0.8, 1.0, 0.05) == 15
    assert seeds_to_show(0.01, 1.0, 0.05) is None and seeds_to_show(0.0, 1.0, 0.05) is None
    assert detectable(1.0, 34, 0.05) == pytest.approx(0.4942, abs=0.001) and math.isnan(detectable(1.0, 1, 0.05))


# --- false alarms ----------------------------------------------------------------------------------------------------

STUDIES, LEVEL = 200, 0.05
MOST = int(stats.binom.ppf(0.999, STUDIES, LEVEL))
"""More alarms than this come once in a thousand times from a procedure that keeps its level."""


@pytest.mark.parametrize(
    "how",
    [
        {"methods": 4, "sizes": 3, "seeds": 5},
        {"methods": 4, "sizes": 3, "seeds": 5, "lasting": 0.9},
        {"methods": 3, "sizes": 1, "seeds": 3, "texts": 100},
        {"methods": 4, "sizes": 2, "seeds": 5, "noise": "some collapse"},
    ],
    ids=lambda how: " ".join(f"{key}={value}" for key, value in how.items()),
)
def test_false_alarms_of_studies_without_a_difference(how: dict) -> None:
    alarms = false_alarms(STUDIES, level=LEVEL, **how)
    sys.stdout.write(f"{alarms} of {STUDIES} studies, {alarms / STUDIES:.1%}, at a level of {LEVEL:.0%}\n")
    assert alarms <= MOST


def test_flips_alone_would_not_keep_the_level() -> None:
    """Luck that a method keeps with a seed over data sizes makes blocks alike: why the t-test over seeds must agree."""
    found = flips_alone(400, sizes=4, seeds=5, lasting=0.9)
    assert found["flips"] > 2 * stats.binom.ppf(0.999, 400, LEVEL) and found["both"] <= stats.binom.ppf(
        0.999, 400, LEVEL
    )


def test_true_differences_are_found() -> None:
    assert shown(40, 0.03, methods=3, sizes=3, seeds=5) >= 34


def test_the_same_rows_give_the_same() -> None:
    rows = study(np.random.default_rng(3))
    assert comparisons(rows) == comparisons(rows)


# --- two runs, and texts ---------------------------------------------------------------------------------------------


def answers(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return a, b


def test_mcnemar_as_published() -> None:
    """Approval of a prime minister in two surveys (Agresti, Categorical Data Analysis): z = -4.17 of 86 and 150."""
    found = mcnemar(*answers(794, 86, 150, 570))
    assert (found.both, found.only_a, found.only_b, found.neither) == (794, 86, 150, 570)
    assert found.statistic == pytest.approx(((150 - 86) - 1) ** 2 / 236) and found.p == pytest.approx(
        4.115e-5, rel=1e-3
    )
    assert math.sqrt(found.statistic) == pytest.approx(4.17 * 63 / 64, abs=0.01)
    assert found.form == "chi-square with continuity correction" and found.verdict == "worse"
    assert found.difference == pytest.approx(-0.04) and found.low < -0.04 < found.high < 0


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (5, 1), (6, 0), (12, 12), (20, 4)])
def test_few_discordant_texts_are_counted_exactly(only_a: int, only_b: int) -> None:
    found = mcnemar(*answers(50, only_a, only_b, 10))
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert found.form == "exact binomial" and found.p == pytest.approx(expected) and math.isnan(found.statistic)
    assert found.verdict == ("better" if expected <= 0.05 else "no difference shown")


def test_answers_of_one_test_set_only() -> None:
    with pytest.raises(ValueError, match="not those of one test set"):
        mcnemar(np.ones(3), np.ones(4))


def test_which_answers_are_right() -> None:
    def kept(outputs: object, label: object, axis: str = "text") -> Artifact:
        arrays = {"outputs": Array(np.array(outputs), (axis, "label")), "label": Array(np.array(label), (axis,))}
        return Artifact("test-answers", arrays)

    assert correct_answers(kept([[1.0, 2.0], [3.0, 1.0]], [1, 1])).tolist() == [True, False]
    assert correct_answers(kept([[1.0], [3.0]], [1.5, 1.0])) is None, "numbers are not right or wrong"
    assert correct_answers(kept([[1.0, 2.0]], [1], "word")) is None, "words of a text are not independent"
    assert correct_answers(Artifact("test-answers", {})) is None


def test_seeds_and_texts_at_once() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(400)
    a, b = (hard + rng.normal(0, 0.2, (3, 400)) < limit for limit in (0.9, 0.7))
    found = two_levels(a, b)
    assert found.verdict == "better" and found.low < found.difference < found.high and found.p <= 0.05
    assert two_levels(a, b) == found and two_levels(b, a).verdict == "worse"
    same = two_levels(a, a)
    assert same.verdict == "no difference shown" and same.p == 1 and same.difference == 0
    by_seed = (a.mean(axis=1) - b.mean(axis=1)).tolist()
    assert found.p >= stats.ttest_1samp(by_seed, 0).pvalue and found.seeds == 3
    with pytest.raises(ValueError, match=r"not \[seed, text\] of the same runs"):
        two_levels(a, b[:2])


def test_two_levels_are_two_t_tests_that_agree() -> None:
    """Worked by hand: two seeds, three texts, differences 1 0 1 and 1 0 0."""
    apart = np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    found = two_levels(apart, np.zeros((2, 3)))
    of_seeds, of_texts, rest = 1 / 36, 1 / 12, 1 / 36  # mean squares 1/6, 1/2, 1/6, over six answers
    whole = of_seeds + of_texts - rest
    freedom = whole**2 / (of_seeds**2 + of_texts**2 / 2 + rest**2 / 2)
    together = 2 * stats.t.sf(0.5 / math.sqrt(whole), freedom)
    over_seeds = stats.ttest_1samp(apart.mean(axis=1), 0).pvalue
    assert found.p == pytest.approx(max(together, over_seeds)) and together > over_seeds
    assert found.spread_seeds == pytest.approx(1 - of_texts / whole, abs=1e-12)
    half = max(
        stats.t.ppf(0.975, freedom) * math.sqrt(whole),
        stats.t.ppf(0.975, 1) * math.sqrt(of_seeds),
    )
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))


def test_one_seed_says_what_other_texts_would_do_and_shows_nothing() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(300) + 1, rng.random(300)
    found = two_levels(a[None], b[None])
    interval = stats.ttest_1samp(a - b, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(interval)) and found.low > 0.9
    assert math.isnan(found.p) and math.isnan(found.spread_seeds) and found.verdict == "no difference shown"
    (one,) = on_texts({("a", "b"): (a[None], b[None])}, "b")
    assert math.isnan(one.corrected_p) and one.verdict == "no difference shown"


def test_two_seeds_that_agree_by_chance_show_nothing() -> None:
    """24 texts, two seeds, both of them right on nine more: by seeds alone a certainty."""
    a, b = np.ones((2, 24)), np.ones((2, 24))
    b[0, :9], b[1, 6:15] = 0, 0
    found = two_levels(b, a)
    assert found.difference == pytest.approx(-0.375) and found.p > 0.05 and found.verdict == "no difference shown"


def test_where_luck_lies_is_told() -> None:
    rng = np.random.default_rng(2)
    lucky = rng.normal(0, 1, (5, 1)) + rng.normal(0, 0.1, (5, 200))
    hard = rng.normal(0, 1, (1, 200)) + rng.normal(0, 0.1, (5, 200))
    none = np.zeros((5, 200))
    assert two_levels(lucky, none).spread_seeds > 0.9 and two_levels(hard, none).spread_seeds < 0.1


def test_every_pair_counts_and_each_is_turned_to_the_method() -> None:
    rng = np.random.default_rng(3)
    right = {name: rng.random((5, 400)) < share for name, share in (("a", 0.9), ("b", 0.6), ("c", 0.89))}
    pairs = {pair: (right[pair[0]], right[pair[1]]) for pair in (("a", "b"), ("a", "c"), ("b", "c"))}
    found = {one.method: one for one in on_texts(pairs, "a")}
    assert {name: one.verdict for name, one in found.items()} == {"b": "worse", "c": "no difference shown"}
    assert found["b"].found.difference < 0 and found["b"].found.high < 0 and found["b"].family == 3
    raw = [two_levels(*answers).p for answers in pairs.values()]
    assert [found["b"].corrected_p, found["c"].corrected_p] == pytest.approx(holm(raw)[:2].tolist())


@pytest.mark.parametrize(
    "how",
    [
        {"methods": 4, "seeds": 3, "luck": 0.02},
        {"methods": 4, "seeds": 5, "luck": 0.02},
        {"methods": 2, "seeds": 2, "luck": 0.05},
        {"methods": 2, "seeds": 5, "luck": 0.02, "texts": 24},
        {"methods": 4, "seeds": 1, "luck": 0.01},
    ],
    ids=lambda how: " ".join(f"{key}={value}" for key, value in how.items()),
)
def test_false_alarms_on_texts_of_studies_without_a_difference(how: dict) -> None:
    assert false_alarms_on_texts(STUDIES, level=LEVEL, **how) <= STUDIES * LEVEL


def test_true_differences_are_found_on_texts() -> None:
    assert shown_on_texts(100, 0.1, methods=4, seeds=5) >= 95


# --- curves and fronts -----------------------------------------------------------------------------------------------


def test_area_under_a_learning_curve() -> None:
    assert area([0.5, 0.5, 0.5], [10, 100, 1000]) == pytest.approx(0.5)
    assert area([0.0, 1.0, 1.0], [10, 100, 1000]) == pytest.approx(0.75), "one decade is as wide as another"
    assert area([0.4], [100]) == 0.4
    lora, full = area_under_curve(rows_of())
    assert lora.method == "lora" and lora.sizes == (100, 1000) and lora.n == 5
    assert lora.mean == pytest.approx((0.71 + 0.908) / 2) and lora.mean > full.mean and lora.low < lora.mean < lora.high


def test_areas_use_sizes_that_all_have() -> None:
    scores = {**SCORES, ("full", 5000): (0.93,) * 5}
    assert {one.sizes for one in area_under_curve(rows_of(scores))} == {(100, 1000)}
    gap = {**SCORES, ("lora", 100): (0.70, None, 0.71, 0.69, 0.73)}
    assert [one.n for one in area_under_curve(rows_of(gap))] == [4, 5]


def test_smallest_size_that_is_enough() -> None:
    scores = {**SCORES, ("lora", 300): (0.86, 0.88, 0.87, 0.87, 0.85), ("full", 300): (0.8,) * 5}
    lora, full = smallest_enough(rows_of(scores))
    assert lora.target == pytest.approx(0.95 * 0.9082, abs=1e-3)
    assert (lora.examples, full.examples) == (300, 1000) and full.low == full.high == 1000 and full.agreeing == 1
    assert lora.low == 300 and 0.5 < lora.agreeing <= 1
    (only,) = (one for one in smallest_enough(rows_of({**scores, ("head", 100): (0.3,) * 5})) if one.method == "head")
    assert only.examples is None and only.high is None and only.asked == ""


def test_one_seed_does_not_know_how_sure_it_is() -> None:
    made = smallest_enough(rows_of({("lora", 100): (0.5,), ("lora", 1000): (0.9,)}))
    assert made[0].examples == 1000 and math.isnan(made[0].agreeing) and made[0].low is None


def test_fronts() -> None:
    assert front([0.9, 0.8, 0.95, 0.8], [10, 5, 20, 6]).tolist() == [True, True, True, False]
    assert front([0.9, 0.9], [1, 1]).tolist() == [True, True], "equals do not beat each other"
    assert front([0.9, 0.9], [1, 2]).tolist() == [True, False]
    cheap, dear = pareto(summarise(rows_of()), "trainable", examples=1000)
    assert cheap.method == "lora" and cheap.on_front and cheap.certain == 1 and 0 < dear.certain < 1
    assert [one.on_front for one in pareto(summarise(rows_of()), "trainable", examples=100)] == [True, False]
    assert pareto(summarise(rows_of()), "memory") == []
    with pytest.raises(ValueError, match="no cost"):
        pareto(summarise(rows_of()), "colour")


@pytest.mark.parametrize("function", [summarise, comparisons, area_under_curve, smallest_enough])
def test_a_study_that_has_just_begun(function: Callable) -> None:
    waiting = Row("lora", 100, "100", None, 0, "waiting")
    with pytest.raises(RunProblem, match="no finished run yet"):
        function(StudyRows("pilot", {}, (waiting,)))


def test_the_page_runs_and_says_what_it_prints(capsys: pytest.CaptureFixture) -> None:
    page = (Path(__file__).parents[1] / "docs" / "evidence.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"<!-- file: evidence.py -->\n```python\n(.*?)^```$", page, re.S | re.M)
    exec(compile(text, "evidence.py", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "0.911 ± 0.005 over 5 seeds; the mean lies in 0.906 to 0.917"
    assert said[1].startswith("bitfit worse by -0.022, p = 0.000") and said[1].endswith("t-test alone")
