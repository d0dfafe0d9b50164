"""Layers that train whole: named, or found by relative gradients; nothing below them is computed backwards."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from peft_lab.errors import BadOption, MethodRefused
from peft_lab.methods import _relative_gradients
from peft_lab.methods.layers import Layers, LayersOptions
from peft_lab.recipe import Start
from peft_lab.run import WEIGHTS
from peft_lab.tasks.classification import Classification
from peft_lab.testing import FAMILIES, check_families, check_method, tiny_lab
from peft_lab.testing.tiny import SIZES
from peft_lab.training.context import Context
from peft_lab.training.masks import freeze
from peft_lab.training.restore import restore
from peft_lab.training.session import resume, train
from peft_lab.training.start import start_from
from peft_lab.training.weights import read_tensors

SETTINGS = {"epochs": 1, "batch_size": 8, "device": "cpu", "precision": "fp32"}
IDS = torch.tensor([[2, 5, 9, 14, 3], [2, 7, 3, 0, 0]])
BATCHES = [
    {"input_ids": IDS, "attention_mask": (IDS > 0).long(), "labels": torch.tensor([0, 1])},
    {"input_ids": IDS + (IDS > 4), "attention_mask": (IDS > 0).long(), "labels": torch.tensor([2, 0])},
]


pytestmark = pytest.mark.usefixtures("one_thread")


def bare(family="bert", layers=4):
    """A random model with a head that trains, as the core hands it to ``prepare``."""
    torch.manual_seed(0)
    shape = {"vocab_size": 20, "max_position_embeddings": 64, "pad_token_id": 0, **SIZES[family]}
    config = AutoConfig.for_model(family, num_labels=3, **{**shape, "num_hidden_layers": layers})
    model = AutoModelForSequenceClassification.from_config(config)
    freeze(model)
    model.classifier.requires_grad_(True)
    return model


def context():
    task = Classification()
    loss = SimpleNamespace(task=task)
    return SimpleNamespace(
        device=torch.device("cpu"),
        batches=lambda count: iter(BATCHES[:count]),
        loss=lambda model, batch: Context.loss(loss, model, batch),
    )


def prepared(model, **options):
    method = Layers(LayersOptions(**options))
    method.attach(model, context())
    method.prepare(model, context())
    return method


def training_layers(model):
    layers = enumerate(model.bert.encoder.layer)
    return {number for number, layer in layers if any(p.requires_grad for p in layer.parameters())}


# --- the contract --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"count": 1}, {"layers": (1,)}], ids=["found", "named"])
def test_contract(options, tmp_path):
    run = check_method(Layers, tmp_path, options)
    assert run.cost["trainable"] - run.cost["trainable_head"] == 8_544  # all of one layer: 32 wide, 64 in its middle
    assert ("layer-gradients" in run.artifacts) == ("count" in options)


def test_every_family_trains(tmp_path):
    assert check_families(Layers, tmp_path) == dict.fromkeys(FAMILIES, "trains")


# --- which layers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("named", "expected"), [((1,), {1}), ((3, 0), {0, 3}), ((-1, 2), {2, 3})])
def test_named_layers_train_whole_and_nothing_else_does(named, expected):
    model = bare()
    prepared(model, layers=named)
    assert training_layers(model) == expected
    for name, parameter in model.named_parameters():
        inside = any(f"encoder.layer.{number}." in name for number in expected)
        assert parameter.requires_grad == (inside or name.startswith("classifier"))


def test_found_by_gradient_over_weight():
    """Against a loop over batches with plain autograd."""
    model, twin = bare().train(), bare().eval().requires_grad_(True)
    with torch.no_grad():
        for parameter in (*model.bert.encoder.layer[1].parameters(), *twin.bert.encoder.layer[1].parameters()):
            parameter *= 5  # large gradients in weights that are larger still
    expected = np.zeros((2, 4))
    for batch in BATCHES:
        twin.zero_grad()
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        torch.nn.functional.cross_entropy(twin(**inputs).logits, batch["labels"]).backward()
        for number, layer in enumerate(twin.bert.encoder.layer):
            expected[0, number] += sum(float(p.grad.square().sum()) for p in layer.parameters()) ** 0.5 / 2
            expected[1, number] = sum(float(p.detach().square().sum()) for p in layer.parameters()) ** 0.5
    method = prepared(model, count=2, batches=2)
    (artifact,) = method.artifacts(model, context())
    found = {name: array.values for name, array in artifact.arrays.items()}
    np.testing.assert_allclose(found["gradient"], expected[0], rtol=1e-4)
    np.testing.assert_allclose(found["size"], expected[1], rtol=1e-5)
    np.testing.assert_allclose(found["relative"], expected[0] / expected[1], rtol=1e-4)
    assert np.argmax(found["gradient"]) == np.argmin(found["relative"]) == 1
    assert training_layers(model) == set(np.argsort(-found["relative"])[:2]) == set(np.flatnonzero(found["chosen"]))
    assert artifact.arrays["relative"].labels == {"layer": ["0", "1", "2", "3"]}
    assert model.training


def test_looking_leaves_nothing_behind():
    model = bare()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    state = torch.get_rng_state()
    prepared(model, count=1)
    for name, parameter in model.named_parameters():
        assert parameter.grad is None and torch.equal(parameter, before[name])
        assert not parameter._post_accumulate_grad_hooks
    assert torch.equal(torch.get_rng_state(), state)  # without dropout nothing is drawn


def test_gradients_of_one_tensor_at_a_time(monkeypatch):
    """Looking must not need the memory of full fine-tuning."""
    model, held = bare(), []

    def spying(square, make=_relative_gradients._adder):
        add = make(square)

        def spy(parameter):
            held.append(sum(p.grad is not None for p in model.bert.encoder.parameters()))
            add(parameter)

        return spy

    monkeypatch.setattr(_relative_gradients, "_adder", spying)
    prepared(model, count=1, batches=2)
    assert len(held) == 2 * 4 * 16 and set(held) == {1}


def test_a_third_of_the_layers_unless_told_otherwise():
    for layers, expected in ((4, 1), (6, 2), (1, 1)):
        model = bare(layers=layers)
        prepared(model)
        assert len(training_layers(model)) == expected


def test_what_another_method_trains_is_not_looked_at():
    model = bare()
    model.bert.encoder.layer[1].requires_grad_(True)
    method = prepared(model, count=1)
    assert set(method.found) == {0, 2, 3} and 1 not in method.chosen
    assert 1 in training_layers(model)


def test_refusals_say_why(tmp_path):
    lab = tiny_lab(tmp_path)
    with pytest.raises(BadOption, match="count: should be left out where layers is given"):
        lab.recipe("layers", layers=(0,), count=1)
    for method, options, words in (
        ("layers", {"layers": (0, 7)}, "no layer 7. Its layers are 0 at the bottom to 1 at the top"),
        ("layers", {"count": 5}, "2 layers to choose from, not 5"),
        ("full+layers", {}, "all of them train already"),
    ):
        with pytest.raises(MethodRefused, match=words) as refused:
            lab.train(method, max_steps=1, **SETTINGS, **options)
        assert "\n" not in str(refused.value)


# --- what it saves -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"layers": (2,)}, {"layers": (2, 3)}])
def test_nothing_is_computed_backwards_below_the_lowest(options):
    model, given, backwards = bare(), {}, []
    prepared(model, **options)
    for number, layer in enumerate(model.bert.encoder.layer):
        layer.register_forward_hook(lambda module, inputs, output, number=number: given.update({number: output}))
        layer.output.dense.register_full_backward_hook(lambda *_, number=number: backwards.append(number))
    inputs = {name: value for name, value in BATCHES[0].items() if name != "labels"}
    loss = torch.nn.functional.cross_entropy(model(**inputs).logits, BATCHES[0]["labels"])
    held = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: held.append(tensor) or tensor, lambda tensor: tensor):
        model.bert.encoder.layer[1](given[0])
    assert not held  # nothing is even kept for it
    loss.backward()
    assert [given[number].requires_grad for number in range(4)] == [False, False, True, True]
    assert sorted(set(backwards)) == [2, 3]
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


# --- kept, loaded, gone on with ------------------------------------------------------------------------------------


def names_of(run):
    return {name for name in read_tensors(run.path / WEIGHTS) if "layer." in name}


def test_a_found_layer_is_kept_and_loaded_without_looking_again(tmp_path, monkeypatch):
    lab = tiny_lab(tmp_path)
    run = lab.train("layers", count=1, **SETTINGS)
    assert len(names_of(run)) == 16 and all(mark["ok"] for mark in run.record["proof"])
    monkeypatch.setattr(Layers, "prepare", None)
    model = restore(run, lab.host).built.model
    assert {n for n, p in model.named_parameters() if p.requires_grad and "layer." in n} == names_of(run)


def test_a_run_that_begins_from_another_trains_the_same_layers(tmp_path, monkeypatch):
    lab = tiny_lab(tmp_path)
    first = lab.train("layers", count=1, **SETTINGS)
    other = {"0", "1"} - {name.split(".")[3] for name in names_of(first)}
    # Whatever would be found now: the run before has chosen.
    find = {int(number): f"bert.encoder.layer.{number}" for number in other}
    monkeypatch.setattr("peft_lab.methods.layers.picked", lambda layers, numbers: find)
    recipe = lab.recipe("layers", count=1, **SETTINGS)
    anew = lab.train_recipe(recipe)
    assert names_of(anew) != names_of(first)
    on = lab.train_recipe(recipe.model_copy(update={"start": start_from(first)}))
    assert isinstance(on.recipe.start, Start) and names_of(on) == names_of(first)


def test_a_stopped_run_goes_on_with_the_layers_it_had(tmp_path):
    from peft_lab.training.progress import Progress

    class Until(Progress):
        def stopping(self):
            return self.state.get("step", 0) >= 5

    lab = tiny_lab(tmp_path)
    recipe = lab.recipe("layers", count=1, **SETTINGS)
    whole = train(recipe, lab.host, lab.folder)
    stopped = train(recipe, lab.host, lab.folder, Until())
    assert stopped.status == "stopped"
    done = resume(stopped, lab.host)
    assert done.status == "finished" and done.metrics == whole.metrics
    ours, theirs = (read_tensors(run.path / WEIGHTS) for run in (done, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs) and ours.keys() == theirs.keys()


def test_in_bf16(tmp_path):
    lab = tiny_lab(tmp_path)
    run = lab.train("layers", **{**SETTINGS, "precision": "bf16"}, layers=(1,))
    assert all(mark["ok"] for mark in run.record["proof"])
    model = restore(run, lab.host).built.model
    kinds = [layer.output.dense.weight.dtype for layer in model.bert.encoder.layer]
    assert kinds == [torch.bfloat16, torch.float32]
