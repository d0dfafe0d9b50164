"""Runs of every task on tiny models, judged from what they left and what they answer."""

from __future__ import annotations

import json
import math
from functools import partial

import numpy as np
import pytest
from test_present import HOSTILE, check_html
from test_tasks import counted, tagged

from peft_lab.errors import BadOption, RunProblem
from peft_lab.judging.answers import answers_in, kept_answers
from peft_lab.judging.judge import judge
from peft_lab.judging.judgement import FILE, Judgement, read_judgement
from peft_lab.judging.tables import details, summary
from peft_lab.present.stack import Stack
from peft_lab.run import Run
from peft_lab.testing import tiny_causal_lab, tiny_lab, tiny_rows
from peft_lab.training import session, told
from peft_lab.training.progress import Progress
from peft_lab.training.restore import restore
from pluggy_specs import DatasetSource

FAST = {"epochs": 2, "batch_size": 8, "device": "cpu", "precision": "fp32"}
HOSTILE_ROWS = [
    {"text": f"{text} {row['text']}", "label": row["label"]}
    for text, row in zip(HOSTILE * 4, tiny_rows(24, seed=3), strict=True)
]


def pairs(count: int, seed: int = 0) -> list[dict[str, str]]:
    rows = []
    for at, (one, other) in enumerate(zip(tiny_rows(count, seed), tiny_rows(count, seed + 7), strict=True)):
        same = at % 2 == 0
        rows.append(
            {"text": one["text"], "text_pair": one["text"] if same else other["text"], "label": ["no", "yes"][same]}
        )
    return rows


@pytest.fixture(scope="module")
def lab(tmp_path_factory, trained_before):
    lab = tiny_lab(tmp_path_factory.mktemp("judging"))
    split = {"train": pairs(60), "test": pairs(30, 1)}
    lab.add(DatasetSource("pairs", "for tests", lambda: split, text_pair="text_pair"))
    for name, (task, train, test) in {
        "hostile": ("classification", tiny_rows(60), HOSTILE_ROWS),
        "prices": ("regression", counted(60), counted(30, 1)),
        "tags": ("tagging", tagged(60), tagged(30, 1)),
        "untested": ("classification", tiny_rows(60), None),
    }.items():
        rows = {"train": train, **({"test": test} if test else {})}
        lab.add(DatasetSource(name, "for tests", partial(dict, rows), task=task))
    return lab


@pytest.fixture(scope="module")
def run(lab) -> Run:
    return lab.train("lora", data="tiny", **FAST)


@pytest.fixture(scope="module")
def other(lab) -> Run:
    return lab.train("lora", data="tiny", seed=1, **FAST)


@pytest.fixture(scope="module")
def judged(lab, run, other) -> Stack:
    return lab.judge(run.id, costs={"about-red": {"about-green": 5}}, defer=0.3)


@pytest.fixture(scope="module")
def found(run, judged) -> Judgement:
    return read_judgement(run)


# --- what a run leaves -----------------------------------------------------------------------------------------------


def test_answers_on_test_are_those_that_were_scored(run, lab):
    answers = kept_answers(run)
    assert answers.outputs.dtype == np.float32 and len(answers) == 48
    assert answers.names == ("about-blue", "about-green", "about-red")
    assert float(answers.correct.mean()) == run.metrics["test"]["accuracy"]
    rows = lab.host.find("datasets", "tiny").splits()["test"]
    assert [answers.names[at] for at in answers.label] == [rows[at]["label"] for at in answers.row]
    validation = kept_answers(run, "validation")
    assert float(validation.correct.mean()) == run.metrics["validation"]["accuracy"]


def test_answers_of_a_run_that_went_on_are_those_of_one_that_never_ended(lab, run):
    class Until(Progress):
        def stopping(self):
            return self.state.get("step", 0) >= 15

    stopped = session.train(run.recipe, lab.host, lab.folder, Until())
    assert stopped.status == "stopped" and "test-answers" not in stopped.artifacts
    again = lab.resume(stopped.id)
    for split in ("test", "validation"):
        one, two = kept_answers(run, split), kept_answers(again, split)
        assert np.array_equal(one.outputs, two.outputs) and np.array_equal(one.label, two.label)


