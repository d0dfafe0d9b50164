"""The lab's operations as a program uses them, on a tiny model."""

import subprocess
import sys

import pandas as pd
import pytest

from peft_lab.errors import BadOption, RunProblem, UnknownName
from peft_lab.run import Run
from peft_lab.testing import tiny_lab, tiny_rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    lab = tiny_lab(tmp_path_factory.mktemp("lab"))
    for method in ("head", "bitfit", "lora"):
        lab.train(method, epochs=2, batch_size=8)
    return lab


def test_compare_sorts_by_test_score_and_draws(trained):
    table, picture = trained.compare().parts
    assert {row[1] for row in table.rows} == {"head", "bitfit", "lora"}
    scores = [float(row[3]) for row in table.rows]
    assert scores == sorted(scores, reverse=True)
    assert picture.png.startswith(b"\x89PNG")
    assert "seed" in table.note


def test_compare_says_when_runs_are_not_on_the_same_data(trained):
    other = trained.train("head", data=tiny_rows(60, seed=5), epochs=1)
    shown = trained.compare("run-1", other.id).parts[0]
    assert "cannot be compared" in shown.note
    assert len(trained.compare().parts[0].rows) == 1, "without names: runs on the data of the latest only"


def test_trainable_map_counts_what_the_run_counted(trained):
    run = trained.run("run-3")
    counted = run.artifact("trainable-by-layer").arrays
    assert counted["trainable"].values.sum() == run.cost["trainable"]
    assert counted["total"].values.sum() == run.cost["total"]
    assert f"{run.cost['trainable']:,}" in trained.show("trainable-map", "run-3").alt


def test_change_map_of_lora_shows_the_weights_in_effect(trained):
    change = trained.run("run-3").artifact("parameter-change").arrays["relative"]
    kinds = change.labels["kind"]
    assert "attention query" in kinds and "attention value" in kinds
    assert change.values[change.labels["layer"].index("0"), kinds.index("attention query")] > 0


def test_a_run_can_be_named_by_a_variable(trained):
    trained.namespace = {"mine": trained.run("run-1")}
    assert trained.show("mine").id == "run-1"
    assert trained.run("1").id == "run-1"
    assert [row[1] for row in trained.predict("mine", "the red ship", "a blue gull").rows]


def test_a_table_of_the_notebook_trains_and_its_recipe_trains_again(tmp_path):
    lab = tiny_lab(tmp_path)
    lab.namespace = {"df": pd.DataFrame(tiny_rows(80)).rename(columns={"text": "message", "label": "queue"})}
    lab.data("df", text="message", label="queue")
    run = lab.train("head", epochs=1)
    lab.namespace = {}
    again = lab.train_recipe(run.recipe)
    assert again.record["fingerprints"] == run.record["fingerprints"]
    assert again.metrics == run.metrics


def test_what_cannot_be_is_said_in_one_line(trained):
    for call, kind, words in (
        (lambda: trained.train("bitfitt"), UnknownName, "Did you mean 'bitfit'"),
        (lambda: trained.train("lora+lora"), BadOption, "twice"),
        (lambda: trained.show("chnge-map"), UnknownName, "Did you mean 'change-map'"),
        (lambda: trained.show("change-map", "run-99"), RunProblem, "no run named 'run-99'"),
        (lambda: trained.show("change-map", "run-1", "run-2"), BadOption, "draws one run, not 2"),
        (lambda: trained.predict("run-1"), BadOption, "no text"),
        (lambda: trained.predict("run-1", "a", pair="b"), BadOption, "single texts"),
        (lambda: trained.train("lora", data="tinny"), Exception, "tinny"),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_failed_choice_is_not_remembered(trained):
    before = trained.model, trained.spec
    with pytest.raises(BadOption):
        trained.train("lora", model="elsewhere", data="nowhere", rank="many")
    assert (trained.model, trained.spec) == before


def test_composition_trains_both(trained):
    run = trained.train("bitfit+lora", data="tiny", max_steps=12, batch_size=8)
    bitfit, lora = trained.run("run-2").cost, trained.run("run-3").cost
    head = run.cost["trainable_head"]
    assert run.cost["trainable"] - head == bitfit["trainable"] + lora["trainable"] - 2 * head
    assert all(mark["ok"] for mark in run.record["proof"])
    assert trained.predict(run.id, "the red ship").rows


def test_several_seeds_on_an_executor(trained):
    recipes = [trained.recipe("head", data="tiny", seed=seed, max_steps=2) for seed in (0, 1)]
    assert [run.recipe.seed for run in trained.train_each(recipes)] == [0, 1]


def test_runs_are_read_without_torch(trained):
    code = f"""
import sys
from peft_lab import Lab
from peft_lab.run import find_run
lab = Lab({str(trained.folder)!r})
assert len(lab.runs().rows) >= 3
run = find_run(lab.folder, "run-2")
assert run.metrics["test"]["accuracy"] >= 0 and len(run.history) > 20
assert run.artifact("parameter-change").arrays["rms"].values.size
assert run._repr_mimebundle_()["text/html"]
lab.show("curves", "run-1", "run-2")
assert "torch" not in sys.modules, "torch was imported"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_whose_process_is_gone_is_crashed(trained, tmp_path):
    import json
    import shutil

    path = shutil.copytree(trained.run("run-1").path, tmp_path / "run-1")
    record = json.loads((path / "run.json").read_text())
    record |= {"status": "running", "pid": 2**22 - 1}
    (path / "run.json").write_text(json.dumps(record))
    assert Run(path).status == "crashed"
    assert Run(path)._repr_mimebundle_()["text/plain"]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_decoders_train_and_answer(tmp_path, family):
    lab = tiny_lab(tmp_path, family=family)
    run = lab.train("lora", epochs=2, batch_size=8)
    assert run.record["head"] == ["score.weight"]
    assert all(mark["ok"] for mark in run.record["proof"])
    one, two = (lab.predict(run.id, *texts).rows for texts in (["the red ship"], ["the red ship", "a"]))
    assert one[0] == two[0], "padding must not change an answer"


def test_text_pairs(tmp_path):
    lab = tiny_lab(tmp_path)
    rows = [{**row, "text_pair": "the sea"} for row in tiny_rows(60)]
    run = lab.train("head", data=rows, epochs=1)
    assert run.record["data"]["columns"]["text_pair"] == "text_pair"
    assert lab.predict(run.id, "the red ship", pair="the sea").rows
    with pytest.raises(BadOption, match="pairs of texts"):
        lab.predict(run.id, "the red ship")


def test_texts_that_are_cut_are_counted(tmp_path):
    lab = tiny_lab(tmp_path)
    run = lab.train("head", max_length=5, max_steps=2)
    assert any("longer than 5 tokens and were cut" in note for note in run.record["notes"])
    far = lab.train("head", max_length=500, max_steps=2)
    assert any("max_length 500 was lowered to 64" in note for note in far.record["notes"])
