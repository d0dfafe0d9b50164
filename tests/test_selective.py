"""Selectors choose by what their papers measure, and leave nothing else behind."""

from __future__ import annotations

import pytest
import torch
from test_resume import SETTINGS, Until, must_be_equal
from test_sparse import NO_DROPOUT, one_by_one, ready, same

from peft_lab.errors import MethodRefused
from peft_lab.methods._calibration import frozen_weights
from peft_lab.methods._child_tuning import CLIP, batch_squares, in_a_layer, thin_gradients, thinned
from peft_lab.methods._diff_pruning import OPEN, expected_open, gate, learned_differences
from peft_lab.methods._selection import select
from peft_lab.methods.selective import Selective, SelectiveOptions
from peft_lab.testing import check_method, tiny_lab
from peft_lab.training import session


@pytest.mark.parametrize("by", ["fish", "child-task", "child-free", "diff-pruning"])
def test_contract(tmp_path, by):
    run = check_method(Selective, tmp_path, {"by": by, "density": 0.02 if by in ("fish", "diff-pruning") else 0.3})
    body = run.cost["total"] - run.cost["trainable_head"]
    chosen = run.cost["trainable"] - run.cost["trainable_head"]
    if by == "child-free":
        assert chosen == body
    elif by != "child-task":
        assert 0 < chosen <= int(0.02 * body)


def test_fish_chooses_the_largest_squared_gradients_of_single_texts(tmp_path):
    model, context = ready(tmp_path)
    method = Selective(SelectiveOptions(density=0.01, texts=18))
    context.generator.manual_seed(3)
    method.prepare(model, context)
    context.generator.manual_seed(3)
    scores = one_by_one(model, context, 18)
    budget = int(0.01 * sum(score.numel() for score in scores.values()))
    chosen = {name: indices.tolist() for name, indices in method.masks(model).items()}
    assert sum(map(len, chosen.values())) == budget
    least = min(float(scores[name].flatten()[indices].min()) for name, indices in chosen.items())
    left_out = sum(int((score > least * 1.001).sum()) for score in scores.values()) - budget
    assert left_out <= 0


def test_fish_can_count_the_head(tmp_path):
    model, context = ready(tmp_path)
    total = sum(p.numel() for p in model.parameters())
    head = sum(model.get_parameter(name).numel() for name in context.head)
    method = Selective(SelectiveOptions(density=0.1, count_head=True, texts=8))
    method.prepare(model, context)
    assert sum(len(i) for i in method.masks(model).values()) == int(total * 0.1) - head
    assert not any(name in context.head for name in method.masks(model))
    with pytest.raises(MethodRefused, match="Say --density"):
        Selective(SelectiveOptions(density=0.01, count_head=True, texts=8)).prepare(model, context)


def test_child_tuning_by_task_scores_clipped_batches_within_layers(tmp_path):
    model, context = ready(tmp_path, **NO_DROPOUT)
    Selective(SelectiveOptions(by="child-task")).attach(model, context)
    whole = {n for n, p in model.named_parameters() if p.requires_grad and n not in context.head}
    assert whole == {n for n, _ in model.named_parameters() if n.startswith("bert.embeddings.")}
    weights = frozen_weights(model)
    assert all(in_a_layer(name) for name in weights)
    context.generator.manual_seed(3)
    ours = batch_squares(model, context, weights, 20)
    context.generator.manual_seed(3)
    sums, batches = {name: torch.zeros_like(weight) for name, weight in weights.items()}, 0
    for batch in context.batches(99):
        gradients = {}
        for weight in weights.values():
            weight.requires_grad_(True)
        model.zero_grad()
        (1.0 * context.loss(model, batch)).backward()
        for name, weight in weights.items():
            torch.nn.utils.clip_grad_norm_([weight], CLIP)
            gradients[name] = weight.grad
            sums[name] += weight.grad.square()
        batches += 1
    same(ours, {name: total / batches for name, total in sums.items()})


