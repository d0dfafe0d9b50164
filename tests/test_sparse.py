"""Sparse fine-tuning: sensitivity is exact for single texts, masks are what was asked for, nothing else moves."""

from __future__ import annotations

import random
import re
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from peft_lab.errors import MethodRefused
from peft_lab.host import Host
from peft_lab.keeping.merging import merge
from peft_lab.methods._calibration import frozen_weights
from peft_lab.methods._importance import importance
from peft_lab.methods._selection import select, select_evenly, units_along
from peft_lab.methods._sensitivity import squared_gradients
from peft_lab.methods.sparse import Sparse
from peft_lab.run import WEIGHTS
from peft_lab.sources.models import find_model, load_model, load_tokenizer
from peft_lab.testing import FAMILIES, check_method, tiny_lab, tiny_model, tiny_rows
from peft_lab.training.anatomy import head_names
from peft_lab.training.batches import Batcher, encode
from peft_lab.training.context import Context
from peft_lab.training.masks import freeze
from peft_lab.training.restore import restore
from pluggy_specs import DatasetSource

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def ready(folder, family="bert", texts=20, size=8, **settings):
    """A tiny model as a method meets it in ``prepare``: frozen but for its head; and its context."""
    host = Host(entry_points=False)
    found = find_model(str(tiny_model(folder / family, family, **settings)), host)
    task, tokenizer = host.find("tasks", "classification")(), load_tokenizer(found)
    rows = datasets.Dataset.from_list(tiny_rows(texts))
    targets = task.targets(rows)
    context = Context(torch.device("cpu"), torch.Generator().manual_seed(0), tokenizer, task, size)
    context.train = encode(rows, task.encode_labels(rows, targets), tokenizer, 64)
    context.batcher = Batcher(tokenizer, context.device)
    torch.manual_seed(0)
    model, _ = load_model(found, task.auto_class, task.model_settings(targets))
    freeze(model)
    context.head = frozenset(head_names(model))
    for name in context.head:
        model.get_parameter(name).requires_grad_(True)
    return model, context


def one_by_one(model, context, texts):
    """The mean squared gradient of single texts, by the plainest means."""
    weights = frozen_weights(model)
    sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    model.eval()
    seen = 0
    for batch in context.batches(10**9):
        for text in range(len(batch["input_ids"])):
            if seen == texts:
                break
            for weight in weights.values():
                weight.requires_grad_(True)
            model.zero_grad()
            context.loss(model, {n: v[text : text + 1] for n, v in batch.items()}).backward()
            for name, weight in weights.items():
                if weight.grad is not None:
                    sums[name] += weight.grad.square()
            seen += 1
    model.zero_grad()
    for weight in weights.values():
        weight.requires_grad_(False)
    return {name: total / seen for name, total in sums.items()}


def same(one, other, tolerance=1e-5):
    """Equal but for rounding. The bias of keys has no gradient at all (softmax does not see it), only rounding."""
    assert one.keys() == other.keys()
    largest = max(float(score.abs().max()) for score in other.values())
    for name in one:
        scale = max(float(other[name].abs().max()), 1e-9 * largest)
        assert float((one[name] - other[name]).abs().max()) <= tolerance * scale, name


@pytest.mark.parametrize("family", FAMILIES)
def test_fisher_equals_a_loop_over_single_texts(tmp_path, family):
    model, context = ready(tmp_path, family)
    context.generator.manual_seed(7)
    ours = squared_gradients(model, context, frozen_weights(model), 20)
    context.generator.manual_seed(7)
    theirs = one_by_one(model, context, 20)
    same(ours, theirs)
    assert not any(parameter.grad is not None for parameter in model.parameters())
    assert set(frozen_weights(model)) == set(ours), "weights did not stay frozen"


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "albert", "qwen3"])
def test_all_tokens_give_the_whole_gradient_and_none_gives_none(tmp_path, family):
    model, context = ready(tmp_path, family)
    weights = frozen_weights(model)
    context.generator.manual_seed(7)
    ours = squared_gradients(model, context, weights, 20, lambda batch: torch.ones_like(batch["input_ids"]))
    context.generator.manual_seed(7)
    same(ours, one_by_one(model, context, 20))
    nothing = squared_gradients(model, context, weights, 20, lambda batch: torch.zeros_like(batch["input_ids"]))
    assert not any(score.any() for score in nothing.values())


