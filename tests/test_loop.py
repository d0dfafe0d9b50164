"""The loop: equal recipes, gathered batches, stops, proofs, failures that keep what they had."""

import json
import math

import pytest
import torch

from peft_lab.errors import BadOption, NothingLearned, PluginFailed
from peft_lab.recipe import Training
from peft_lab.run import Run, list_runs
from peft_lab.testing import tiny_lab
from peft_lab.training import loop
from peft_lab.training.loop import gathered, schedule
from peft_lab.training.progress import Progress
from peft_lab.training.session import train
from pluggy_specs import Method


class Dead(Method):
    """Adds a module that no gradient reaches."""

    name = "dead"
    summary = "for tests"

    def attach(self, model, context):
        model.extra = torch.nn.Linear(2, 2)


class Exploding(Method):
    name = "exploding"
    summary = "for tests"

    def attach(self, model, context):
        model.requires_grad_(True)
        self.steps = 0

    def weigh_tokens(self, losses, batch):
        self.steps += 1
        if self.steps > 14:
            raise RuntimeError("out of patience")


class Doubled(Method):
    name = "doubled"
    summary = "for tests"

    def weigh_tokens(self, losses, batch):
        assert losses.shape == (len(batch["labels"]), 1)
        return torch.full_like(losses, 2.0)

    def penalty(self, model):
        return sum(p.square().sum() for p in model.classifier.parameters())


@pytest.fixture
def lab(tmp_path):
    return tiny_lab(tmp_path, Dead, Exploding, Doubled)


def numbers(run):
    return [{k: v for k, v in p.items() if k != "seconds"} for p in run.points]


def test_equal_recipe_equal_numbers_and_another_seed_other_numbers(lab):
    first, again, other = (lab.train("full", epochs=2, batch_size=8, seed=s) for s in (3, 3, 4))
    assert numbers(first) == numbers(again)
    assert numbers(first) != numbers(other)
    assert first.record["fingerprints"] == again.record["fingerprints"]


def test_a_persons_own_random_numbers_go_on_undisturbed(lab):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    lab.train("head", max_steps=2)
    assert torch.equal(torch.rand(3), expected)


def test_gathered_batches_give_the_gradient_of_one_big_batch(lab, tmp_path):
    """Two uneven batches gathered equal one batch of all their rows."""
    grads = {}

    def spy(job):
        batches = list(job.batcher.epoch(job.train, 96, torch.Generator().manual_seed(0)))
        whole = batches[0]
        parts = [{k: v[:70] for k, v in whole.items()}, {k: v[70:] for k, v in whole.items()}]
        job.built.model.eval()  # without dropout
        for name, group in (("one", [whole]), ("two", parts)):
            loop.backward(job, group)
            grads[name] = {n: p.grad.clone() for n, p in job.built.trainable().items()}
            job.built.model.zero_grad()
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "fit", spy)
        with pytest.raises(KeyboardInterrupt):
            lab.train("full", epochs=1, precision="fp32")
    for name, gradient in grads["one"].items():
        assert torch.allclose(gradient, grads["two"][name], atol=1e-6), name


def test_weights_and_penalties_reach_the_loss(lab):
    plain = lab.train("head", max_steps=3)
    composed = lab.train("head+doubled", max_steps=3)
    assert plain.points[0]["loss"] == composed.points[0]["loss"]  # equal weights cancel out
    assert plain.points[2]["loss"] != composed.points[2]["loss"]  # the penalty moved the head elsewhere


def test_stop_ends_on_a_step_and_keeps_the_run(lab, tmp_path):
    class StopsAt(Progress):
        def update(self, **facts):
            super().update(**facts)
            if facts.get("step") == 17:
                self.stop()

    recipe = lab.recipe("full", epochs=5, batch_size=8)
    run = train(recipe, lab.host, lab.folder, StopsAt())
    assert run.status == "stopped"
    assert run.record["steps"] == {"planned": 55, "done": 17}
    assert run.points[-1]["step"] == 17
    assert run.metrics["validation"]  # of the best state, measured at the end of the first epoch
    assert "test" not in run.metrics
    assert (run.path / "weights.safetensors").exists()
    assert (run.path / "last.safetensors").exists()
    assert lab.predict(run.id, "the red ship").rows


def test_a_stop_before_the_first_evaluation_keeps_the_state_so_far(lab):
    class StopsAt(Progress):
        def update(self, **facts):
            super().update(**facts)
            if facts.get("step") == 2:
                self.stop()

    run = train(lab.recipe("full", batch_size=8), lab.host, lab.folder, StopsAt())
    assert run.status == "stopped"
    assert not run.metrics
    assert lab.predict(run.id, "the red ship").rows


