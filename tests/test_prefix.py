"""Prefixes inside attention, with and without gates: faithful to the formulas, and right on every family."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, DynamicCache

from peft_lab.errors import MethodRefused, PeftLabError
from peft_lab.methods._gate_trail import Trail
from peft_lab.methods._prefix_attention import GIVE, leave, without
from peft_lab.methods._prefix_lengths import lengths_for, openness
from peft_lab.methods.apt import Apt
from peft_lab.methods.prefix import Prefix
from peft_lab.testing import FAMILIES, check_method, tiny_lab, tiny_model
from pluggy_specs import Array, Artifact

M = 5
TEXTS = torch.tensor([[2, 7, 9, 12, 5, 3], [2, 8, 4, 3, 0, 0]])
MASK = (TEXTS != 0).long()
METHODS = {"prefix": Prefix, "apt": Apt}
LOUD = {"initializer_range": 0.2}
"""Weights large enough that what differs inside can be seen outside."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return {family: tiny_model(place / family, family, **LOUD) for family in FAMILIES}


def base(folders, family="bert", **more):
    torch.manual_seed(0)
    auto = more.pop("auto", AutoModelForSequenceClassification)
    model = auto.from_pretrained(
        folders[family], **{"num_labels": 3, **more} if auto is not AutoModelForCausalLM else more
    )
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = 0
    return model.eval().requires_grad_(False)


def attached(model, method="prefix", **options):
    torch.manual_seed(1)
    made = METHODS[method](METHODS[method].Options(**{"length": M, "dropout": 0.0, **options}))
    made.attach(model, SimpleNamespace(head=frozenset(), task=SimpleNamespace(generates=False)))
    model.eval()
    return made


def outputs(model, **more):
    with torch.no_grad():
        return model(input_ids=TEXTS, attention_mask=MASK, **more).logits


def prefixes(model):
    return [m.__dict__[GIVE] for m in model.modules() if GIVE in m.__dict__]