def test_restricted_gradients_add_up_over_disjoint_tokens(tmp_path):
    """Against x and δ caught by torch's own retained gradients."""
    model, context = ready(tmp_path)
    name = "bert.encoder.layer.0.intermediate.dense"
    caught = {}

    def catch(module, args, output):
        caught["x"] = args[0].detach()
        output.requires_grad_(True)
        output.retain_grad()
        caught["y"] = output

    (batch,) = list(context.batches(1))
    model.eval()
    handle = model.get_submodule(name).register_forward_hook(catch)
    losses, supervised = context.task.losses(context.task.outputs(model, batch), batch)
    (losses * supervised).sum().backward()
    handle.remove()
    model.zero_grad()
    split = torch.rand(batch["input_ids"].shape, generator=torch.Generator().manual_seed(1)) < 0.5
    gradients = [
        torch.einsum("bto,bti,bt->boi", caught["y"].grad, caught["x"], mask.float()) for mask in (split, ~split)
    ]
    weights = {f"{name}.weight": model.get_parameter(f"{name}.weight")}
    for mask, gradient in zip((split, ~split, split | ~split), (*gradients, gradients[0] + gradients[1]), strict=True):
        context.batches = lambda count: iter([batch])
        score = squared_gradients(model, context, weights, 8, lambda _, mask=mask: mask)
        expected = gradient.square().mean(0)
        assert torch.allclose(score[f"{name}.weight"], expected, rtol=1e-4, atol=float(expected.max()) * 1e-5)


def test_squares_of_single_texts_are_not_the_square_of_their_mean(tmp_path):
    model, context = ready(tmp_path)
    weights = frozen_weights(model)
    fisher = importance("fisher", model, context, weights, texts=20)
    mean = importance("gradient", model, context, weights, texts=20)
    name = "bert.encoder.layer.0.output.dense.weight"
    assert (fisher[name] > 1.5 * mean[name].square()).float().mean() > 0.9


def test_gradient_and_taylor_are_what_autograd_says(tmp_path):
    model, context = ready(tmp_path, texts=8)
    weights = frozen_weights(model)
    (batch,) = list(context.batches(1))
    model.eval()
    for weight in weights.values():
        weight.requires_grad_(True)
    context.loss(model, batch).backward()
    expected = {name: weight.grad.clone() for name, weight in weights.items() if weight.grad is not None}
    model.zero_grad()
    for weight in weights.values():
        weight.requires_grad_(False)
    for by, factor in (("gradient", 1.0), ("gradient-weight", None)):
        scores = importance(by, model, context, weights, texts=8)
        for name, gradient in expected.items():
            wanted = (gradient * (weights[name] if factor is None else factor)).abs()
            assert torch.allclose(scores[name], wanted, atol=1e-6), name


# --- choosing ---------------------------------------------------------------------------------------------------------


