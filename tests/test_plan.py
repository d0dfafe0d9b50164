"""Plans and forecasts: what they say is what training then does, and nothing is left of them."""

import gc
import re

import numpy as np
import pytest
import torch

from peft_lab.errors import BadOption, PeftLabError, UnknownName
from peft_lab.run import WEIGHTS
from peft_lab.testing import tiny_lab
from peft_lab.training import footprint, forecast, room
from peft_lab.training.plan import Draft
from peft_lab.training.preparing import prepare
from peft_lab.training.progress import Progress
from pluggy_specs import Method


class EveryThird(Method):
    """Trains every third entry of some matrices."""

    name = "every-third"
    summary = "every third entry of the query matrices"

    def masks(self, model):
        named = dict(model.named_parameters())
        return {n: torch.arange(0, p.numel(), 3) for n, p in named.items() if n.endswith("query.weight")}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tiny_lab(tmp_path_factory.mktemp("plan"), EveryThird)


@pytest.fixture
def lab(made):
    made.recipe("head", model="tiny", data="tiny")  # both are remembered
    return made


def ready_for(lab, method, **settings):
    recipe = lab.recipe(method, device="cpu", **settings)
    return prepare(recipe, lab.host, Draft(recipe), Progress())


# --- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lora", "full", "every-third"])
def test_a_plan_says_what_the_run_then_is(lab, method):
    settings = {"batch_size": 8, "epochs": 2, "accumulate": 2, "max_length": 8}
    before = sorted(lab.folder.glob("*"))
    plan = lab.plan(method, **settings)
    assert sorted(lab.folder.glob("*")) == before, "a plan leaves nothing"
    run = lab.train(method, **settings)
    assert plan.counts == {name: run.cost[name] for name in plan.counts}
    assert plan.forecast.steps == run.record["steps"]["planned"]
    for name, array in run.artifact("trainable-by-layer").arrays.items():
        assert np.array_equal(plan.layers.arrays[name].values, array.values)
    assert plan.bytes_on_disk == pytest.approx((run.path / WEIGHTS).stat().st_size, rel=0.02)
    assert set(run.record["notes"]) >= {n for n in plan.notes if "longer than 8 tokens" in n} != set()


def test_planning_changes_no_number_of_the_training_and_no_random_number_of_the_person(lab):
    points = [p["loss"] for p in lab.train("lora", epochs=1, batch_size=8, seed=3).points]
    torch.manual_seed(5)
    np.random.seed(5)
    drawn = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    lab.plan("lora", epochs=1, batch_size=8, seed=3)
    assert torch.equal(torch.rand(3), drawn[0])
    assert np.array_equal(np.random.rand(3), drawn[1])
    assert [p["loss"] for p in lab.train("lora", epochs=1, batch_size=8, seed=3).points] == points


def test_wrong_input_gives_the_errors_of_training(lab):
    for call, kind, words in (
        (lambda: lab.plan("bitfitt"), UnknownName, "Did you mean 'bitfit'"),
        (lambda: lab.plan("lora", rank="many"), BadOption, "rank"),
        (lambda: lab.plan("lora", data="tinny"), PeftLabError, "tinny"),
        (lambda: lab.plan("lora", targets="nowhere"), PeftLabError, "nowhere"),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_plan_keeps_no_model(lab):
    def models():
        gc.collect()
        return sum(type(o).__name__ == "BertForSequenceClassification" for o in gc.get_objects())

    before = models()
    plan = lab.plan("full", epochs=1)
    assert models() == before
    assert plan.seconds > 0


def test_the_card_reads_without_a_kernel(lab):
    plan = lab.plan("bitfit", epochs=1, batch_size=8)
    shown = plan._repr_mimebundle_()
    text, html = shown["text/plain"], shown["text/html"]
    for part in ("weights", "gradients", "optimizer", "activations", "on disk", "training", "evaluation", "head"):
        assert re.search(rf"^\s+.*{part}", text, re.M), part
        assert part in html
    assert f"{plan.counts['trainable']:,} of {plan.counts['total']:,}" in text
    assert "<script" not in html
    assert "data:image/png" in html
    assert "whole model" in text, "bitfit trains biases of the embeddings: that is said"


def test_layers_below_all_that_trains_are_said_to_be_spared(lab):
    notes = lab.plan("head", epochs=1).notes
    assert any("spares 2 of 2 layers" in note for note in notes), notes


def test_data_in_a_plan_is_escaped(tmp_path):
    lab = tiny_lab(tmp_path)
    file = tmp_path / "a<b>.csv"
    rows = "".join(f"the ship {n} is red,<i>{n % 3}</i>\n" for n in range(60))
    file.write_text("text,label\n" + rows)
    html = lab.plan("head", data=str(file), epochs=1)._repr_mimebundle_()["text/html"]
    assert "a<b>" not in html
    assert "a&lt;b&gt;" in html


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["full", "bitfit", "lora", "every-third", "peft:prefix_tuning"])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_memory_of_a_batch_is_computed_from_tiny_ones(tmp_path, monkeypatch, method, family):
    """To the byte: what operations allocate for a large batch follows from what they did for small ones."""
    if method == "every-third" and family == "gpt2":
        pytest.skip("gpt2 has no query matrices of its own")
    monkeypatch.setattr(footprint, "WIDTH", 8)
    lab = tiny_lab(tmp_path, EveryThird, family=family)
    job = ready_for(lab, method, batch_size=32, precision="fp32").job
    found = footprint.measure(job)
    rows = np.argsort(-job.train.lengths)[:16]
    batch = job.batcher.batch(job.train, rows)
    shape = tuple(batch["input_ids"].shape)
    for playback, work in ((found.step, footprint._learn), (found.evaluation, footprint._look)):
        really = footprint._trace(job, lambda batch, work=work: work(job, batch), batch)
        assert playback.highest(*shape)[0] == pytest.approx(np.cumsum(really.sizes).max(), rel=0.01)
    assert found.weights == sum(p.numel() * 4 for p in job.built.model.parameters()) + sum(
        b.numel() * b.element_size() for b in job.built.model.buffers()
    )


