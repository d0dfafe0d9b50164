"""Entries outside a mask stay bit-identical, whatever the optimizer does."""

import pytest
import torch

from peft_lab.errors import MethodRefused
from peft_lab.testing import check_method, tiny_lab
from peft_lab.training.masks import MaskedEntries, freeze
from pluggy_specs import Method

CHOSEN = {"bert.encoder.layer.0.output.dense.weight": 5, "bert.encoder.layer.1.attention.self.query.bias": 3}


class EveryNth(Method):
    name = "every-nth"
    summary = "a mask for tests"
    training = {"learning_rate": 1e-2, "weight_decay": 0.5}

    def masks(self, model):
        known = dict(model.named_parameters())
        return {name: torch.arange(0, known[name].numel(), step) for name, step in CHOSEN.items()}


def test_contract(tmp_path):
    run = check_method(EveryNth, tmp_path)
    entries = sum(len(range(0, n, step)) for n, step in ((32 * 64, 5), (32, 3)))
    assert run.cost["trainable"] - run.cost["trainable_head"] == entries
    values = 4 * run.cost["trainable"] + 4 * entries  # float32 values, int32 indices
    assert run.cost["bytes_on_disk"] < values + 2500


def test_only_chosen_entries_move_under_decay_and_clipping(tmp_path, monkeypatch):
    from peft_lab.training import loop

    seen = {}

    def spy(job, original=loop.fit):
        before = {n: p.detach().clone() for n, p in job.built.model.named_parameters()}
        outcome = original(job)
        seen["state"] = {n: (before[n], p.detach().clone()) for n, p in job.built.model.named_parameters()}
        seen["optimizer_entries"] = sum(v.numel() for v in job.built.masked.values)
        return outcome

    monkeypatch.setattr(loop, "fit", spy)
    lab = tiny_lab(tmp_path, EveryNth)
    lab.train("every-nth", epochs=3, batch_size=8, clip=0.5)
    for name, step in CHOSEN.items():
        old, new = (t.flatten() for t in seen["state"][name])
        chosen = torch.zeros(len(old), dtype=torch.bool)
        chosen[torch.arange(0, len(old), step)] = True
        assert torch.equal(old[~chosen], new[~chosen])
        assert (old[chosen] != new[chosen]).float().mean() > 0.9


def test_same_as_training_a_dense_parameter_when_everything_is_chosen():
    layer, twin = torch.nn.Linear(6, 4), torch.nn.Linear(6, 4)
    twin.load_state_dict(layer.state_dict())
    freeze(layer)
    masked = MaskedEntries(layer, {"weight": torch.arange(24), "bias": torch.arange(4)})
    ours = torch.optim.AdamW(masked.values, lr=0.1, weight_decay=0.3)
    theirs = torch.optim.AdamW(twin.parameters(), lr=0.1, weight_decay=0.3)
    for _ in range(5):
        x = torch.randn(8, 6)
        for module, optimizer in ((layer, ours), (twin, theirs)):
            module(x).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        masked.write()
    assert torch.allclose(layer.weight, twin.weight, atol=1e-6)
    assert torch.allclose(layer.bias, twin.bias, atol=1e-6)


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ({"wieght": [0]}, "Did you mean 'weight'"),
        ({"weight": [24]}, "outside its 24 entries"),
        ({"weight": [-1]}, "outside its 24 entries"),
    ],
)
def test_impossible_masks_are_refused(masks, words):
    layer = torch.nn.Linear(6, 4)
    freeze(layer)
    with pytest.raises(MethodRefused, match=words):
        MaskedEntries(layer, {n: torch.tensor(i) for n, i in masks.items()})


def test_a_parameter_cannot_train_whole_and_in_part():
    with pytest.raises(MethodRefused, match="trains whole and is masked"):
        MaskedEntries(torch.nn.Linear(6, 4), {"weight": torch.tensor([1])})