@pytest.mark.parametrize("by", ["fish", "child-task", "diff-pruning"])
def test_choosing_takes_no_random_number_from_training(tmp_path, by):
    model, context = ready(tmp_path)
    before = torch.get_rng_state()
    Selective(SelectiveOptions(by=by, texts=8)).prepare(model, context)
    assert torch.equal(before, torch.get_rng_state())


def test_free_child_tuning_keeps_the_mean_of_the_gradient():
    gradient = torch.linspace(-2, 2, 50)
    draws = torch.stack([thinned(gradient, 0.3, seed) for seed in range(4000)])
    assert ((draws == 0).float().mean() - 0.7).abs() < 0.01
    assert torch.allclose(draws.mean(0), gradient, atol=0.2)
    assert torch.allclose(draws.max(0).values[-1], gradient[-1] / 0.3)


def test_batches_of_one_step_see_the_same_draw_and_steps_another():
    weight = torch.nn.Parameter(torch.zeros(400))
    thin_gradients({"w": weight}, 0.5)
    kept = []
    for _ in range(2):
        for _ in range(2):
            (weight * torch.ones(400)).sum().backward()
        assert set(weight.grad.tolist()) == {0.0, 4.0}
        kept.append(weight.grad > 0)
        weight.grad = None
    assert not torch.equal(*kept)


@pytest.mark.parametrize("by", ["child-free", "fish"])
def test_a_stopped_run_draws_on_as_it_would_have(tmp_path, by):
    lab = tiny_lab(tmp_path)
    recipe = lab.recipe("selective", by=by, **{**SETTINGS, "epochs": 2})
    whole = lab.train_recipe(recipe)
    session.train(recipe, lab.host, lab.folder, Until(4))
    must_be_equal(lab.resume("run-2"), whole)


def test_gates_open_close_and_cost_what_they_should():
    alpha = torch.tensor([-9.0, -1.0, 0.0, 1.0, OPEN])
    still = gate(alpha)
    assert still[0] == 0 and still[-1] == 1 and ((still >= 0) & (still <= 1)).all()
    torch.manual_seed(0)
    noise = torch.rand(20_000).clamp(1e-4, 1 - 1e-4)
    assert (gate(torch.full((20_000,), OPEN), noise) == 1).float().mean() > 0.95
    costs = [float(expected_open(torch.full((10,), a))) for a in (5.0, 1.0, 0.0, -4.0)]
    assert costs == sorted(costs, reverse=True) and costs[-1] > 0 and costs[0] < 10


def test_learned_differences_leave_the_model_as_it_was(tmp_path):
    model, context = ready(tmp_path)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = frozen_weights(model)
    scores = learned_differences(model, context, weights, 200)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert set(frozen_weights(model)) == set(weights)
    unused = scores["bert.embeddings.position_embeddings.weight"][40:]  # no text is that long
    used = scores["bert.embeddings.position_embeddings.weight"][:4]
    assert not unused.any() and used.any()
    chosen = select(scores, 100)
    assert sum(len(indices) for indices in chosen.values()) == 100


def test_gates_of_weights_that_no_text_needs_close(tmp_path, monkeypatch):
    """Only the penalty acts on them. It is raised here, so that 75 steps are enough."""
    from peft_lab.methods import _diff_pruning

    seen = {}

    def keep(self, original=_diff_pruning._Gated.scores):
        seen["alpha"] = {name: alpha.detach() for name, alpha in self.alpha.items()}
        return original(self)

    monkeypatch.setattr(_diff_pruning._Gated, "scores", keep)
    monkeypatch.setattr(_diff_pruning, "PENALTY", 1e-4)
    model, context = ready(tmp_path)
    learned_differences(model, context, frozen_weights(model), 600)
    positions = gate(seen["alpha"]["bert.embeddings.position_embeddings.weight"])
    assert not positions[40:].any() and positions[:3].any()