def test_measuring_leaves_no_trace_in_the_training(lab):
    job = ready_for(lab, "every-third", batch_size=8).job
    before = {name: p.clone() for name, p in job.built.model.named_parameters()}
    order, drawn = job.generator.get_state(), torch.get_rng_state()
    found = footprint.measure(job)
    assert all(torch.equal(before[name], p) for name, p in job.built.model.named_parameters())
    assert all(p.grad is None for p in (*job.built.model.parameters(), *job.built.masked.values))
    assert torch.equal(order, job.generator.get_state())
    assert torch.equal(drawn, torch.get_rng_state())
    assert job.built.model.training
    entries = len(job.built.masked) + sum(
        p.numel() for n, p in job.built.trainable().items() if n not in job.built.masked.names
    )
    assert found.gradients == 4 * entries, "of masked parameters only the chosen entries"
    assert found.optimizer == 8 * entries


def test_the_first_step_needs_no_optimizer_state_and_gathered_batches_stand_on_gradients(lab):
    found = footprint.measure(ready_for(lab, "full", batch_size=8).job)
    long, short = (8, 12), (8, 4)
    once = found.moving([long], [short])
    again = found.moving([long], [short, long])
    assert again - once == found.optimizer, "the longest batch is met again, beside the optimizer's state"
    gathered = footprint.measure(ready_for(lab, "full", batch_size=8, accumulate=2).job)
    assert gathered.moving([long], [short, long]) - again == found.gradients


@pytest.mark.parametrize(("precision", "kept"), [("bf16", footprint.KERNELS), ("fp32", 0)])
def test_in_bf16_each_new_size_of_batch_keeps_memory(lab, precision, kept):
    found = footprint.measure(ready_for(lab, "full", batch_size=8, precision=precision).job)
    many, few = [(8, width) for width in range(4, 44)], [(8, 43)]
    assert found.kernels(many) == 40 * kept
    assert found.kernels([(8, width) for width in range(4, 1000)]) == footprint.MOST_KERNELS * kept
    grown = found.peak([(8, 43)], many) - found.peak([(8, 43)], few)
    assert 0 <= grown <= 39 * kept


@pytest.mark.parametrize(("limit", "left"), [("3000", 3000 - 1000 + 50), ("max", None)])
def test_the_limit_of_a_container_counts(tmp_path, monkeypatch, limit, left):
    group = tmp_path / "cgroup" / "box"
    inner = group / "inner"
    inner.mkdir(parents=True)
    for folder, most in ((group, limit), (inner, "max")):
        (folder / "memory.max").write_text(most + "\n")
        (folder / "memory.current").write_text("1000\n")
        (folder / "memory.stat").write_text("anon 900\ninactive_file 50\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/box/inner\n")
    monkeypatch.setattr(room, "PROC", tmp_path)
    monkeypatch.setattr(room, "CGROUPS", tmp_path / "cgroup")
    free = room.free_memory(torch.device("cpu"))
    assert free == left if left is not None else free > 10**6