def trainable(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


# --- the formulas ----------------------------------------------------------------------------------------------------


def test_a_prefix_is_attention_to_more_keys_and_values(folders):
    """Against transformers' own way: a cache that is filled before, and positions that are said."""
    model = base(folders)
    attached(model)
    ours = outputs(model)
    cache = DynamicCache()
    for number, prefix in enumerate(prefixes(model)):
        cache.update(*(part.contiguous() for part in prefix(len(TEXTS))), number)
    plain = base(folders)
    mask = torch.cat((torch.ones(len(TEXTS), M, dtype=torch.long), MASK), dim=1)
    positions = torch.arange(TEXTS.shape[1])[None].expand_as(TEXTS)
    with torch.no_grad():
        theirs = plain(input_ids=TEXTS, attention_mask=mask, position_ids=positions, past_key_values=cache).logits
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert not torch.allclose(ours, outputs(plain), atol=1e-3)


def test_gates_that_are_open_give_the_plain_prefix(folders):
    plain, gated = base(folders), base(folders)
    attached(plain)
    attached(gated, "apt")
    assert not torch.allclose(outputs(plain), outputs(gated), atol=1e-4)  # half open at the start
    for prefix in prefixes(gated):
        prefix.own.scale.data.fill_(2.0)  # times gates of a half
    assert torch.allclose(outputs(plain), outputs(gated), atol=1e-6)


def test_a_factor_of_zero_is_a_prefix_of_zeros_and_not_none(folders):
    zeros, closed, none = base(folders), base(folders), base(folders)
    attached(zeros)
    for prefix in prefixes(zeros):
        prefix.own.keys.data.zero_()
        prefix.own.values.data.zero_()
    attached(closed, "apt")
    for prefix in prefixes(closed):
        prefix.own.scale.data.zero_()
    assert torch.allclose(outputs(zeros), outputs(closed), atol=1e-6)
    assert not torch.allclose(outputs(closed), outputs(none), atol=1e-4)


def test_gates_are_between_0_and_1_and_depend_on_the_text(folders):
    model = base(folders)
    method = attached(model, "apt", gate_from="first")
    for prefix in prefixes(model):
        torch.nn.init.normal_(prefix.own.gate)
    method.seen.kept = {}
    outputs(model)
    for gates in (torch.cat(found) for found in method.seen.kept.values()):
        assert gates.shape == (len(TEXTS), M)
        assert bool(((gates > 0) & (gates < 1)).all())
    first, second = (torch.cat(found) for found in method.seen.kept.values())
    assert torch.allclose(first[0], first[1])  # what enters the first layer is [CLS] itself, the same in every text
    assert not torch.allclose(second[0], second[1])


@pytest.mark.parametrize("way", ["first", "last", "mean", "free"])
def test_gates_do_not_see_padding(folders, way):
    model = base(folders)
    attached(model, "apt", gate_from=way)
    for prefix in prefixes(model):
        torch.nn.init.normal_(prefix.own.gate)
    together = outputs(model)
    with torch.no_grad():
        alone = model(input_ids=TEXTS[1:, :4], attention_mask=MASK[1:, :4]).logits
    assert torch.allclose(together[1:], alone, atol=1e-5)


def test_every_gate_and_factor_gets_a_gradient(folders):
    model = base(folders)
    attached(model, "apt")
    model(input_ids=TEXTS, attention_mask=MASK, labels=torch.tensor([0, 1])).loss.backward()
    for prefix in prefixes(model):
        for name in ("keys", "values", "gate", "scale"):
            assert getattr(prefix.own, name).grad.abs().sum() > 0, name


# --- counts ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bert_base():
    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert"))


@pytest.mark.parametrize(
    ("method", "options", "count"),
    [
        ("prefix", {}, 294_912),
        ("apt", {}, 294_912 + 147_456 + 12),
        ("apt", {"token_gate": False}, 294_912 + 12),
        ("apt", {"layer_scale": False}, 294_912 + 147_456),
        ("apt", {"gate_from": "free"}, 294_912 + 12 * 16 + 12),
        ("prefix", {"lengths": range(1, 13)}, 2 * 768 * 78),
        ("prefix", {"projection": True}, 16 * 768 + 768 * 512 + 512 + 512 * 2 * 12 * 768 + 2 * 12 * 768),
    ],
)
def test_counts_of_bert_base(bert_base, method, options, count):
    model = copy.deepcopy(bert_base).requires_grad_(False)
    attached(model, method, **{"length": 16, **options})
    assert trainable(model) == count


def test_lengths_have_to_fit_the_layers(folders):
    with pytest.raises(MethodRefused, match="3 lengths for 2 layers"):
        attached(base(folders), lengths=(1, 2, 3))
    with pytest.raises(ValueError, match="1 or more"):
        Prefix.Options(lengths=(0, 2))


def test_layers_of_different_lengths(folders):
    model = base(folders)
    attached(model, lengths=(1, 7))
    assert [prefix(1)[0].shape[2] for prefix in prefixes(model)] == [1, 7]
    assert torch.isfinite(outputs(model)).all()


def test_a_network_makes_all_prefixes(folders):
    model = base(folders)
    attached(model, projection=True, lengths=(2, 4))
    first, second = (prefix.numbers() for prefix in prefixes(model))
    assert first[0].shape == (2, 32) and second[1].shape == (4, 32)
    assert not torch.allclose(first[0], second[0][:2])
    model(input_ids=TEXTS, attention_mask=MASK, labels=torch.tensor([0, 1])).loss.backward()
    assert all(p.grad is not None for p in model.prefix_network.parameters())


# --- living in a model -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_out_again_bit_for_bit(folders, method):
    model, untouched = base(folders), base(folders)
    before = outputs(model)
    attached(model, method)
    with_it = outputs(model)
    assert torch.equal(outputs(untouched), before)  # a model beside it does not know
    with without(model):
        assert torch.allclose(outputs(model), before, atol=1e-6)
    assert torch.equal(outputs(model), with_it)
    leave(model)
    assert torch.equal(outputs(model), before)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_again_and_in_a_copy(folders, method):
    model = base(folders)
    attached(model, method)
    first = outputs(model)
    assert torch.equal(outputs(model), first)
    twin = copy.deepcopy(model)
    for prefix in prefixes(model):
        prefix.own.keys.data.zero_()
    assert torch.equal(outputs(twin), first)
    assert not torch.equal(outputs(model), first)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["bert", "modernbert", "gpt2", "llama"])