def test_the_best_entries_within_the_budget_and_none_that_has_no_part():
    scores = {"a": torch.tensor([[5.0, 0.0], [1.0, 4.0]]), "b": torch.tensor([3.0, 0.0, 2.0])}
    assert {n: i.tolist() for n, i in select(scores, 3).items()} == {"a": [0, 3], "b": [0]}
    assert sum(len(i) for i in select(scores, 7).values()) == 5
    # Rows of a: 2.5 each; of b, whose entries are rows: 3, 0 and 2.
    assert {n: i.tolist() for n, i in select(scores, 4, "row").items()} == {"a": [0, 1], "b": [0, 2]}
    assert {n: i.tolist() for n, i in select(scores, 5, "row").items()} == {"a": [0, 1, 2, 3], "b": [0]}
    assert {n: i.tolist() for n, i in select(scores, 3, "row", {"a": 1}).items()} == {"a": [0, 2], "b": [0]}
    assert {n: i.tolist() for n, i in select(scores, 4, "tensor").items()} == {"a": [0, 1, 2, 3]}
    assert {n: i.tolist() for n, i in select(scores, 3, "tensor").items()} == {"b": [0, 1, 2]}
    with pytest.raises(MethodRefused, match=r"smallest tensor that matters \(3\)"):
        select(scores, 2, "tensor")
    with pytest.raises(MethodRefused, match="are no numbers"):
        select({"a": torch.tensor([1.0, float("nan")])}, 1)


@pytest.mark.parametrize("granularity", ["entry", "row", "tensor"])
def test_chance_favours_no_size(tmp_path, granularity):
    """Each group is as likely as any other: over many draws a large tensor's rows come as often as a small one's."""
    model, context = ready(tmp_path, "gpt2")
    weights = frozen_weights(model)
    scores = importance("random", model, context, weights, texts=1, granularity=granularity)
    assert {n: s.shape for n, s in scores.items()} == {n: w.shape for n, w in weights.items()}
    along = units_along(model)
    conv = next(name for name in along if name.endswith("c_fc.weight"))
    unique = {"entry": scores[conv].numel(), "row": scores[conv].shape[1], "tensor": 1}[granularity]
    assert len(scores[conv].unique()) >= 0.99 * unique and len(scores[conv].unique()) <= unique
    if granularity == "row":
        assert (scores[conv] == scores[conv][:1]).all()


# --- the method -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{"density": 0.02}, {"granularity": "row", "density": 0.05}, {"granularity": "tensor", "density": 0.2}],
    ids=lambda options: options.get("granularity", "entry"),
)
def test_contract(tmp_path, options):
    run = check_method(Sparse, tmp_path, options)
    body = run.cost["total"] - run.cost["trainable_head"]
    chosen = run.cost["trainable"] - run.cost["trainable_head"]
    budget = int(options["density"] * body)
    assert chosen == budget if len(options) == 1 else 0.8 * budget < chosen <= budget
    each = 4 if options.get("granularity") == "tensor" else 8  # a whole tensor needs no indices
    assert run.cost["bytes_on_disk"] < 4 * run.cost["trainable_head"] + each * chosen + 8_000


@pytest.mark.parametrize("granularity", ["entry", "row", "tensor"])
def test_nothing_is_chosen_below_the_lowest_layer(tmp_path, granularity):
    model, context = ready(tmp_path, num_hidden_layers=3)
    method = Sparse(Sparse.Options(lowest=1, density=0.02, by="fisher", granularity=granularity))
    method.prepare(model, context)
    whole = {n for n, p in model.named_parameters() if p.requires_grad and n not in context.head}
    chosen = {*method.masks(model), *whole}
    assert chosen and all(re.match(r"bert\.encoder\.layer\.[12]\.", name) for name in chosen)
    entries = sum(len(places) for places in method.masks(model).values())
    entries += sum(model.get_parameter(name).numel() for name in whole)
    budget = 0.02 * sum(p.numel() for n, p in model.named_parameters() if n not in context.head)
    assert entries <= budget  # a share of the whole model still
    if granularity == "entry":
        assert entries > budget - 1


def test_a_lowest_layer_that_is_not_there_is_refused(tmp_path):
    model, context = ready(tmp_path)
    with pytest.raises(MethodRefused, match="no layer 7"):
        Sparse(Sparse.Options(lowest=7, by="fisher")).prepare(model, context)