def test_a_failed_run_keeps_its_best_state_and_its_traceback(lab):
    with pytest.raises(PluginFailed, match="'exploding' failed in weigh_tokens: RuntimeError: out of patience"):
        lab.train("exploding", epochs=3, batch_size=8)
    run = list_runs(lab.folder)[-1]
    assert run.status == "failed"
    assert run.record["error"]["type"] == "PluginFailed"
    assert "weigh_tokens" in run.record["error"]["traceback"]
    assert len([p for p in run.points if p["split"] == "train"]) == 14
    assert lab.predict(run.id, "the red ship").rows
    assert not list(run.path.glob("*.tmp"))


def test_best_state_is_restored(lab):
    run = lab.train("full", epochs=6, batch_size=8, learning_rate=0.03, schedule="constant")
    measured = [p for p in run.points if p["split"] == "validation"]
    best = max(measured, key=lambda p: p["accuracy"])
    assert run.record["best"]["step"] == best["step"]
    assert run.metrics["validation"]["accuracy"] == best["accuracy"]


def test_a_method_that_no_gradient_reaches_is_an_error(lab):
    class Unreached(Method):
        name = "unreached"
        summary = "for tests"

        def attach(self, model, context):
            model.bert.extra = torch.nn.Linear(2, 2)

    lab.add(Unreached)
    with pytest.raises(NothingLearned, match="nothing of tiny to train|none of the 2 tensors outside the head learns"):
        lab.train("unreached", epochs=3, batch_size=8)


def test_a_tensor_that_never_moves_is_a_red_mark(lab):
    class HalfDead(Method):
        name = "half-dead"
        summary = "for tests"

        def attach(self, model, context):
            model.bert.extra = torch.nn.Linear(2, 2)
            model.bert.encoder.requires_grad_(True)

    lab.add(HalfDead)
    run = lab.train("half-dead", epochs=2, batch_size=8)
    mark = next(m for m in run.record["proof"] if m["check"] == "moved")
    assert not mark["ok"]
    assert "bert.extra.weight" in mark["text"]


def test_a_loss_that_is_not_a_number_is_an_error(lab):
    with pytest.raises(NothingLearned, match="loss is (nan|inf) at step"):
        lab.train("full", learning_rate=1e6, clip=0, warmup=0, epochs=20, batch_size=8)
    assert list_runs(lab.folder)[-1].status == "failed"


def test_schedule_warms_up_from_above_zero_and_decays_to_zero():
    rate = schedule(Training(learning_rate=1.0, warmup=0.1), 100)
    values = [rate(s) for s in range(100)]
    assert values[0] == pytest.approx(0.1)
    assert max(values) == values[9] == values[10] == 1.0
    assert values[-1] == pytest.approx(1 / 90)
    cosine = schedule(Training(learning_rate=1.0, warmup=0, schedule="cosine"), 10)
    assert cosine(5) == pytest.approx(0.5)
    assert math.isclose(schedule(Training(schedule="constant", warmup=0), 10)(9), 1e-3)


def test_gathered_groups():
    assert [len(g) for g in gathered(range(7), 3)] == [3, 3, 1]


def test_records_survive_a_half_written_line(lab):
    run = lab.train("head", max_steps=3)
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert [p["step"] for p in Run(run.path).points if p["split"] == "train"] == [1, 2, 3]
    json.loads((run.path / "run.json").read_text())


def test_settings_that_cannot_be(lab):
    for settings, words in (
        ({"epochs": -1}, "epochs: input should be greater than 0, not -1"),
        ({"epoch": 1}, "'epoch' is no setting of full. Did you mean 'epochs'"),
        ({"precision": "fp16"}, "precision: input should be 'auto', 'fp32' or 'bf16'"),
        ({"learning_rate": "fast"}, "learning_rate"),
    ):
        with pytest.raises(BadOption, match=words):
            lab.train("full", **settings)


@pytest.mark.parametrize("wrong", [None, [1], "raises"])
def test_artifacts_that_cannot_be_made_cost_no_run(lab, wrong):
    class Clumsy(Method):
        name = "clumsy"
        summary = "for tests"

        def attach(self, model, context):
            pass

        def artifacts(self, model, context):
            if wrong == "raises":
                raise ValueError("no picture today")
            return wrong

    lab.add(Clumsy)
    run = lab.train("clumsy", max_steps=2)
    assert run.status == "finished"
    assert any("clumsy could not say what it did" in note for note in run.record["notes"])
    assert run.artifacts == ["parameter-change", "test-answers", "trainable-by-layer", "validation-answers"]