def test_sdpa_and_eager_agree(folders, family, method):
    found = []
    for way in ("sdpa", "eager"):
        model = base(folders, family, attn_implementation=way)
        attached(model, method)
        found.append(outputs(model))
    assert torch.allclose(*found, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_checkpointed_gradients_are_the_same(folders, family, method):
    found = []
    for checkpointed in (False, True):
        model = base(folders, family)
        attached(model, method)
        if checkpointed:
            getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.config.use_cache = False
        model(input_ids=TEXTS, attention_mask=MASK, labels=torch.tensor([0, 1])).loss.backward()
        found.append([p.grad.clone() for p in model.parameters() if p.requires_grad and p.grad is not None])
    assert len(found[0]) == len(found[1]) > 0
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3"])
def test_words_written_with_a_cache_are_those_without(folders, family):
    model = base(folders, family, auto=AutoModelForCausalLM)
    attached(model)
    whole = {"input_ids": TEXTS[:1], "attention_mask": MASK[:1], "max_new_tokens": 8, "do_sample": False}
    with torch.no_grad():
        found = [
            model.generate(**whole, use_cache=cached, pad_token_id=0, eos_token_id=None) for cached in (True, False)
        ]
    assert torch.equal(*found)
    with without(model), torch.no_grad():
        assert not torch.equal(outputs(model), 0 * outputs(model))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_token_does_not_see_those_behind_it(folders, family):
    model = base(folders, family, auto=AutoModelForCausalLM)
    attached(model)
    changed = TEXTS.clone()
    changed[:, -1] = 11
    with torch.no_grad():
        first, second = (model(input_ids=ids).logits for ids in (TEXTS, changed))
    assert torch.equal(first[:, :-1], second[:, :-1])
    assert not torch.equal(first[:, -1], second[:, -1])


def test_two_prefixes_are_one_too_many(folders):
    model = base(folders)
    attached(model)
    with pytest.raises(MethodRefused, match="another method has put prefixes"):
        attached(model, "apt")


# --- the whole contract ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_the_contract(method, tmp_path):
    run = check_method(METHODS[method], tmp_path, {"length": 4})
    assert run.cost["trainable"] - run.cost["trainable_head"] == 2 * 2 * 32 * 4 + (
        2 * 32 * 4 + 2 if method == "apt" else 0
    )


def test_gates_are_kept_and_give_lengths(tmp_path):
    lab = tiny_lab(tmp_path)
    run = lab.train("apt", epochs=2, batch_size=8, device="cpu", length=4)
    gates = run.artifact("prefix-gates")
    assert gates.arrays["gate"].values.shape == (2, 4)
    assert np.allclose(gates.arrays["gate-at-start"].values, 0.5) and np.allclose(
        gates.arrays["scale-at-start"].values, 1
    )
    assert not np.allclose(gates.arrays["gate"].values, 0.5)
    way = gates.arrays["gate-on-the-way"]
    assert way.axes == ("batch", "layer", "token") and 1 < len(way.values) <= 12
    assert abs(way.values[0] - 0.5).mean() < abs(way.values[-1] - 0.5).mean()
    lengths = lengths_for(openness(gates), 8)
    assert sum(lengths) == 8
    again = lab.train("prefix", epochs=1, batch_size=8, device="cpu", lengths=lengths)
    assert again.cost["trainable"] - again.cost["trainable_head"] == 2 * 32 * 8


def test_the_way_of_the_gates_is_kept_in_a_few_parts():
    trail = Trail()
    assert trail.array(2, 3) is None
    for batch in range(50):
        for layer, tokens in enumerate((3, 2)):
            trail.add(layer, torch.full((tokens,), float(batch + 100 * layer)))
    found = trail.array(2, 3)
    assert list(found.labels["batch"]) == [str(n) for n in range(8, 49, 8)]
    assert np.allclose(found.values[:, 0, 0], [3.5 + 8 * n for n in range(6)])
    assert np.allclose(found.values[:, 1, 1], [103.5 + 8 * n for n in range(6)])
    assert np.isnan(found.values[:, 1, 2]).all()


@pytest.mark.parametrize(
    ("shares", "budget", "lengths"),
    [
        ([1, 1], 8, (4, 4)),
        ([3, 1], 8, (6, 2)),
        ([1, 0, 0], 9, (7, 1, 1)),
        ([0, 0], 5, (3, 2)),
        ([0.5, 0.3, 0.2], 10, (5, 3, 2)),
    ],
)
def test_lengths_sum_to_the_budget(shares, budget, lengths):
    assert lengths_for(shares, budget) == lengths


def test_a_budget_of_less_than_one_each_is_refused():
    gates = Artifact(
        "prefix-gates",
        {"gate": Array(np.ones((3, 2)), ("layer", "token")), "openness": Array(np.ones(3), ("layer",))},
    )
    with pytest.raises(PeftLabError, match="2 virtual tokens are too few for 3 layers"):
        lengths_for(openness(gates), 2)


def test_composed_with_lora(tmp_path):
    run = tiny_lab(tmp_path).train("lora+apt", max_steps=3, batch_size=8, device="cpu", **{"apt.length": 4})
    assert run.status == "finished" and all(mark["ok"] for mark in run.record["proof"])