def test_the_best_state_is_asked_again_where_it_was_reached_before_the_stop(lab, monkeypatch):
    """The best of three epochs is the first here, and the run goes on behind it."""
    from peft_lab.training import loop

    real, scored = loop.evaluate, []

    def falling(*args, **more):
        scores = real(*args, **more)
        if scores is not None:
            scored.append(scores["accuracy"])
            scores["accuracy"] = 1.0 / len(scored)
        return scores

    class Until(Progress):
        def stopping(self):
            return self.state.get("step", 0) >= 15

    monkeypatch.setattr(loop, "evaluate", falling)
    recipe = lab.recipe("head", data="tiny", **{**FAST, "epochs": 3}, seed=7)
    stopped = session.train(recipe, lab.host, lab.folder, Until())
    assert stopped.record["best"]["step"] == 11
    scored[:] = [0.0] * 5
    again = lab.resume(stopped.id)
    assert again.record["best"]["step"] == 11 and again.record["steps"]["done"] == 33
    outputs, _ = restored_outputs(lab, again, "validation")
    assert np.array_equal(kept_answers(again, "validation").outputs, outputs)


def restored_outputs(lab, run, split):
    from peft_lab.sources.datasets import load_data

    rows = load_data(run.recipe.data, lab.host).splits[split]
    scores, artifact = restore(run, lab.host).judged(rows, split)
    return answers_in(artifact).outputs, scores


def test_of_too_many_numbers_texts_at_even_distances_are_kept(run, monkeypatch):
    assert told.spread(10, 3, most=30).tolist() == list(range(10))
    assert told.spread(10, 3, most=12).tolist() == [0, 3, 6, 9]
    assert told.spread(10, 30, most=12).tolist() == [0]
    answers = kept_answers(run)
    data = type("Data", (), {"labels": answers.label, "numbers": None, "__len__": lambda self: len(answers)})()
    task = type("Task", (), {"generates": False, "by_word": False})()
    monkeypatch.setattr(told, "spread", partial(told.spread, most=30))
    made = told.answers_artifact("test", answers.outputs, data, task, {"labels": list(answers.names)})
    assert made.note == "10 of 48 texts of test, at even distances"
    some = answers_in(made)
    assert some.row[0] == 0 and some.row[-1] == 47
    assert np.array_equal(some.outputs, answers.outputs[some.row])


# --- one run ---------------------------------------------------------------------------------------------------------


def test_every_measure_of_a_classifier_is_taken(found, run, other):
    assert not found.left_out
    assert found.run == run.id and found.format == 1 and found.hardware["threads"] >= 1
    quality, size = found.measures["quality"], found.measures["size"]
    assert quality["right"] / quality["items"] == run.metrics["test"]["accuracy"]
    assert quality["low"] < run.metrics["test"]["accuracy"] < quality["high"]
    assert size["bytes_on_disk"] == (run.path / "weights.safetensors").stat().st_size
    assert found.measures["churn"]["ids"] == [run.id, other.id]
    one, two = kept_answers(run), kept_answers(other)
    assert found.measures["churn"]["mean"] == pytest.approx(float(np.mean(one.answer != two.answer)))


def test_times_merged_and_not(found):
    latency = found.measures["latency"]
    for way in ("unmerged", "merged"):
        times = latency[way]
        assert times["calls"] == 100 and 0 < times["p50"] <= times["p95"] <= times["p99"]
        assert times["texts_per_second"] > 0
    assert latency["why_not_merged"] == "" and latency["warm_up"] >= 10 and latency["threads"] >= 1
    assert latency["merged_model_bytes"] < latency["model_bytes"] == found.measures["size"]["model_bytes"]


def test_a_method_that_cannot_be_merged_says_why(lab):
    run = lab.train("adapter", data="tiny", **{**FAST, "epochs": 1})
    latency = judge(run, lab.host).measures["latency"]
    assert latency["merged"] is None and "adapter cannot be merged: it adds" in latency["why_not_merged"]
    head = lab.train("head", data="tiny", **{**FAST, "epochs": 1})
    made = judge(head, lab.host)
    assert "nothing to merge" in made.measures["latency"]["why_not_merged"]
    forgot = made.measures["forgetting"]
    assert forgot["apart"] == pytest.approx(0, abs=1e-9) and forgot["neighbours"] == 1
    assert "churn" in made.left_out and "--seed 1" in made.left_out["churn"]


def test_certainty_is_mended_on_validation_and_told_on_test(found, run):
    from peft_lab.judging.calibration import fit_temperature

    known = kept_answers(run, "validation")
    calibration = found.measures["calibration"]
    assert calibration["temperature"] == pytest.approx(fit_temperature(known.outputs, known.label))
    assert calibration["items"] == 48 and calibration["validation_items"] == len(known) and calibration["few"]
    assert sum(calibration["by_bin"]["count"]) == 48
    assert None in calibration["by_bin"]["accuracy"]  # an empty bin: NaN is no JSON


