"""A run that ended early goes on exactly where it was; one that cannot says why."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from peft_lab.errors import BadOption, PluginFailed, RunProblem
from peft_lab.run import LAST, WEIGHTS, Run
from peft_lab.testing import tiny_lab, tiny_model, tiny_rows
from peft_lab.training import checkpoint, session
from peft_lab.training.checkpoint import CHECKPOINT
from peft_lab.training.progress import Progress
from peft_lab.training.weights import read_tensors
from pluggy_specs import Method

SETTINGS = {"epochs": 3, "batch_size": 8, "accumulate": 2, "device": "cpu", "precision": "fp32"}


class Sparse(Method):
    """Some entries of some matrices, found by chance."""

    name = "sparse-for-tests"
    summary = "for tests"

    def masks(self, model):
        names = [n for n, p in model.named_parameters() if p.ndim == 2 and "layer.1" in n]
        return {n: torch.arange(0, model.get_parameter(n).numel(), 7) for n in names}

    def weigh_tokens(self, losses, batch):
        return 0.5 + torch.rand(losses.shape)  # draws from what dropout draws from


class Until(Progress):
    """Asks for a stop when so many steps are done."""

    def __init__(self, steps):
        super().__init__()
        self.after = steps

    def stopping(self):
        return self.state.get("step", 0) >= self.after


class Failing(Method):
    """Fails in the middle of a step, once."""

    name = "failing"
    summary = "for tests"
    at = math.inf

    def attach(self, model, context):
        model.requires_grad_(True)
        self.calls = 0

    def weigh_tokens(self, losses, batch):
        self.calls += 1
        if self.calls > Failing.at:
            torch.rand(3)  # what was drawn in a step that failed must not count
            raise RuntimeError("out of patience")


@pytest.fixture
def lab(tmp_path):
    return tiny_lab(tmp_path, Sparse, Failing)


def numbers(run):
    return [{k: v for k, v in point.items() if k != "seconds"} for point in run.points]


def must_be_equal(run, whole):
    assert run.status == whole.status == "finished"
    assert numbers(run) == numbers(whole)
    assert run.metrics == whole.metrics
    assert run.record["best"] == whole.record["best"]
    assert run.record["steps"] == whole.record["steps"]
    for name in (WEIGHTS, LAST):
        assert (run.path / name).exists() == (whole.path / name).exists()
        if (whole.path / name).exists():
            first, second = read_tensors(run.path / name), read_tensors(whole.path / name)
            assert first.keys() == second.keys()
            assert all(torch.equal(first[n], second[n]) for n in first)
    assert all(mark["ok"] for mark in run.record["proof"])
    assert run.record["proof"] == whole.record["proof"]


@pytest.mark.parametrize(
    "method",
    [
        *("full", "head", "bitfit", "lora", "sparse-for-tests", "peft:vera", "peft:prefix_tuning", "bitfit+lora"),
        *("adapter+bitfit", "layers+lora", "sparse", "prefix", "apt", "tokenization"),
    ],
)
def test_a_stopped_run_goes_on_exactly(lab, method):
    options = {"lora.dropout": 0.1} if "lora" in method else {}
    recipe = lab.recipe(method, **SETTINGS, **options)
    whole = lab.train_recipe(recipe)
    stopped = session.train(recipe, lab.host, lab.folder, Until(4))
    assert stopped.status == "stopped"
    assert stopped.record["steps"] == {"planned": whole.record["steps"]["planned"], "done": 4}
    assert (stopped.path / CHECKPOINT).exists()
    again = session.resume(stopped, lab.host, Until(9))  # a second stop, in a later epoch
    assert again.record["steps"]["done"] == 9
    run = lab.resume(stopped.id)
    must_be_equal(run, whole)
    assert [gone["at_step"] for gone in run.record["resumed"]] == [4, 9]
    assert not (run.path / CHECKPOINT).exists()


@pytest.mark.parametrize("method", ["full", "lora", "sparse-for-tests"])
def test_a_stopped_run_in_bf16_goes_on_exactly(lab, method):
    recipe = lab.recipe(method, **{**SETTINGS, "precision": "bf16"})
    whole = lab.train_recipe(recipe)
    assert whole.record["hardware"]["precision"] == "bf16"
    stopped = session.train(recipe, lab.host, lab.folder, Until(4))
    assert stopped.status == "stopped"
    must_be_equal(lab.resume(stopped.id), whole)


@pytest.mark.parametrize("calls", [1, 2, 7, 20, 31])
def test_a_failed_run_goes_on_from_before_the_failure(lab, calls, monkeypatch):
    recipe = lab.recipe("failing", **SETTINGS)
    whole = lab.train_recipe(recipe)
    monkeypatch.setattr(Failing, "at", calls)
    with pytest.raises(PluginFailed, match="patience"):
        lab.train_recipe(recipe)
    failed = lab.run("run-2")
    assert failed.status == "failed"
    assert "out of patience" in failed.record["error"]["traceback"]
    epochs, rest = divmod(calls, 11)  # eleven batches, two to a step: the last step of an epoch has one
    assert failed.record["steps"]["done"] == epochs * 6 + rest // 2
    monkeypatch.setattr(Failing, "at", math.inf)
    must_be_equal(lab.resume("run-2"), whole)


def test_a_stop_while_the_model_is_evaluated(lab, monkeypatch):
    recipe = lab.recipe("lora", **SETTINGS)
    whole = lab.train_recipe(recipe)

    class InEvaluation(Progress):
        def stopping(self):
            return self.state["phase"] == "evaluating"

    stopped = session.train(recipe, lab.host, lab.folder, InEvaluation())
    assert stopped.status == "stopped"
    assert not [p for p in stopped.points if p["split"] == "validation"]
    must_be_equal(lab.resume(stopped.id), whole)


def test_what_is_left_of_a_stopped_run(lab):
    stopped = session.train(lab.recipe("lora", **SETTINGS), lab.host, lab.folder, Until(9))
    best, last = read_tensors(stopped.path / WEIGHTS), read_tensors(stopped.path / LAST)
    assert best.keys() == last.keys()
    assert any(not torch.equal(best[n], last[n]) for n in best)
    assert stopped.record["best"]["step"] < 9
    assert [m["check"] for m in stopped.record["proof"]] == ["moved", "frozen", "reload"]
    assert lab.predict(stopped.id, "the red ship").rows


def test_nothing_is_left_to_do(lab):
    run = lab.train("head", **SETTINGS)
    with pytest.raises(RunProblem, match=r"nothing left to do: all \d+ steps are done.*--from run-1"):
        lab.resume(run.id)


def test_a_run_goes_on_only_as_it_was(tmp_path):
    lab = tiny_lab(tmp_path)
    file = tmp_path / "tickets.jsonl"
    rows = [json.dumps(row) for row in tiny_rows(96)]
    file.write_text("\n".join(rows))
    stopped = session.train(lab.recipe("lora", data=str(file), **SETTINGS), lab.host, lab.folder, Until(3))
    file.write_text("\n".join(rows[:-1]))
    with pytest.raises(RunProblem, match="changed since then: data.*--anyway"):
        lab.resume(stopped.id)
    assert stopped.status == "stopped", "a run that was refused is as it was"
    assert stopped.record["resumed"] == []
    file.write_text("\n".join(rows))
    record = json.loads((stopped.path / "run.json").read_text())
    record["versions"]["torch"] = "1.0"
    (stopped.path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunProblem, match=r"torch \(1\.0 then"):
        lab.resume(stopped.id)
    run = lab.resume(stopped.id, anyway=True)
    assert run.status == "finished"
    assert any("torch (1.0 then" in note for note in run.record["notes"])


def test_another_model_under_the_same_name_is_refused(tmp_path):
    lab = tiny_lab(tmp_path)
    folder = tiny_model(tmp_path / "mine")
    stopped = session.train(lab.recipe("lora", model=str(folder), **SETTINGS), lab.host, lab.folder, Until(3))
    tiny_model(folder, intermediate_size=48)
    with pytest.raises(RunProblem, match="changed since then: model"):
        lab.resume(stopped.id)


def test_a_run_without_a_checkpoint_begins_again(lab):
    recipe = lab.recipe("lora", **SETTINGS)
    whole = lab.train_recipe(recipe)
    stopped = session.train(recipe, lab.host, lab.folder, Until(0))
    assert stopped.record["steps"]["done"] == 0
    must_be_equal(lab.resume(stopped.id), whole)


def test_a_damaged_checkpoint_is_one_line(lab):
    stopped = session.train(lab.recipe("lora", **SETTINGS), lab.host, lab.folder, Until(5))
    file = stopped.path / CHECKPOINT
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RunProblem, match="is damaged"):
        lab.resume(stopped.id)


def test_a_checkpoint_that_finds_no_room_costs_nothing_else(lab, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write", full)
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    run = lab.train("lora", **SETTINGS)
    assert run.status == "finished"
    assert any("No space left" in note for note in run.record["notes"])


CHILD = """
import sys
from peft_lab.training import checkpoint
checkpoint.EVERY = 0.05
from peft_lab.lab import Lab
lab = Lab(sys.argv[1])
lab.train(sys.argv[2], model=sys.argv[3], data=sys.argv[4], epochs=8, batch_size=4, device="cpu", precision="fp32")
"""


def test_killed_at_any_moment(tmp_path, monkeypatch):
    model, data, folder = tiny_model(tmp_path / "model"), tmp_path / "rows.jsonl", tmp_path / "runs"
    data.write_text("\n".join(json.dumps(row) for row in tiny_rows(120)))
    lab = tiny_lab(tmp_path / "lab")
    lab.folder = folder
    settings = {"model": str(model), "data": str(data), "epochs": 8, "batch_size": 4, "device": "cpu"}
    whole = lab.train("lora", precision="fp32", **settings)
    for number, share in ((2, 0.2), (3, 0.7)):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder), "lora", str(model), str(data)])
        metrics = folder / f"run-{number}" / "metrics.jsonl"
        enough = share * len(whole.points)
        while not (metrics.exists() and metrics.read_bytes().count(b"\n") >= enough):
            assert child.poll() is None
            time.sleep(0.005)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        killed = lab.run(f"run-{number}")
        assert killed.status == "crashed"
        assert killed._repr_mimebundle_()["text/plain"]
        assert (killed.path / CHECKPOINT).exists()
        must_be_equal(lab.resume(killed.id), whole)


# --- going on from a trained adapter ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        *("full", "bitfit", "lora", "sparse-for-tests", "peft:prefix_tuning", "adapter", "layers"),
        *("sparse", "selective"),
    ],
)
def test_training_from_a_run_begins_with_its_weights(lab, method):
    first = lab.train(method, **SETTINGS)
    second = lab.train(method, from_=first.id, **{**SETTINGS, "epochs": 1, "learning_rate": 1e-9})
    assert second.recipe.start.run == str(first.path)
    assert any("Begun from run-1" in note for note in second.record["notes"])
    before, after = read_tensors(first.path / WEIGHTS), read_tensors(second.path / WEIGHTS)
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[n].float(), after[n].float(), atol=1e-5) for n in before)
    assert second.points[0]["loss"] < first.points[0]["loss"]
    assert Run(second.path).recipe.fingerprint != first.recipe.fingerprint


def test_from_a_run_that_does_not_fit(lab):
    lab.train("bitfit", **SETTINGS)
    with pytest.raises(RunProblem, match="run-1 was trained with bitfit, not lora"):
        lab.train("lora", from_="run-1", **SETTINGS)
    with pytest.raises(RunProblem, match="no run named 'run-9'"):
        lab.train("lora", from_="run-9")
    (lab.run("run-1").path / WEIGHTS).unlink()
    with pytest.raises(RunProblem, match="no weights to begin from"):
        lab.train("bitfit", from_="run-1")


def test_other_labels_get_a_new_head(lab):
    lab.train("bitfit", **SETTINGS)
    rows = [
        {**row, "label": row["text"].split()[0]} for row in tiny_rows(60) if row["text"].split()[0] in ("ship", "dock")
    ]
    run = lab.train("bitfit", from_="run-1", data=rows, max_steps=2, batch_size=8)
    assert any("so the head starts anew" in note for note in run.record["notes"])


def test_bad_option_names_are_still_caught(lab):
    with pytest.raises(BadOption):
        lab.train("lora", fromm="run-1")
