"""What holds weights near their start: each of its ways does what its formula says, whole or in part."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch

from peft_lab.errors import BadOption, MethodRefused, PluginFailed
from peft_lab.methods._mixout import Mixed, mix
from peft_lab.methods._noise import Stability
from peft_lab.methods.anchor import Anchor, depths
from peft_lab.recipe import Training
from peft_lab.testing import tiny_lab
from peft_lab.training.loop import make_optimizer, move, schedule
from peft_lab.training.masks import MaskedEntries, freeze
from peft_lab.training.pull import Pull
from pluggy_specs import Method

FEW = {"max_steps": 6, "batch_size": 8, "device": "cpu", "precision": "fp32"}


class Sparse(Method):
    """Some entries of some matrices."""

    name = "some-entries"
    summary = "for tests"

    def masks(self, model):
        inner = {n: p for n, p in model.named_parameters() if ".layer." in n and n.endswith("dense.weight")}
        return {n: torch.arange(0, p.numel(), 5) for n, p in inner.items()}


@pytest.fixture
def lab(tmp_path):
    return tiny_lab(tmp_path, Sparse)


def built_of(model, masks=None, strengths=None, rates=None):
    """As the core has it."""
    freeze(model)
    if masks is None:
        model.requires_grad_(True)
    masked = MaskedEntries(model, masks) if masks else None

    class Built(SimpleNamespace):
        def trainable(self):
            return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

        def steering(self, name, parameter):
            return parameter.ndim > 1 and name not in (strengths or {}), (rates or {}).get(name, 1.0)

    built = Built(model=model, masked=masked, pull=None)
    if masked:
        masked.arrange(built.steering)
    if strengths:
        built.pull = Pull(built, strengths)
    return built


def shift(built, by=1.0):
    chosen = {part.name: part.indices.long() for part in built.masked.parts} if built.masked else {}
    with torch.no_grad():
        for name, parameter in built.model.named_parameters():
            parameter.view(-1)[chosen.get(name, slice(None))] += by
    if built.masked:
        built.masked.read()


# --- pull ------------------------------------------------------------------------------------------------------------


def test_without_a_gradient_the_distance_shrinks_by_its_share():
    model = torch.nn.Linear(3, 2)
    built = built_of(model, strengths={"weight": 2.0, "bias": 1.0})
    start = {n: p.detach().clone() for n, p in model.named_parameters()}
    shift(built)
    optimizer = make_optimizer(built, Training(learning_rate=0.1, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    move(SimpleNamespace(built=built), optimizer)
    assert torch.allclose(model.weight - start["weight"], torch.full((2, 3), 1 - 0.1 * 2.0))
    assert torch.allclose(model.bias - start["bias"], torch.full((2,), 1 - 0.1 * 1.0))


def test_what_is_not_pulled_decays_as_ever():
    model = torch.nn.Linear(3, 2)
    built = built_of(model, strengths={"bias": 1.0})
    before = model.weight.detach().clone()
    optimizer = make_optimizer(built, Training(learning_rate=0.1, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    move(SimpleNamespace(built=built), optimizer)
    assert torch.allclose(model.weight, before * (1 - 0.1 * 0.5))


def test_of_a_masked_parameter_only_chosen_entries_are_pulled():
    model = torch.nn.Linear(6, 4)
    before = model.weight.detach().clone()
    chosen = torch.tensor([1, 5, 20])
    built = built_of(model, {"weight": chosen}, {"weight": 1.0})
    shift(built)
    optimizer = make_optimizer(built, Training(learning_rate=0.25))
    for values in built.masked.values:
        values.grad = torch.zeros_like(values)
    move(SimpleNamespace(built=built), optimizer)
    far = (model.weight.detach() - before).flatten()
    assert torch.allclose(far[chosen], torch.full((3,), 0.75))
    far[chosen] = 0
    assert not far.any()


def test_a_run_that_is_pulled_hard_stays_near(lab):
    near, free = (
        lab.train(f"full{more}", **FEW, learning_rate=1e-2, **o) for more, o in (("+anchor", {"pull": 50.0}), ("", {}))
    )
    distance = [run.artifact("parameter-change").arrays["relative"].values[1, 0] for run in (near, free)]
    assert distance[0] < 0.7 * distance[1]


def test_masks_and_anchor_leave_all_other_entries_alone(lab):
    run = lab.train("some-entries+anchor", **FEW, pull=1.0, l2=0.1, layer_decay=0.8)
    assert all(mark["ok"] for mark in run.record["proof"])
    assert any("bit" in mark["text"] for mark in run.record["proof"])


# --- rates -----------------------------------------------------------------------------------------------------------


def test_rates_fall_from_the_head_down():
    names = [
        "bert.embeddings.word_embeddings.weight",
        "bert.encoder.layer.0.x",
        "bert.encoder.layer.1.x",
        "classifier.w",
    ]

    class Model:
        def named_parameters(self):
            return ((name, None) for name in names)

    assert depths(Model(), names[:3]) == {names[0]: 3, names[1]: 2, names[2]: 1}


@pytest.mark.parametrize("method", ["full+anchor", "some-entries+anchor"])
def test_a_lower_rate_moves_less(lab, method, monkeypatch):
    seen = []
    from peft_lab.training import loop

    real = loop.make_optimizer
    monkeypatch.setattr(loop, "make_optimizer", lambda *a: seen.append(real(*a)) or seen[-1])
    lab.train(method, **FEW, pull=0.0, layer_decay=0.5, learning_rate=1e-3)
    groups = seen[-1].param_groups
    factors = {round(group["factor"], 4) for group in groups}
    assert {1.0, 0.5, 0.25} <= factors
    assert all(
        group["lr"] == pytest.approx(groups[0]["lr"] * group["factor"] / groups[0]["factor"]) for group in groups
    )


def test_schedule_is_the_same_for_all_groups():
    rate = schedule(Training(learning_rate=1.0, warmup=0.0), 10)
    assert rate(0) == 1.0 and rate(5) == 0.5


# --- distance in the loss --------------------------------------------------------------------------------------------


def settled(model, head=(), **options):
    made = Anchor(Anchor.Options(pull=0.0, **options))
    model.requires_grad_(True)
    made.settle(model, SimpleNamespace(head=frozenset(head), task=None))
    return made


def test_the_distance_is_half_the_square():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    made = settled(model, {"1.weight", "1.bias"}, l2=0.5, l2_head=0.1)
    head = sum(float(p.square().sum()) for p in model[1].parameters())
    assert float(made.penalty(model)) == pytest.approx(0.05 * head)
    with torch.no_grad():
        model[0].weight += 2.0
    assert float(made.penalty(model)) == pytest.approx(0.25 * 6 * 4 + 0.05 * head)
    made.penalty(model).backward()
    assert torch.allclose(model[0].weight.grad, torch.full((2, 3), 1.0))


def test_anchor_needs_something_to_hold(lab):
    with pytest.raises(BadOption, match=r"anchor trains nothing of its own.*full\+anchor"):
        lab.train("anchor", **FEW)
    with pytest.raises(MethodRefused, match=r"only the head does.*full\+anchor"):
        lab.train("head+anchor", **FEW)


# --- mixout ----------------------------------------------------------------------------------------------------------


def test_mixed_weights_are_on_average_the_weights():
    torch.manual_seed(0)
    start, now = torch.randn(4, 6), torch.randn(4, 6)
    assert torch.equal(Mixed(start, 0.0, 1).weight(now), start + (now - start))
    assert torch.allclose(Mixed(start, 0.7, 1).weight(start), start)
    mixed = Mixed(start, 0.5, 1)
    mean = sum(mixed.weight(now) for _ in range(4000)) / 4000
    assert torch.allclose(mean, now, atol=0.12)
    once = mixed.weight(now)
    at_start = torch.isclose(once, start).all(0)
    assert torch.allclose(once[:, ~at_start], (start + (now - start) * 2)[:, ~at_start])
    assert 0 < int(at_start.sum()) < 6  # whole inputs at a time


def test_mixout_acts_in_training_only_and_has_the_true_gradient():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 3), torch.nn.Dropout(0.3))
    with_it = torch.nn.Sequential(torch.nn.Linear(8, 3), torch.nn.Dropout(0.3))
    with_it.load_state_dict(model.state_dict())
    mix(with_it, ["0.weight"], 0.5)
    with torch.no_grad():
        for one in (model, with_it):
            one[0].weight += 1.0
    x = torch.randn(2, 8)
    assert torch.equal(model.eval()(x), with_it.eval()(x))
    assert with_it[1].p == 0.0
    with_it.train()
    assert not torch.equal(with_it(x), with_it(x))
    with_it(x).sum().backward()
    columns = with_it[0].weight.grad / x.sum(0)
    assert torch.allclose(columns, columns.round(), atol=1e-4), columns  # 0 or 1 / (1 - p), whole columns
    assert torch.equal(columns.round(), columns[:1].round().expand_as(columns))
    assert {round(float(c[0])) for c in columns.T} == {0, 2}
    assert [n for n, _ in with_it.named_parameters()] == ["0.weight", "0.bias"]


def test_a_run_with_mixout_can_be_restored(lab):
    run = lab.train("full+anchor", **FEW, mixout=0.3)
    assert lab.predict(run.id, "the red ship").rows
    assert run.record["verified"]["ok"] if "verified" in run.record else True


# --- noise -----------------------------------------------------------------------------------------------------------


class Toy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(9, 4)
        self.out = torch.nn.Linear(4, 3)

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids):
        return self.out(self.embedding(input_ids).mean(1))


class Task:
    generates = False

    def outputs(self, model, batch):
        return model(batch["input_ids"])

    def losses(self, outputs, batch):
        return torch.zeros(len(outputs), 1), torch.ones(len(outputs), 1)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_the_divergence_is_symmetric_and_not_negative(kind):
    torch.manual_seed(0)
    model = Toy()
    batch = {"input_ids": torch.randint(0, 9, (5, 6))}
    found = []
    for size in (1e-9, 0.1, 1.0):
        stability = Stability(model, SimpleNamespace(task=Task()), size, kind)
        stability.batch = batch
        found.append(float(stability.divergence(model)))
    assert found[0] == pytest.approx(0, abs=1e-9) and all(value >= 0 for value in found)
    assert found[0] < found[1] < found[2]
    assert torch.equal(model(**batch), model(**batch))  # no noise outside


def test_a_run_with_noise_learns(lab):
    run = lab.train("full+anchor", **{**FEW, "max_steps": 40}, noise=1.0, noise_size=1e-3, learning_rate=1e-3)
    losses = [point["loss"] for point in run.points if point["split"] == "train"]
    assert sum(losses[-5:]) < sum(losses[:5])


# --- with the rest ---------------------------------------------------------------------------------------------------


ALL = {"pull": 1.0, "l2": 0.01, "mixout": 0.1, "noise": 0.5, "layer_decay": 0.9}


@pytest.mark.parametrize("method", ["full", "bitfit", "lora", "some-entries"])
def test_it_goes_on_exactly_where_it_was(lab, method):
    from peft_lab.training import session
    from peft_lab.training.progress import Progress

    class Until(Progress):
        def stopping(self):
            return self.state.get("step", 0) >= 3

    recipe = lab.recipe(f"{method}+anchor", **FEW, **ALL)
    whole = lab.train_recipe(recipe)
    stopped = session.train(recipe, lab.host, lab.folder, Until())
    assert stopped.status == "stopped"
    again = lab.resume(stopped.id)
    numbers = [[{k: v for k, v in p.items() if k != "seconds"} for p in run.points] for run in (whole, again)]
    assert numbers[0] == numbers[1]
    assert whole.metrics == again.metrics


@pytest.mark.parametrize("gives", [{"nowhere": 1.0}, {"classifier.bias": -1.0}, {"classifier.bias": "much"}, 3])
@pytest.mark.parametrize("hook", ["rates", "pull"])
def test_what_cannot_be_used_names_the_method(lab, hook, gives):
    def attach(self, model, context):
        model.requires_grad_(True)

    odd = type(
        "Odd", (Method,), {"name": f"odd-{hook}", "summary": "x", "attach": attach, hook: lambda self, model: gives}
    )
    lab.host.add(odd)
    with pytest.raises(PluginFailed, match=f"odd-{hook}.*{hook}"):
        lab.train(f"odd-{hook}", **FEW)


def test_factors_multiply_and_pulls_add(lab):
    class Slower(Method):
        name, summary = "slower", "x"

        def rates(self, model):
            return {n: 0.5 for n, p in model.named_parameters() if p.requires_grad}

    lab.host.add(Slower)
    run = lab.train("full+slower+anchor", **FEW, layer_decay=0.5)
    assert run.status == "finished"


def test_every_way_is_off_at_its_zero(lab):
    off = {"pull": 0.0, "layer_decay": 1.0}
    same = [lab.train(m, **FEW, **o) for m, o in (("full", {}), ("full+anchor", off))]
    numbers = [[p["loss"] for p in run.points] for run in same]
    assert all(a == b for a, b in itertools.zip_longest(*numbers))