def test_the_limit_of_an_older_container_counts(tmp_path, monkeypatch):
    group = tmp_path / "cgroup" / "memory"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("5000\n")
    (group / "memory.usage_in_bytes").write_text("1000\n")
    (group / "memory.stat").write_text("total_inactive_file 7\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("4:cpu:/elsewhere\n3:memory:/\n")
    monkeypatch.setattr(room, "PROC", tmp_path)
    monkeypatch.setattr(room, "CGROUPS", tmp_path / "cgroup")
    assert room.free_memory(torch.device("cpu")) == 4007


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_batches_ahead_are_those_that_training_sees(lab, accumulate):
    job = ready_for(lab, "head", batch_size=8, accumulate=accumulate, epochs=2).job
    ahead = forecast.look_ahead(job)
    seen = []
    for _ in range(2):
        tokens = [b["input_ids"].numel() for b in job.batcher.epoch(job.train, 8, job.generator)]
        seen += [sum(tokens[at : at + accumulate]) for at in range(0, len(tokens), accumulate)]
    assert ahead.steps.tolist() == seen
    checked = [b["input_ids"].shape for _, b in job.batcher.in_order(job.validation, job.training.eval_batch_size)]
    assert ahead.checked == [tuple(shape) for shape in checked]


def test_many_epochs_and_few_steps_are_counted_right(lab):
    many = forecast.look_ahead(ready_for(lab, "head", batch_size=8, epochs=7).job)
    assert len(many.steps) == 77
    assert many.evaluations == 7
    few = forecast.look_ahead(ready_for(lab, "head", batch_size=8, max_steps=3).job)
    assert len(few.steps) == 3
    assert few.evaluations == 1


def test_a_line_through_steps_forgives_one_that_was_held_up():
    points = [(tokens, 0.02 + 0.001 * tokens) for tokens in (100, 300, 500, 700, 900)]
    line = forecast.line_through([*points, (400, 9.0)])
    assert line.start == pytest.approx(0.02, rel=0.05)
    assert line.slope == pytest.approx(0.001, rel=0.05)


def test_a_line_is_never_below_zero():
    falling = forecast.line_through([(100, 0.5), (200, 0.4), (300, 0.3)])
    assert falling.slope == 0
    assert falling.start == pytest.approx(0.4)
    steep = forecast.line_through([(100, 0.1), (200, 0.9), (300, 1.6)])
    assert steep.start == 0
    assert steep.slope > 0
    assert forecast.line_through([(200, 0.5), (200, 0.7)]).total(3, 600) == pytest.approx(1.8)


def test_first_steps_tell_the_rest():
    tokens = np.array([900.0, *[100, 200, 300, 400] * 5])
    first = forecast.FirstSteps(tokens)
    taken = [3.0, *(0.1 + 0.002 * tokens[1:])]
    told = [step for step, seconds in enumerate(taken, start=1) if first.observe(step, seconds)]
    assert told == [9]
    assert first.left(9) == pytest.approx(sum(taken[9:]))
    assert first.left(21) == 0
    assert forecast.FirstSteps(tokens).left(3) is None


def test_the_parts_of_time_are_all_there(lab):
    plan = lab.plan("lora", epochs=2, batch_size=8)
    assert plan.forecast.seconds > 0
    assert plan.forecast.eval_seconds > 0
    assert plan.seconds == pytest.approx(plan.load_seconds + plan.forecast.seconds + plan.forecast.eval_seconds)


# --- forecast in a run ------------------------------------------------------------------------------------------------


def test_a_run_keeps_its_forecast_and_the_card_compares(lab):
    run = lab.train("lora", epochs=2, batch_size=8, seed=20)
    kept = run.record["forecast"]
    assert kept["source"] == "start of the run"
    assert kept["steps"] == run.record["steps"]["done"]
    assert kept["seconds"] > 0, "told from the first steps"
    assert kept["memory"]["peak"] == pytest.approx(run.cost["peak_memory"], rel=0.15)
    text = run._repr_mimebundle_()["text/plain"]
    assert len(re.findall(r"\(forecast .+\)", text)) == 2


def test_the_forecast_of_a_plan_is_handed_to_its_run(lab):
    plan = lab.plan("lora", epochs=1, batch_size=8, seed=9)
    kept = lab.train("lora", epochs=1, batch_size=8, seed=9).record["forecast"]
    assert kept["source"] == "plan"
    assert kept["seconds"] == pytest.approx(plan.forecast.seconds)
    assert lab.train("lora", epochs=1, batch_size=8, seed=10).record["forecast"]["source"] != "plan"