def test_the_price_of_mistakes(found, run):
    harm, answers = found.measures["harm"], kept_answers(run)
    red, green = answers.names.index("about-red"), answers.names.index("about-green")
    dear = (answers.label == red) & (answers.answer == green)
    assert harm["given"] == 1 and harm["price"] == 0.3
    each = np.where(dear, 5, ~answers.correct)
    assert harm["all_answered"] == pytest.approx(float(each.mean()))
    kept = answers.confidence >= (math.inf if harm["nothing_answered"] else harm["threshold"])
    assert harm["harm"] == pytest.approx(float(np.where(kept, each, 0.3).mean()))
    assert harm["coverage"] == pytest.approx(float(kept.mean()))


def test_typos_and_forgetting(found, run):
    typos = found.measures["typos"]
    assert typos["items"] == 48 and [one["rate"] for one in typos["at"]] == [0.02, 0.05, 0.1]
    assert typos["score"] == run.metrics["test"]["accuracy"]
    assert all(0 <= one["churn"] <= 1 for one in typos["at"])
    forgot = found.measures["forgetting"]
    assert forgot["kind"] == "representation" and forgot["sentences"] > 30 and -1 <= forgot["cosine"] <= 1


def test_the_same_run_is_judged_the_same(lab, run, found):
    again = judge(run, lab.host, costs={"about-red": {"about-green": 5}}, defer=0.3, latency=False, keep=False)
    assert "latency" in again.left_out
    for name, measure in again.as_json()["measures"].items():
        assert measure == found.measures[name], name


def test_the_record_is_json_and_comes_back(run, found):
    data = json.loads((run.path / FILE).read_text(encoding="utf-8"))
    json.dumps(data, allow_nan=False)
    assert Judgement.of(data).as_json() == found.as_json() == data
    (run.path / FILE).write_text('{"format": 1}')
    with pytest.raises(RunProblem, match="judgement.json is damaged"):
        read_judgement(run)
    (run.path / FILE).write_text(json.dumps({**data, "format": 2}))
    with pytest.raises(RunProblem, match="newer peft_lab"):
        read_judgement(run)
    (run.path / FILE).write_text(json.dumps(data))
    assert read_judgement(run) == found


def test_what_is_shown(judged, found):
    bundle = judged._repr_mimebundle_()
    check_html(bundle["text/html"])
    text = bundle["text/plain"]
    for said in ("right answers", "time for one answer", "changes with the seed", "the same, with a person"):
        assert said in text
    assert "{" not in summary(found).note and not any("{" in str(cell) for row in summary(found).rows for cell in row)
    pictures = [part for part in judged.parts if hasattr(part, "png")]
    assert [picture.png[:4] for picture in pictures] == [b"\x89PNG"] * 2
    assert all(len(row) == 3 for row in found.table().rows)


def test_runs_side_by_side(lab, run, other):
    table = lab.judge(run.id, other.id, latency=False).parts[0]
    assert len(table.columns) == 4 and run.id in table.columns[1] and other.id in table.columns[2]
    rows = {row[0]: row for row in table.rows}
    assert rows["changes with the seed"][1] == rows["changes with the seed"][2]
    assert "{" not in str(table)
    check_html(table._repr_html_())


def test_a_hostile_text_stays_text(lab):
    run = lab.train("head", data="hostile", max_steps=2, batch_size=8, device="cpu")
    shown = lab.judge(run.id, latency=False)
    html = shown._repr_mimebundle_()["text/html"]
    check_html(html)
    mistakes = read_judgement(run).measures["mistakes"]
    assert mistakes["wrong"] > 4 and any(
        "<img" in one["text"] or "</script>" in one["text"] for one in mistakes["surest"]
    )
    assert "<img src=x" not in html and "</script>" not in html and "\u202e" not in html


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"risk": 2.0}, "a risk of 2"),
        ({"defer": -1.0}, "a price of -1"),
        ({"typos": (0.0,)}, "0 is no share of letters"),
        ({"costs": {"about-red": {"about-gren": 1}}}, "Did you mean 'about-green'"),
    ],
)
def test_settings_that_cannot_be_used(lab, run, settings, said):
    with pytest.raises(BadOption, match=said):
        judge(run, lab.host, latency=False, **settings)


def test_only_what_was_trained_to_its_end_is_judged(lab, run):
    class Now(Progress):
        def stopping(self):
            return self.state.get("step", 0) >= 2

    stopped = session.train(run.recipe.model_copy(update={"seed": 9}), lab.host, lab.folder, Now())
    with pytest.raises(RunProblem, match=f"{stopped.id} is stopped"):
        judge(stopped, lab.host)


def test_without_a_test_split_what_can_be_measured_is(lab):
    run = lab.train("head", data="untested", **{**FAST, "epochs": 1})
    assert "test-answers" not in run.artifacts and "validation-answers" in run.artifacts
    found = judge(run, lab.host)
    assert set(found.measures) == {"size", "forgetting"}
    assert all("no test split" in found.left_out[name] for name in ("quality", "calibration", "typos"))
    assert "what was not measured" in str(details(found)[-1])


