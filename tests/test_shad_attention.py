"""Attention with shared keys gives what torch's own gives, with its gradients, and is gone afterwards."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from peft_lab.methods._shad_attention import attend, shared_keys
from peft_lab.testing.tiny import tiny_causal_model

ROWS, HEADS, OWN, TOKENS, SEEN, CHANNELS = 3, 6, 2, 5, 11, 8


class Layer:
    """What transformers hands to it of a layer."""

    num_key_value_groups = HEADS // OWN
    is_causal = True


@pytest.fixture
def given():
    torch.manual_seed(0)
    query = torch.randn(ROWS, HEADS, TOKENS, CHANNELS, requires_grad=True)
    key, value = (torch.randn(ROWS, OWN, SEEN, CHANNELS, requires_grad=True) for _ in range(2))
    mask = torch.ones(ROWS, 1, TOKENS, SEEN, dtype=torch.bool).tril(SEEN - TOKENS)
    mask[1, :, :, :4] = False  # filled up at the left
    return query, key, value, mask


def usual(query, key, value, mask, scale=None):
    key, value = (part.repeat_interleave(HEADS // OWN, 1) for part in (key, value))
    return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale).transpose(1, 2)


@pytest.mark.parametrize("scale", [None, 0.3])
def test_it_is_the_same_with_and_without_gradients(given, scale):
    query, key, value, mask = given
    wanted = usual(query, key, value, mask, scale)
    found, nothing = attend(Layer(), query, key, value, mask, scaling=scale)
    assert nothing is None and found.shape == (ROWS, TOKENS, HEADS, CHANNELS)
    torch.testing.assert_close(found, wanted)
    with torch.no_grad():
        torch.testing.assert_close(attend(Layer(), query, key, value, mask, scaling=scale)[0], wanted)
    weights = torch.randn_like(wanted)
    ours = torch.autograd.grad((found * weights).sum(), given[:3])
    theirs = torch.autograd.grad((wanted * weights).sum(), given[:3])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_a_place_that_sees_nothing_is_a_number(given):
    query, key, value, mask = given
    mask[2, :, 0] = False
    found, _ = attend(Layer(), query, key, value, mask)
    assert found.isfinite().all()
    assert all(one.isfinite().all() for one in torch.autograd.grad(found.sum(), given[:3]))


def test_other_masks_are_left_to_transformers(given):
    query, key, value, mask = given
    added = torch.zeros(mask.shape).masked_fill_(~mask, -1e9)
    torch.testing.assert_close(attend(Layer(), query, key, value, added)[0], usual(query, key, value, mask))
    square = query[:, :, :TOKENS], key[:, :, :TOKENS], value[:, :, :TOKENS]
    causal = torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()
    torch.testing.assert_close(attend(Layer(), *square, None)[0], usual(*square, causal))


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_a_model_gives_the_same_inside_and_is_as_before_afterwards(family, tmp_path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_causal_model(tmp_path / family, family)).eval()
    ids = torch.randint(6, 300, (2, 12))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0

    def run():
        model.zero_grad()
        logits = model(input_ids=ids, attention_mask=mask).logits[mask.bool()]
        logits.logsumexp(-1).sum().backward()
        return logits.detach(), [p.grad.clone() for p in model.parameters()]

    before, usual_gradients = run()
    with pytest.raises(KeyError), shared_keys(model):
        assert model.config._attn_implementation != "sdpa"
        inside, gradients = run()
        raise KeyError
    assert model.config._attn_implementation == "sdpa"
    torch.testing.assert_close(inside, before, atol=1e-5, rtol=1e-4)
    for one, other in zip(gradients, usual_gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_a_model_that_attends_otherwise_is_left_alone(tmp_path):
    from transformers import AutoModelForCausalLM

    folder = tiny_causal_model(tmp_path / "llama", "llama")
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    with shared_keys(model):
        assert model.config._attn_implementation == "eager"
    with shared_keys(torch.nn.Linear(2, 2)):
        pass
