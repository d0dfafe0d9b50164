"""Pictures and the table of studies: many methods stay readable, gaps are said, one seed claims nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from safetensors.numpy import save_file
from test_present import HOSTILE, check_html, make_run, record_of

from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption, RunProblem
from peft_lab.evidence import comparisons, summarise
from peft_lab.lab import Lab
from peft_lab.listings.evidence import between, comparisons_table, study_table
from peft_lab.listings.evidence_notes import p_value
from peft_lab.listings.evidence_on_texts import texts_table
from peft_lab.listings.results import two_runs
from peft_lab.present import render
from peft_lab.rows import Row, StudyRows
from peft_lab.run import Run
from peft_lab.views.comparison import Comparison
from peft_lab.views.data_curve import DataCurve
from peft_lab.views.end_labels import spread
from peft_lab.views.time_curve import TimeCurve

METHODS = {  # end of the curve, trainable
    "lora": (0.934, 250_000), "full": (0.926, 22_000_000), "sparse+anchor": (0.92, 400_000),
    "adapter": (0.915, 770_000),
    "bitfit": (0.905, 200_000), "prefix": (0.88, 290_000), "head": (0.82, 5_775),
}  # fmt: skip
MORE = {f"peft:kind{at}": (0.90 - at / 200, 100_000 * at) for at in range(1, 6)}
NESTED = "subset_seed" in DataSpec.model_fields
ASKED = {"methods": ["lora", "head"]}
SIZES, SEEDS = (100, 300, 1000, 3000), range(5)


def study_runs(
    folder: Path,
    methods: Sequence[str] = tuple(METHODS),
    sizes: Sequence[int] = SIZES,
    seeds: Sequence[int] = SEEDS,
    budgets: Sequence[float | None] = (None,),
    lacking: Callable[[str, int, int], bool] = lambda method, size, seed: False,
    untrained: bool = True,
) -> list[Run]:
    """Runs as a study leaves them, learning rates swept by method and size."""
    rng, made = np.random.default_rng(0), []
    places = list(product(methods, sizes, budgets, seeds))
    for at, (method, size, budget, seed) in enumerate(places):
        end, trainable = {**METHODS, **MORE}.get(method, (0.9, 1000))
        took = min(budget or 1e9, size * (0.2 if method == "full" else 0.1))
        value = (
            end - 0.3 * (size / 100) ** -0.6 - 0.2 * np.exp(-min(budget or 1e9, size * 0.1) / 12) + rng.normal(0, 0.008)
        )
        record = record_of(f"{at:016x}", method)
        amount = {} if size == max(sizes) else {"limit": size, **({"subset_seed": seed} if NESTED else {})}
        record["recipe"] |= {"seed": seed, "data": {"source": "helpdesk", **amount}}
        record["recipe"]["training"] |= {"learning_rate": 1e-3 * (3 if size < 500 else 1), "max_seconds": budget}
        record["data"]["rows"] = {"train": size, "validation": 100, "test": 500}
        record["cost"] |= {"trainable": trainable, "seconds": took, "peak_memory": 500_000_000 + 20 * trainable}
        missing = lacking(method, size, seed)
        record |= {"status": "failed"} if missing else {}
        record["metrics"] = {} if missing else {"validation": {"accuracy": value}, "test": {"accuracy": value}}
        points = [
            {"step": n, "epoch": n, "split": "validation", "loss": 1.0, "seconds": took * n / 8, "accuracy": v}
            for n in range(1, 9)
            if (v := value - 0.3 * np.exp(-0.7 * n) + rng.normal(0, 0.005)) is not None
        ]
        made.append(make_run(folder, record, points))
    if untrained:
        for seed in seeds:
            record = record_of(f"untrained-{seed}", "head")
            record["recipe"]["seed"] = seed
            record["cost"] |= {"trainable": 0, "seconds": 0.0}
            record["metrics"] = {"test": {"accuracy": 0.2 + seed / 100}}
            made.append(make_run(folder, record))
    return made


def rows_of(runs: Sequence[Run]) -> StudyRows:
    rows = []
    for run in runs:
        none = run.cost["trainable"] == 0
        size, limit = run.record["data"]["rows"]["train"], run.recipe.data.limit
        rows.append(
            Row(
                "untrained" if none else run.recipe.method,
                0 if none else size,
                "0" if none else str(limit or "all"),
                run.recipe.training.max_seconds,
                run.recipe.seed,
                run.status,
                "accuracy",
                run.metrics.get("test", {}),
                run.metrics.get("validation", {}),
                None if none else run.recipe.training.learning_rate,
                run.cost,
                error="out of memory: 8.1 GB of 8 GB" if run.status == "failed" else "",
            )
        )
    methods = list(dict.fromkeys(row.method for row in rows if row.method not in ("untrained", "head")))
    return StudyRows("pilot", {"methods": methods, "subsets": "same"}, tuple(rows))


def table_of(runs: Sequence[Run], against: str | None = None) -> tuple[object, object]:
    rows = rows_of(runs)
    summary, compared = summarise(rows), comparisons(rows, against)
    return study_table(rows, summary, compared), comparisons_table(summary, compared)


def named(figure: object) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def boxes(figure: object) -> list[object]:
    return [
        Text.get_window_extent(text) for text in figure.axes[0].texts if text.get_text()
    ]  # without the line to its point


def apart(found: Sequence[object]) -> bool:
    return not any(a.padded(-1).overlaps(b.padded(-1)) for at, a in enumerate(found) for b in found[:at])


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [DataCurve, TimeCurve, Comparison])
def test_pictures_of_a_study(tmp_path: Path, view: type) -> None:
    runs = study_runs(tmp_path, budgets=(30.0, 120.0))
    drawing = view().draw(runs)
    picture = render(drawing)
    assert len(picture.png) < 200_000 and picture == render(view().draw(runs))
    check_html(picture._repr_html_())
    assert apart(boxes(drawing.figure)) and len(boxes(drawing.figure)) >= 7
    assert re.match(r"\S.* highest mean test accuracy.*0\.[89]\d\d", picture.alt)
    assert "No difference from full" in picture.alt, "as the table of these runs says"


def test_twelve_methods_have_names_and_markers_of_their_own(tmp_path: Path) -> None:
    runs = study_runs(tmp_path, [*METHODS, *MORE], (100, 1000, 3000), (0, 1))
    for view in (DataCurve(), TimeCurve(TimeCurve.Options(of="within")), Comparison()):
        figure = view.draw(runs).figure
        assert apart(boxes(figure))
        assert set(named(figure)) == {*METHODS, *MORE}
    lines = [line for line in DataCurve().draw(runs).figure.axes[0].lines if line.get_marker() not in ("None", "")]
    assert len(lines) == 24, "in the picture and beside the name"
    assert len({line.get_marker() for line in lines}) == 12


def test_data_curve_says_who_is_best_where(tmp_path: Path) -> None:
    runs = study_runs(tmp_path, ("lora", "bitfit"))
    drawing = DataCurve().draw(runs)
    assert drawing.alt.startswith("With 3,000 training rows lora is best: mean test accuracy 0.89")
    assert "over 5 seeds; with 100 lora, " in drawing.alt and "Untrained: 0.220." in drawing.alt
    ticks = [label.get_text() for label in drawing.figure.axes[0].get_xticklabels()]
    assert ticks == ["3,000", "1,000", "300", "100"]
    lines = drawing.text.splitlines()
    assert lines[1].split() == ["method", "100", "300", "1,000", "3,000"]
    assert sum(line.startswith("untrained") for line in lines) == 1


def test_learning_rates_that_were_swept_make_no_new_line(tmp_path: Path) -> None:
    drawing = DataCurve().draw(study_runs(tmp_path, ("lora", "bitfit")))
    assert named(drawing.figure) == ["lora", "bitfit"]
    assert drawing.figure._supxlabel.get_text().endswith("untrained: 0.220, below what is drawn")


def test_learning_rates_of_one_seed_are_what_is_compared(tmp_path: Path) -> None:
    made = []
    for at, rate in enumerate((1e-3, 1e-4)):
        record = record_of(f"run-{at + 1}", "lora")
        record["recipe"]["training"]["learning_rate"] = rate
        made.append(make_run(tmp_path, record))
    for view in (DataCurve(), Comparison()):
        assert named(view.draw(made).figure) == ["lora, learning rate 0.001", "lora, learning rate 0.0001"]


def test_budgets_are_drawn_one_at_a_time_over_data(tmp_path: Path) -> None:
    runs = study_runs(tmp_path, ("lora", "bitfit"), budgets=(30.0, 120.0))
    assert "Runs with 2 min are shown; others: 30 s." in DataCurve().draw(runs).alt
    assert "Runs with 30 s are shown" in DataCurve(DataCurve.Options(budget=30)).draw(runs).alt
    with pytest.raises(BadOption, match="no run has a budget of 45 s"):
        DataCurve(DataCurve.Options(budget=45)).draw(runs)


def test_time_curve_between_budgets_and_within_runs(tmp_path: Path) -> None:
    runs = study_runs(tmp_path, ("lora", "full"), budgets=(10.0, 40.0))
    between = TimeCurve().draw(runs).alt
    assert between.startswith("lora has the highest mean test accuracy in the end: 0.8") and "after 40 s" in between
    assert "With 3,000 training rows; other runs have 100, 300, 1,000." in between
    within = TimeCurve(TimeCurve.Options(of="within", examples=1000)).draw(runs)
    assert "best validation accuracy so far" in within.alt and "With 1,000 training rows" in within.alt
    assert len(within.figure.axes[0].collections) == 2, "a band for each of two lines"
    with pytest.raises(BadOption, match="no run has 7 training rows"):
        TimeCurve(TimeCurve.Options(examples=7)).draw(runs)
    with pytest.raises(BadOption, match="one time budget"):
        TimeCurve(TimeCurve.Options(of="budgets")).draw(study_runs(tmp_path / "one", ("lora",), (100,), (0,)))


def test_small_studies(tmp_path: Path) -> None:
    one = study_runs(tmp_path, ("lora", "bitfit"), (3000,), (0,), untrained=False)
    for view in (DataCurve(), TimeCurve(), Comparison()):
        picture = render(view.draw(one))
        assert (
            re.search(r"lora has the highest (test|mean best validation) accuracy", picture.alt)
            and "seeds" not in picture.alt
        )
        assert "With one run each no difference can be shown." in picture.alt and len(picture.png) > 3000
    note = DataCurve().draw(one).figure._supxlabel.get_text()
    assert note == "one seed each: no spread"
    assert [label.get_text() for label in DataCurve().draw(one).figure.axes[0].get_xticklabels()] == ["3,000"]


def scored(folder: Path, values: dict[str, Sequence[float]], sizes: Sequence[int] = (3000,)) -> list[Run]:
    """Runs with these scores: of a method by seed, and where there are several sizes, by size and seed."""
    runs = study_runs(folder, tuple(values), sizes, range(len(next(iter(values.values()))) // len(sizes)), (30.0, 60.0))
    left = {method: list(own) for method, own in values.items()}
    for run in runs[: -len({run.recipe.seed for run in runs})]:
        own = left[run.recipe.method]
        seeds = len(own) // len(sizes)
        value = own[sizes.index(run.record["data"]["rows"]["train"]) * seeds + run.recipe.seed]
        record = json.loads((run.path / "run.json").read_text())
        record["metrics"] = {"validation": {"accuracy": value}, "test": {"accuracy": value}}
        (run.path / "run.json").write_text(json.dumps(record))
    return [Run(run.path) for run in runs]


@pytest.mark.parametrize("view", [DataCurve(), TimeCurve(), Comparison(Comparison.Options(budget=60))])
def test_equal_means_are_not_called_best(tmp_path: Path, view: object) -> None:
    alt = view.draw(scored(tmp_path, {"full": [1 / 3] * 3, "lora": [1 / 3] * 3, "bitfit": [1 / 3] * 3})).alt
    assert "best" not in alt and re.search(r"all have the same (mean )?test accuracy( in the end)?: 0\.333", alt, re.I)
    assert "No difference from lora, bitfit is shown." in alt


@pytest.mark.parametrize("view", [DataCurve(), TimeCurve(), Comparison(Comparison.Options(budget=60))])
def test_captions_call_best_what_the_table_does(tmp_path: Path, view: object) -> None:
    near = {"lora": [0.90, 0.91, 0.88], "full": [0.89, 0.90, 0.90], "bitfit": [0.70, 0.72, 0.68]}
    runs = scored(tmp_path / "near", near)
    alt = view.draw(runs).alt
    assert "lora has the highest mean test accuracy" in alt and "No difference from full is shown." in alt
    verdicts = {one.method: one.verdict for one in comparisons(rows_of(runs))}
    assert verdicts == {"full": "no difference shown", "bitfit": "worse"}
    apart = scored(tmp_path / "apart", {**near, "full": [0.70, 0.71, 0.68]})
    alt = view.draw(apart).alt
    assert "lora is best" in alt and "No difference" not in alt
    assert {one.verdict for one in comparisons(rows_of(apart))} == {"worse"}


def test_best_at_one_size_is_not_called_best_where_the_table_shows_nothing(tmp_path: Path) -> None:
    lora, full = [0.5, 0.51, 0.52, 0.90, 0.91, 0.92], [0.6, 0.61, 0.62, 0.801, 0.81, 0.82]
    runs = scored(tmp_path, {"lora": lora, "full": full}, (100, 3000))
    assert {one.verdict for one in comparisons(rows_of(runs))} == {"no difference shown"}
    assert {one.verdict for one in comparisons(rows_of(runs), examples=3000)} == {"worse"}
    alt = DataCurve().draw(runs).alt
    assert alt.startswith("With 3,000 training rows lora has the highest mean test accuracy: 0.910 over 3 seeds")
    assert "No difference from full is shown." in alt


def test_gaps_and_failures_are_said(tmp_path: Path) -> None:
    runs = study_runs(tmp_path, ("lora", "full"), lacking=lambda m, size, seed: m == "full" and size == 3000)
    alt = DataCurve().draw(runs).alt
    assert "Without a result: full at 3,000 rows (5 runs)." in alt
    assert "With 3,000 training rows lora is best" in alt
    with pytest.raises(RunProblem, match="no run has a"):
        DataCurve().draw(study_runs(tmp_path / "none", ("full",), (100,), (0,), lacking=lambda *_: True))


def test_runs_that_are_left_out_leave_axes_as_they_were(tmp_path: Path) -> None:
    runs = study_runs(tmp_path, ("lora", "head"), (100, 1000), (0,), untrained=False)
    hidden = tuple(run.id for run in runs if run.recipe.method == "head")
    for view in (DataCurve, TimeCurve):
        every = view().draw(runs).figure.axes[0]
        drawing = view(view.Options(hide=hidden)).draw(runs)
        assert "Left out: " in drawing.alt and named(drawing.figure) == ["lora"]
        assert drawing.figure.axes[0].get_ylim() == pytest.approx(every.get_ylim())
        assert drawing.figure.axes[0].get_xlim() == pytest.approx(every.get_xlim())


def test_comparison_of_a_study_shows_what_can_be_labelled(tmp_path: Path) -> None:
    runs = study_runs(tmp_path, budgets=(30.0, 120.0))
    drawing = Comparison().draw(runs)
    assert drawing.alt.startswith("lora has the highest mean test accuracy: 0.902 over 5 seeds")
    assert "Shown are runs with 3,000 training rows (--examples shows others) and 2 min" in drawing.alt
    few = Comparison(Comparison.Options(examples=100, budget=30)).draw(runs)
    assert len(few.figure.axes[0].texts) == 7 and "Shown are" not in few.alt
    with pytest.raises(BadOption, match="no run has 17 training rows"):
        Comparison(Comparison.Options(examples=17)).draw(runs)


def test_comparison_names_sizes_where_there_are_few(tmp_path: Path) -> None:
    drawing = Comparison().draw(study_runs(tmp_path, ("lora", "head"), (100, 1000), untrained=False))
    assert set(named(drawing.figure)) == {
        f"{method}, {size} rows" for method in ("lora", "head") for size in ("100", "1,000")
    }


def test_labels_move_apart_and_keep_their_order() -> None:
    found = spread([0.5, 0.51, 0.1, 0.52], 0.1)
    assert spread([0.97, 0.98, 0.99], 0.1) == pytest.approx([0.8, 0.9, 1.0]), "not above the picture"
    assert found == pytest.approx([0.41, 0.51, 0.1, 0.61]) and spread([0.3, 0.9], 0.1) == [0.3, 0.9]
    tight = spread([0.5] * 12, 0.05)
    assert np.allclose(np.diff(sorted(tight)), 0.05)


# --- the table -------------------------------------------------------------------------------------------------------


def test_the_table_of_a_study(tmp_path: Path) -> None:
    table, numbers = table_of(study_runs(tmp_path))
    assert table.title == "pilot: test accuracy" and table.columns[1:5] == [
        "100 rows",
        "300 rows",
        "1,000 rows",
        "all (3,000)",
    ]
    assert table.columns[5:8] == ["area", "95 % of the best from", "against lora"]
    rows = {row[0]: row for row in table.rows}
    assert next(iter(rows)) == "lora" and list(rows)[-2:] == ["head", "untrained"]
    assert rows["lora"][7] == "best" and rows["prefix"][7].startswith("worse (−0.055") and rows["head"][7] == "–"
    assert rows["full"][7].startswith("no difference shown (")
    assert re.fullmatch(r"0\.\d{3} ± 0\.\d{3}", rows["bitfit"][1]) and rows["untrained"][1] == rows["untrained"][4]
    assert "Mean ± standard deviation over 5 seeds." in table.note
    assert "a permutation test (signs of 20 differences) and a t-test (5 seeds) agree" in table.note
    assert "corrected by Holm over all 15 pairs" in table.note and "at most 5 %" in table.note
    assert "Not told apart from lora: full" in table.note and "about" in table.note
    assert "All seeds train on the same rows" in table.note
    check_html(table._repr_html_())
    assert numbers.rows[0][0] == "full" and "95 % interval (t)" in numbers.columns
    assert "it holds the truth in at most 93.8 % of cases" in numbers.note


def test_three_seeds_say_what_would_be_needed(tmp_path: Path) -> None:
    table, _ = table_of(study_runs(tmp_path, ("lora", "full", "prefix"), (1000,), (0, 1, 2)))
    assert "by a t-test over 3 seeds alone: 3 differences give a permutation test p = 0.25 at best" in table.note
    assert "from 7 seeds on it could" in table.note and "area" not in table.columns
    assert not table.note.count("Area")


def test_differences_that_cannot_be_are_not_offered(tmp_path: Path) -> None:
    same = scored(tmp_path / "same", {"full": [1 / 3] * 3, "lora": [1 / 3] * 3})
    table, numbers = table_of([run for run in same if run.cost["trainable"]])
    assert "Not told apart from full: lora. That does not make them equal." in table.note
    assert "four of five cases" not in table.note and numbers.rows[0][-1] == "–"
    table, numbers = table_of(scored(tmp_path / "wide", {"full": [0.9, 0.2], "lora": [0.3, 0.8]}))
    assert "even the largest difference that there can be would be shown in fewer than four of five" in table.note
    assert numbers.rows[0][-1] == "–" and "or is more than there can be" in numbers.note
    table, numbers = table_of(scored(tmp_path / "some", {"full": [0.90, 0.91, 0.88], "lora": [0.89, 0.90, 0.90]}))
    shown = re.search(r"shows a difference of (0\.\d+) in four of five cases", table.note)
    assert shown and numbers.rows[0][-1] == shown[1] and 0 < float(shown[1]) < 0.1
    correlated = table_of(scored(tmp_path / "signed", {"full": [0.9, -0.2], "lora": [-0.3, 0.8]}))[1]
    assert correlated.rows[0][-1] == "–", "−1 to 1 allows 2, and two seeds like these show less than any"


def test_one_seed_claims_nothing(tmp_path: Path) -> None:
    table, _ = table_of(study_runs(tmp_path, ("lora", "full"), (1000,), (0,)))
    assert "no difference can be shown" in table.note and "Holm" not in table.note
    assert "no difference shown" in {row[2].split(" (")[0] for row in table.rows}
    assert table.rows[0][1].count("±") == 0


def test_failures_and_what_waits_are_told(tmp_path: Path) -> None:
    runs = study_runs(
        tmp_path, ("lora", "full"), lacking=lambda m, size, seed: m == "full" and size == 3000 and seed < 2
    )
    rows = rows_of(runs)
    waiting = Row("full", 100, "100", None, 9, "waiting")
    rows = StudyRows(rows.name, rows.plan, (*rows.rows, waiting))
    table = study_table(rows, summarise(rows), comparisons(rows))
    full = next(row for row in table.rows if row[0] == "full")
    assert full[4].endswith(", 2 failed") and full[1].endswith("(of 5)")
    assert "Failed: full with 3,000 rows, 2 runs (out of memory: 8.1 GB of 8 GB)." in table.note
    assert "1 of 46 runs are not finished yet." in table.note


def test_budgets_are_rows(tmp_path: Path) -> None:
    table, _ = table_of(study_runs(tmp_path, ("lora", "full"), (1000, 3000), budgets=(30.0, 120.0)))
    assert [row[:2] for row in table.rows] == [
        ["lora", "30 s"], ["lora", "2 min"], ["full", "30 s"], ["full", "2 min"], ["untrained", "–"],
    ]  # fmt: skip
    assert [bool(row[6]) for row in table.rows] == [True, False, True, False, True]


def test_against_a_named_method(tmp_path: Path) -> None:
    table, _ = table_of(study_runs(tmp_path, ("lora", "full", "head"), (1000, 3000)), "head")
    rows = {row[0]: row for row in table.rows}
    assert rows["lora"][5].startswith("better (+0.1") and rows["head"][5] == "–" and "against head" in table.columns
    assert "2 comparisons" in table.note and "head is told apart from all others." in table.note


def test_names_of_people_are_only_text() -> None:
    rows = [
        Row(name, 100, name, None, seed, "finished", "accuracy", {"accuracy": at / 10 + seed / 100}, error=name)
        for at, name in enumerate(HOSTILE)
        for seed in (0, 1)
    ]
    rows.append(Row(HOSTILE[0], 100, "100", None, 2, "failed", error=HOSTILE[1]))
    found = StudyRows(HOSTILE[0], {"methods": HOSTILE}, tuple(rows))
    check_html(study_table(found, summarise(found), comparisons(found))._repr_html_())


def test_numbers_as_they_are_read() -> None:
    assert [p_value(p) for p in (0.25, 0.0312, 0.00001, float("nan"))] == ["0.25", "0.031", "< 0.001", "–"]
    assert between(-0.01, 0.02) == "−0.010 to +0.020" and between(float("nan"), 1.0) == "–"


# --- two runs --------------------------------------------------------------------------------------------------------


def answered(run: Run, right: np.ndarray, labels: np.ndarray) -> None:
    """The artifact of a run that is right where it says so, of three labels."""
    outputs = np.eye(3, dtype="float32")[np.where(right, labels, (labels + 1) % 3)]
    (run.path / "artifacts").mkdir(exist_ok=True)
    save_file({"outputs": outputs, "label": labels}, run.path / "artifacts" / "test-answers.safetensors")
    arrays = {"outputs": {"axes": ["text", "label"], "labels": {}}, "label": {"axes": ["text"], "labels": {}}}
    (run.path / "artifacts" / "test-answers.json").write_text(json.dumps({"note": "", "arrays": arrays}))


@pytest.fixture
def two(tmp_path: Path) -> list[Run]:
    runs = study_runs(tmp_path, ("lora", "head"), (1000,), (0,), untrained=False)
    labels = np.arange(300) % 3
    answered(runs[0], np.arange(300) >= 30, labels)
    answered(runs[1], (np.arange(300) >= 70) | (np.arange(300) < 10), labels)
    return runs


def test_compare_gives_mcnemars_verdict(tmp_path: Path, two: list[Run]) -> None:
    shown = Lab(tmp_path).compare(*(run.id for run in two))
    table = shown.parts[1]
    assert [row[1:] for row in table.rows] == [[230, 40], [10, 20]] and len(shown.parts) == 3
    assert "(lora) is better than" in table.note and "is right on 10.0 points more of the texts" in table.note
    assert "p < 0.001 (McNemar, chi-square with continuity correction, level 5 %)" in table.note
    check_html(shown._repr_mimebundle_()["text/html"])


def test_no_verdict_on_other_test_sets_or_without_answers(two: list[Run]) -> None:
    answered(two[1], np.ones(300, dtype=bool), (np.arange(300) + 1) % 3)
    assert two_runs(*two) is None, "other labels: other texts"
    answered(two[1], np.ones(300, dtype=bool), np.arange(300) % 3)
    assert two_runs(*two) is not None
    record = json.loads((two[1].path / "run.json").read_text())
    record["fingerprints"]["data"] = "e" * 64
    (two[1].path / "run.json").write_text(json.dumps(record))
    assert two_runs(*two) is None, "other data"
    (two[0].path / "artifacts" / "test-answers.json").unlink()
    assert two_runs(*two) is None


def test_whether_it_would_hold_on_other_texts(tmp_path: Path) -> None:
    runs = study_runs(tmp_path, ("lora", "head"), (1000,), (0, 1, 2), untrained=False)
    labels, rng = np.arange(300) % 3, np.random.default_rng(0)
    hard = rng.random(300)
    for run in runs:
        answered(run, hard + rng.normal(0, 0.1, 300) < (0.9 if run.recipe.method == "lora" else 0.6), labels)
    made = [
        Row(run.recipe.method, 1000, "1000", None, run.recipe.seed, "finished", "accuracy", run.metrics["test"])
        for run in runs
    ]
    rows = StudyRows(
        "pilot", ASKED, tuple(replace(row, path=str(run.path)) for row, run in zip(made, runs, strict=True))
    )
    table = texts_table(rows, comparisons(rows))
    (row,) = table.rows
    assert row[0] == "head" and row[3] == 3 and row[-1] == "worse" and row[1].startswith("−0.")
    assert "with other seeds and for texts like these 300" in table.note and "over one comparison" in table.note
    first = replace(rows, rows=tuple(row for row in rows.rows if row.seed == 0))
    alone = texts_table(first, comparisons(first))
    assert alone.rows[0][3:] == (1, "–", "–", "no difference shown")
    assert "no difference can be shown" in alone.note
    failed = replace(rows.rows[0], method="lora", seed=7, status="failed", path="")
    partly = replace(rows, rows=(*rows.rows, failed))
    assert texts_table(partly, comparisons(partly)).rows[0][-1] == "no difference shown", "lora is ahead, but failed"
    for run in runs:
        (run.path / "artifacts" / "test-answers.json").unlink()
    assert texts_table(rows, comparisons(rows)) is None and texts_table(rows, []) is None