def test_even_takes_the_same_share_of_every_parameter():
    scores = {"a": torch.arange(1.0, 101.0), "b": torch.arange(1.0, 1001.0) * 100, "c": torch.ones(3)}
    chosen = select_evenly(scores, 110)
    assert {name: places.tolist() for name, places in chosen.items()} == {
        "a": list(range(91, 100)),
        "b": list(range(901, 1000)),
    }
    with pytest.raises(MethodRefused, match="budget"):
        select_evenly(scores, 1)


@pytest.mark.parametrize("by", ["fisher", "gradient", "gradient-weight", "magnitude", "random"])
def test_the_controls_train_as_much(tmp_path, by):
    run = tiny_lab(tmp_path).train("sparse", by=by, density=0.02, epochs=1)
    body = run.cost["total"] - run.cost["trainable_head"]
    assert run.cost["trainable"] - run.cost["trainable_head"] == int(0.02 * body)
    assert "constructs" not in run.artifacts and "sparse-mask" in run.artifacts
    assert all(mark["ok"] for mark in run.record["proof"])


@pytest.mark.parametrize("family", ["gpt2", "deberta-v2", "albert", "qwen3", "modernbert"])
def test_families(tmp_path, family):
    run = tiny_lab(tmp_path, family=family).train("sparse", density=0.02, granularity="row", epochs=1)
    assert run.status == "finished" and all(mark["ok"] for mark in run.record["proof"])
    mask = run.artifact("sparse-mask").arrays
    assert mask["chosen"].values.sum() == run.cost["trainable"] - run.cost["trainable_head"]


def state_of(lab, monkeypatch, **settings):
    """Weights before and after, and how much the optimizer held."""
    from peft_lab.training import loop

    seen = SimpleNamespace()

    def spy(job, original=loop.fit):
        seen.before = {n: p.detach().clone() for n, p in job.built.model.named_parameters()}
        outcome = original(job)
        seen.after = {n: p.detach().clone() for n, p in job.built.model.named_parameters()}
        seen.masks = {n: torch.arange(p.numel()) for n, p in job.built.trainable().items()}
        seen.masks |= {n: i.long() for n, i, _ in job.built.masked or ()}
        seen.moving = sum(p.numel() for p in job.built.moving())
        seen.head = sum(job.built.model.get_parameter(n).numel() for n in job.built.head)
        return outcome

    monkeypatch.setattr(loop, "fit", spy)
    seen.run = lab.train("sparse", **settings)
    return seen


@pytest.mark.parametrize("granularity", ["entry", "row", "tensor"])
def test_all_else_stays_bit_identical_under_decay_and_clipping(tmp_path, monkeypatch, granularity):
    seen = state_of(
        tiny_lab(tmp_path),
        monkeypatch,
        granularity=granularity,
        density=0.15,
        epochs=2,
        batch_size=8,
        weight_decay=0.5,
        clip=0.5,
        learning_rate=1e-2,
    )
    assert seen.run.record["steps"]["done"] >= 10
    chosen = {}
    for name, before in seen.before.items():
        if name in seen.run.record["head"]:
            continue
        mask = torch.zeros(before.numel(), dtype=torch.bool)
        mask[seen.masks.get(name, torch.zeros(0, dtype=torch.long))] = True
        old, new = before.flatten(), seen.after[name].flatten()
        assert torch.equal(old[~mask], new[~mask]), name
        assert (old[mask] != new[mask]).float().mean() > 0.9 or not mask.any(), name
        chosen[name] = mask.view(before.shape)
    assert seen.moving == seen.head + sum(int(mask.sum()) for mask in chosen.values()), "optimizer state for more"
    if granularity == "row":
        assert all((mask.all(1) | ~mask.any(1)).all() for mask in chosen.values() if mask.ndim > 1)
    if granularity == "tensor":
        assert all(mask.all() or not mask.any() for mask in chosen.values())