def test_a_run_that_kept_no_answers_is_asked_again(lab, run):
    kept = kept_answers(run)
    moved = {file: file.read_bytes() for file in (run.path / "artifacts").glob("*-answers.*")}
    assert len(moved) == 4
    before = read_judgement(run)
    for file in moved:
        file.unlink()
    try:
        again = judge(run, lab.host, latency=False, keep=False)
    finally:
        for file, data in moved.items():
            file.write_bytes(data)
    assert again.measures["calibration"]["ece"] == before.measures["calibration"]["ece"]
    assert np.array_equal(kept_answers(run).outputs, kept.outputs)


# --- other tasks -----------------------------------------------------------------------------------------------------


def test_pairs(lab):
    found = judge(lab.train("bitfit", data="pairs", **FAST), lab.host)
    assert set(found.left_out) == {"churn"}
    assert found.measures["mistakes"]["surest"] and all("text_pair" in m for m in found.measures["mistakes"]["surest"])
    assert found.measures["latency"]["merged"] is None


def test_numbers_in_the_units_of_the_data(lab):
    runs = [lab.train("full", data="prices", seed=seed, **FAST) for seed in (0, 1)]
    answers = kept_answers(runs[0])
    assert answers.outputs.shape == (30, 1)
    found = judge(runs[0], lab.host, latency=False)
    assert set(found.left_out) == {"latency", "calibration", "risk", "harm"}
    assert "numbers" in found.left_out["risk"]
    quality = found.measures["quality"]
    assert quality["root_mean_square"] ** 2 == pytest.approx(runs[0].metrics["test"]["mse"], rel=1e-4)
    churn = found.measures["churn"]
    assert churn["kind"] == "numbers" and churn["difference"] > 1 and churn["ids"] == [run.id for run in runs]
    worst = found.measures["mistakes"]["surest"]
    off = [abs(one["truth"] - one["answer"]) for one in worst]
    assert off == sorted(off, reverse=True) and worst[0]["truth"] > 100_000
    check_html(Stack((found.table(), *details(found)))._repr_mimebundle_()["text/html"])


def test_words_with_labels(lab):
    run = lab.train("lora", data="tags", **{**FAST, "epochs": 3})
    answers = kept_answers(run)
    rows = lab.host.find("datasets", "tags").splits()["test"]
    for item in range(0, len(answers), 7):
        row, place = int(answers.row[item]), int(answers.place[item])
        assert answers.names[answers.label[item]] == rows[row]["label"][place]
    assert float(answers.correct.mean()) == pytest.approx(run.metrics["test"]["accuracy"])
    found = judge(run, lab.host)
    assert set(found.left_out) == {"churn"}
    assert found.measures["quality"]["unit"] == "word"
    entities = {one["label"]: one for one in found.measures["mistakes"]["entities"]}
    right = sum(one["right"] for one in entities.values())
    assert run.metrics["test"]["entity_recall"] == pytest.approx(right / sum(o["there"] for o in entities.values()))
    for one in found.measures["mistakes"]["surest"]:
        assert one["word"] in one["text"]
    check_html(Stack((found.table(), *details(found)))._repr_mimebundle_()["text/html"])


def test_a_model_that_writes(tmp_path, monkeypatch):
    from peft_lab.judging import latency as timing

    monkeypatch.setattr(timing, "ANSWERS", 2)
    monkeypatch.setattr(timing, "LONGEST", 8)
    lab = tiny_causal_lab(tmp_path)
    runs = [lab.train("lora", seed=s, epochs=1, batch_size=8, device="cpu", write_answers=4) for s in (0, 1)]
    assert not [kind for kind in runs[0].artifacts if kind.endswith("-answers") and kind != "written-answers"]
    found = judge(runs[0], lab.host)
    assert set(found.left_out) == {"calibration", "risk", "harm"}
    assert "text" in found.left_out["risk"]
    latency = found.measures["latency"]
    assert latency["merged"]["answer_p50"] > 0 and latency["unmerged"]["calls"] == 100
    assert found.measures["forgetting"] == {
        "kind": "foresight",
        "forgetting": runs[0].metrics["test"]["forgetting"],
    }
    assert found.measures["churn"]["kind"] == "texts" and found.measures["mistakes"]["items"] == 4
    assert len(found.measures["typos"]["at"]) == 3
    shown = lab.judge(runs[0].id, latency=False)
    check_html(shown._repr_mimebundle_()["text/html"])
    assert not [part for part in shown.parts if hasattr(part, "png")]