def test_only_the_training_split_is_looked_at(tmp_path):
    """Other validation and test texts choose the same constructs and the same weights."""
    masks = []
    for number in range(2):
        lab = tiny_lab(tmp_path / str(number))
        other = [{**row, "text": row["text"] + " salt" * 3 * number} for row in tiny_rows(48, seed=5 + number)]
        splits = {"train": tiny_rows(96), "validation": other, "test": other}
        lab.host.add(DatasetSource("parted", "own splits", lambda splits=splits: splits))
        run = lab.train("sparse", data="parted", density=0.02, epochs=1)
        arrays = run.artifact("sparse-mask").arrays
        masks.append((arrays["indices"].values, run.artifact("constructs").arrays["label"].labels["construct"]))
    assert np.array_equal(masks[0][0], masks[1][0]) and masks[0][1] == masks[1][1]


def test_merging_is_exact_and_adds_no_parameter(tmp_path):
    lab = tiny_lab(tmp_path)
    run = lab.train("sparse", density=0.02, epochs=1, precision="fp32")
    merged = merge(run, lab.host, tmp_path / "merged")
    own = restore(run, lab.host).built.model.state_dict()
    whole = load_file(merged.folder / "model.safetensors")
    assert all(torch.equal(tensor, own[name]) for name, tensor in whole.items()) and len(whole) > 10
    # Where matrices lie in memory decides how some processors round sums of equal weights.
    assert merged.difference < 1e-7
    head_only = lab.train("head", epochs=1)
    assert run.cost["total"] == head_only.cost["total"]
    assert (run.path / WEIGHTS).stat().st_size < 4 * run.cost["trainable_head"] + 9 * run.cost["trainable"] + 12_000


def test_a_run_begun_from_another_keeps_its_mask(tmp_path):
    lab = tiny_lab(tmp_path)
    first = lab.train("sparse", density=0.02, epochs=1)
    second = lab.train("sparse", density=0.02, epochs=1, seed=1, from_=first.id)
    before, after = (run.artifact("sparse-mask").arrays["indices"].values for run in (first, second))
    assert np.array_equal(before, after) and len(before)


def planted_rows(count, seed):
    """One of two words decides; chance sets all others."""
    draw = random.Random(seed)
    noise = ["wave", "wind", "salt", "gull", "tide", "the", "a", "is", "on", "crane", "rope"]
    rows = []
    for number in range(count):
        words = draw.choices(noise, k=8)
        words[draw.randint(0, 6)] = ("ship", "red")[number % 2]
        rows.append({"text": " ".join(words), "label": ("dock", "sail")[number % 2]})
    return rows


def test_the_chosen_beat_as_many_at_random(tmp_path):
    """Weights drawn this large give a random model features to choose from, as pretraining would."""
    lab = tiny_lab(tmp_path, initializer_range=0.1)
    splits = {"train": planted_rows(96, 0), "validation": planted_rows(48, 1), "test": planted_rows(96, 2)}
    lab.host.add(DatasetSource("planted", "one word decides", lambda: splits))
    losses = {"tokens": [], "random": []}
    for seed in range(3):
        for by, found in losses.items():
            run = lab.train(
                "sparse", data="planted", by=by, density=0.05, epochs=5, seed=seed, batch_size=16, learning_rate=2e-2
            )
            found.append(run.metrics["test"]["loss"])
    apart = np.array(losses["random"]) - np.array(losses["tokens"])
    assert (apart > 0.1).all(), losses


def test_a_task_without_telling_words_is_refused_with_another_way(tmp_path):
    lab = tiny_lab(tmp_path)
    rows = [{**row, "label": ("yes", "no")[n // 3 % 2]} for n, row in enumerate(tiny_rows(60))]
    lab.host.add(DatasetSource("same", "nothing decides", lambda: {"train": rows, "test": rows[:9]}))
    with pytest.raises(MethodRefused, match="--by fisher"):
        lab.train("sparse", data="same", epochs=1)
