"""Adapters sit where their papers put them, start as nothing, and leave no trace when they are taken out."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_present import HOSTILE, check_html, make_run, points_of, record_of
from test_views import put
from transformers import AutoConfig, AutoModelForSequenceClassification, BertConfig

from peft_lab.errors import BadOption, MethodRefused, PeftLabError
from peft_lab.keeping.rolling_back import roll_back
from peft_lab.methods.adapter import Adapter, AdapterOptions, insert, remove, switched_off
from peft_lab.present import render
from peft_lab.run import WEIGHTS
from peft_lab.tasks.classification import Classification
from peft_lab.testing import FAMILIES, check_families, check_method, tiny_lab, tiny_rows
from peft_lab.testing.tiny import SIZES
from peft_lab.training.anatomy import head_names
from peft_lab.training.masks import freeze
from peft_lab.training.restore import restore, untrained
from peft_lab.training.sample_texts import sample_rows
from peft_lab.training.weights import read_tensors
from peft_lab.views.adapter_activity import AdapterActivity

PLACEMENTS = ("houlsby", "pfeiffer")
# The layers that end attention and feed-forward part, by the end of their names.
ENDS = (
    *("output.dense", "out_lin", "lin2", "attention.dense", "ffn_output"),
    *("attn.Wo", "mlp.Wo", "o_proj", "down_proj", "c_proj"),
)
IDS = torch.tensor([[2, 5, 9, 14, 3], [2, 7, 3, 0, 0]])
BATCH = {"input_ids": IDS, "attention_mask": (IDS > 0).long()}


pytestmark = pytest.mark.usefixtures("one_thread")


def config_of(family, **settings):
    shape = {"vocab_size": 20, "max_position_embeddings": 64, "pad_token_id": 0, **SIZES.get(family, {})}
    return AutoConfig.for_model(family, num_labels=3, **{**shape, **settings})


def bare(family="bert", **settings):
    """A frozen random model, as the core hands it to a method."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config_of(family, **settings)).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.02)
    freeze(model)
    return model


def attach(model, seed=0, **options):
    torch.manual_seed(seed)
    Adapter(AdapterOptions(**options)).attach(model, SimpleNamespace(head=frozenset(head_names(model))))
    return model


def adapted(family="bert", **options):
    return attach(bare(family), **options)


def logits(model):
    with torch.no_grad():
        return model(**BATCH).logits


def train(model, steps=4):
    """Some steps of what trains, the head left out."""
    moving = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(moving, lr=0.05)
    model.train()
    for _ in range(steps):
        torch.nn.functional.cross_entropy(model(**BATCH).logits, torch.tensor([1, 2])).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def bits(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same_bits(model, before):
    now = model.state_dict()
    return now.keys() == before.keys() and all(torch.equal(now[name], before[name]) for name in before)


# --- the contract, sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("bert", {"placement": "pfeiffer", "layer_norm": True}),
        ("llama", {"placement": "houlsby", "dropout": 0.1, "init": "houlsby"}),
        ("albert", {"placement": "pfeiffer", "reduction": 4, "activation": "tanh"}),
    ],
)
def test_contract(family, options, tmp_path):
    run = check_method(Adapter, tmp_path, options, family)
    assert "adapter-activity" in run.artifacts


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_family_trains(placement, tmp_path):
    found = check_families(Adapter, tmp_path, {"placement": placement, "reduction": 4})
    assert found == dict.fromkeys(FAMILIES, "trains")


@pytest.mark.parametrize(
    ("options", "entries"),
    [
        ({}, 2_379_264),
        ({"placement": "houlsby", "bottleneck": 64}, 2_379_264),
        ({"placement": "houlsby", "reduction": 16}, 1_789_056),
        ({"placement": "pfeiffer"}, 894_528),
        ({"placement": "pfeiffer", "reduction": 16}, 894_528),
        ({"layer_norm": True}, 2_379_264 + 25 * 2 * 768),
        ({"layers": (10, 11)}, 2_379_264 // 6),
        ({"layers": (-1,), "layer_norm": True}, 2_379_264 // 12 + 2 * 2 * 768),
    ],
)
def test_counts_of_bert_base(options, entries):
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(BertConfig())
    freeze(model)
    attach(model, **options)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert sum(p.numel() for p in trained.values()) == entries
    inside = [n for n in trained if "_adapter." in n]
    assert len(inside) == 4 * (len(options.get("layers", range(12)))) * (1 + (options.get("placement") != "pfeiffer"))


def test_only_adapters_and_norms_train():
    trained = {n for n, p in adapted(layer_norm=True).named_parameters() if p.requires_grad}
    assert trained and all("_adapter." in n or ".LayerNorm." in n for n in trained)
    assert "bert.embeddings.LayerNorm.weight" in trained


# --- where they sit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_they_add_before_the_residual_and_the_norm(family, placement):
    """Adapters that add a constant are the biases of the layers that end the two parts."""
    model, twin = adapted(family, placement=placement), bare(family)
    shift = torch.linspace(-1, 1, 32)
    for name, parameter in model.named_parameters():
        if name.endswith("_adapter.up.bias"):
            parameter.data = shift.clone()
    for name, module in twin.named_modules():
        ends = next((end for end in ENDS if f".{name}".endswith(f".{end}")), None)
        attention = ends and any(word in name for word in ("attention", "attn", "o_proj"))
        if ends and (placement == "houlsby" or not attention):
            bias = getattr(module, "bias", None)
            module.bias = torch.nn.Parameter(shift if bias is None else bias + shift)
    assert not torch.allclose(logits(model), logits(bare(family)), atol=1e-3)
    torch.testing.assert_close(logits(model), logits(twin), atol=2e-6, rtol=1e-5)


def read_by(model):
    """What each adapter reads in one pass, by its place."""
    found = {}
    hooks = [h for m in model.modules() for h in m._forward_hooks.values() if hasattr(h, "adapters")]
    hooks[0].adapters.watch = lambda site, read, added: found.setdefault((site.number, site.part), []).append(read)
    with torch.no_grad():
        hidden = model(**BATCH, output_hidden_states=True).hidden_states
    return found, hidden


@pytest.mark.parametrize("family", FAMILIES)
def test_houlsby_reads_the_end_of_each_part(family):
    model = adapted(family)
    given = []
    for name, module in model.named_modules():
        if any(f".{name}".endswith(f".{end}") for end in ENDS):
            module.register_forward_hook(lambda module, inputs, output: given.append(output))
    found, _ = read_by(model)
    read = [tensor for calls in zip(*found.values(), strict=True) for tensor in calls]
    if family != "albert":  # whose one layer is passed through twice
        read = [found[number, part][0] for number in (0, 1) for part in ("attention", "feed-forward")]
    assert len(read) == len(given) == 4
    for one, other in zip(read, given, strict=True):
        assert torch.equal(one.reshape(-1), other.reshape(-1))


@pytest.mark.parametrize("family", FAMILIES)
def test_pfeiffer_reads_what_the_layer_gives(family):
    found, hidden = read_by(adapted(family, placement="pfeiffer"))
    assert {part for _, part in found} == {"feed-forward"}
    assert torch.equal(found[0, "feed-forward"][0], hidden[1])  # it adds nothing yet


def test_who_looked_at_an_output_before_sees_what_the_adapter_made_of_it():
    model, seen = bare(), []
    layer = model.bert.encoder.layer[0]
    layer.output.dropout.register_forward_hook(lambda module, inputs, output: seen.append(output))
    found, _ = read_by(attach(model, init="normal"))
    read = found[0, "feed-forward"][0]
    torch.testing.assert_close(seen[0], read + layer.feed_forward_adapter(read))
    assert not torch.equal(seen[0], read)


def test_shared_layers_have_one_adapter_for_all_passes():
    model = attach(bare("albert", num_hidden_layers=5))
    assert sum("down.weight" in name for name, _ in model.named_parameters()) == 2
    found, _ = read_by(model)
    assert {len(calls) for calls in found.values()} == {5}


BLOCK = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("gpt_neox", BLOCK),  # adds both parts at once
        ("gemma2", {**BLOCK, "num_key_value_heads": 2, "head_dim": 8}),  # norms what it adds
        ("mpnet", BLOCK),  # ends its attention elsewhere
        ("t5", {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4, "decoder_start_token_id": 0}),
    ],
)
def test_families_it_cannot_tell_are_refused_by_name(family, settings):
    with pytest.raises(MethodRefused, match=family) as refused:
        attach(bare(family, **settings))
    assert "\n" not in str(refused.value) and refused.value.hint


# --- how they start ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_identity_is_exact(family, placement):
    model = bare(family)
    before = logits(model)
    with torch.autocast("cpu", torch.bfloat16):
        dimmed = logits(model)
    attach(model, placement=placement, layer_norm=True)
    assert torch.equal(logits(model), before)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(logits(model), dimmed)


@pytest.mark.parametrize(("init", "std", "largest"), [("normal", 0.02, 0.2), ("houlsby", 0.00088, 0.002)])
def test_other_starts(init, std, largest):
    model = adapted(init=init, bottleneck=256)
    for name, parameter in model.named_parameters():
        if "_adapter." in name and parameter.ndim == 2:
            assert 0.8 * std < parameter.std() < 1.2 * std and parameter.abs().max() < largest
        elif "_adapter." in name:
            assert not parameter.any()
    assert not torch.equal(logits(model), logits(bare()))


def test_both_sizes_at_once_are_refused_in_one_line(tmp_path):
    lab = tiny_lab(tmp_path)
    with pytest.raises(BadOption, match="reduction: should be left out where bottleneck is given") as refused:
        lab.recipe("adapter", bottleneck=8, reduction=16)
    assert "\n" not in str(refused.value)
    with pytest.raises(MethodRefused, match="no layer 2. Its layers are 0 at the bottom to 1 at the top"):
        lab.train("adapter", layers=(0, 2), max_steps=1)


def test_narrow_parts_never_vanish():
    assert AdapterOptions(reduction=500).narrow(32) == 1
    assert AdapterOptions(reduction=0.5).narrow(32) == 64


# --- off, out, and in again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_taken_out_the_base_model_is_as_before(family):
    model = bare(family)
    before, answers = bits(model), logits(model)
    train(attach(model, init="normal", layer_norm=True))
    changed = logits(model)
    assert not torch.allclose(changed, answers, atol=1e-2)
    with switched_off(model):
        assert torch.equal(logits(model), answers)
    assert torch.equal(logits(model), changed)
    remove(model)
    assert same_bits(model, before) and torch.equal(logits(model), answers)
    assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("second", [{"placement": "pfeiffer"}, {"bottleneck": 5, "layer_norm": True}])
def test_two_adapters_on_one_base_change_places_exactly(second):
    model = bare()
    base = logits(model)
    first_answers = logits(train(attach(model, init="normal", layer_norm=True)))
    first = remove(model)
    second_answers = logits(train(attach(model, seed=1, init="normal", **second)))
    other = remove(model)
    assert torch.equal(logits(model), base)
    for adapters, answers in ((first, first_answers), (other, second_answers), (first, first_answers)):
        insert(model, adapters)
        assert torch.equal(logits(model), answers)
        assert remove(model) is adapters
    assert torch.equal(logits(model), base)


def test_one_at_a_time():
    model = adapted()
    with pytest.raises(MethodRefused, match="has adapters already"):
        attach(model)
    remove(model)
    for act in (remove, lambda model: switched_off(model).__enter__()):
        with pytest.raises(MethodRefused, match="has no adapters"):
            act(model)


def test_switched_off_within_switched_off():
    model = train(adapted(init="normal", layer_norm=True))
    on = logits(model)
    with switched_off(model):
        off = logits(model)
        with switched_off(model):
            assert torch.equal(logits(model), off)
        assert torch.equal(logits(model), off)
    assert torch.equal(logits(model), on)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_copy_has_adapters_of_its_own(placement):
    model = train(adapted(init="normal", placement=placement, layer_norm=True))
    answers = logits(model)
    twin = copy.deepcopy(model)
    assert torch.equal(logits(twin), answers)
    train(twin)
    assert torch.equal(logits(model), answers) and not torch.equal(logits(twin), answers)
    remove(twin)
    assert torch.equal(logits(twin), logits(bare())) and torch.equal(logits(model), answers)


def test_loaded_in_a_fresh_model_by_names_alone():
    model = train(adapted(init="normal"))
    fresh = adapted(init="normal", seed=5)
    assert not torch.equal(logits(fresh), logits(model))
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(logits(fresh), logits(model))


def test_gradients_stop_at_the_lowest_adapter():
    model = adapted(layers=(1,), init="normal")
    seen = {}
    for number, layer in enumerate(model.bert.encoder.layer):
        layer.register_forward_hook(lambda module, inputs, output, number=number: seen.update({number: output}))
    model(**BATCH).logits.sum().backward()
    assert not seen[0].requires_grad and seen[1].requires_grad


def test_gradient_checkpointing_gives_the_same_gradients():
    found = []
    for checkpointing in (False, True):
        model = adapted(placement="pfeiffer", init="normal")
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.train()(**BATCH).logits.sum().backward()
        found.append([p.grad for p in model.parameters() if p.requires_grad])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


# --- runs ----------------------------------------------------------------------------------------------------------


def test_a_run_keeps_adapters_and_head_only_and_the_base_comes_back(tmp_path):
    lab = tiny_lab(tmp_path)
    run = lab.train("adapter", epochs=1, batch_size=8, device="cpu", precision="fp32", layer_norm=True)
    kept = set(read_tensors(run.path / WEIGHTS))
    assert kept and all("_adapter." in n or "LayerNorm" in n or "classifier" in n or "pooler" in n for n in kept)
    restored, plain = restore(run, lab.host), untrained(run, lab.host)
    rows = tiny_rows(6)
    model, base = restored.built.model, plain.built.model
    with switched_off(model):
        for name, parameter in base.bert.named_parameters():
            assert "pooler" in name or torch.equal(model.get_parameter(f"bert.{name}"), parameter)
    remove(model)
    head = base.state_dict()
    model.load_state_dict({n: t for n, t in head.items() if "pooler" in n or "classifier" in n}, strict=False)
    assert np.array_equal(restored.outputs(rows), plain.outputs(rows))


def test_two_runs_take_turns_on_one_base(tmp_path):
    lab = tiny_lab(tmp_path)
    file = tmp_path / "tiny-bert" / "model.safetensors"
    untouched = file.read_bytes()
    settings = {"epochs": 1, "batch_size": 8, "device": "cpu", "precision": "fp32", "learning_rate": 1e-2}
    lab.train("adapter", **settings, init="normal", layer_norm=True)
    lab.train("adapter", **settings, placement="pfeiffer")
    rows = sample_rows(False)
    base = untrained(lab.run("run-1"), lab.host).outputs(rows)
    answers = {name: restore(lab.run(name), lab.host).outputs(rows) for name in ("run-1", "run-2")}
    assert not np.allclose(answers["run-1"], answers["run-2"], atol=1e-3)
    texts = [row["text"] for row in rows]
    told = {name: lab.predict(name, *texts).rows for name in answers}
    for name in ("run-1", "run-2", "run-1"):
        assert np.array_equal(lab.serve(lab.run(name)).outputs(rows), answers[name])
        lab.load(name)
        assert lab.predict(*texts).rows == told[name]
        assert np.array_equal(lab.serve(lab.run(name)).outputs(rows), answers[name])
    for name in ("run-2", "run-1"):  # back, the way they came
        back = roll_back(lab.folder, lab.host)
        assert back.now.id == name and np.array_equal(back.restored.outputs(rows), answers[name])
    back = roll_back(lab.folder, lab.host)
    assert back.now is None and np.array_equal(back.restored.outputs(rows), base)
    assert file.read_bytes() == untouched


def test_in_bf16_with_the_base_held_in_it(tmp_path):
    lab = tiny_lab(tmp_path)
    run = lab.train("adapter", epochs=2, batch_size=8, device="cpu", precision="bf16", placement="pfeiffer")
    assert all(mark["ok"] for mark in run.record["proof"]) and "held in bf16" in run.record["hardware"]["held"]
    model = restore(run, lab.host).built.model
    for name, parameter in model.named_parameters():
        if "_adapter." in name:
            assert parameter.dtype == torch.float32
    assert model.bert.encoder.layer[0].output.dense.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("method", ["adapter+bitfit", "lora+adapter", "adapter+lora", "adapter+layers"])
def test_beside_other_methods(method, tmp_path):
    lab = tiny_lab(tmp_path)
    run = lab.train(method, epochs=1, batch_size=8, device="cpu", precision="fp32")
    assert all(mark["ok"] for mark in run.record["proof"])
    rows = tiny_rows(6)
    assert np.array_equal(restore(run, lab.host).outputs(rows), restore(run, lab.host).outputs(rows))


# --- activity ------------------------------------------------------------------------------------------------------


def context_of(*batches):
    return SimpleNamespace(task=Classification(), batches=lambda count: iter(batches))


def test_activity_is_what_is_added_over_what_is_read():
    model = adapted(placement="pfeiffer")
    shift = torch.linspace(-1, 1, 32)
    for name, parameter in model.named_parameters():
        if name.endswith("1.feed_forward_adapter.up.bias"):
            parameter.data = shift.clone()
    found, _ = read_by(model)
    read = found[1, "feed-forward"][0]
    expected = [float((shift.norm() / read[row, :length].norm(dim=-1)).mean()) for row, length in ((0, 5), (1, 3))]
    (artifact,) = Adapter().artifacts(model.train(), context_of(BATCH))
    assert model.training
    mean, spread = (artifact.arrays[name] for name in ("mean", "spread"))
    assert mean.axes == ("layer", "place") and mean.labels == {"layer": ["0", "1"], "place": ["feed-forward"]}
    np.testing.assert_allclose(mean.values[:, 0], [0, np.mean(expected)], rtol=1e-5)
    np.testing.assert_allclose(spread.values[:, 0], [0, np.std(expected)], rtol=1e-4, atol=1e-7)
    assert artifact.note == "over 2 training texts"


def test_activity_does_not_see_padding():
    model = adapted(init="normal")
    longer = {name: torch.nn.functional.pad(tensor, (0, 4)) for name, tensor in BATCH.items()}
    one, other = (next(iter(Adapter().artifacts(model, context_of(batch)))) for batch in (BATCH, longer))
    np.testing.assert_allclose(one.arrays["mean"].values, other.arrays["mean"].values, rtol=1e-4)


def test_activity_of_shared_layers_is_by_pass():
    (artifact,) = Adapter().artifacts(adapted("albert", init="normal"), context_of(BATCH))
    assert artifact.arrays["mean"].labels["layer"] == ["0 pass 1", "0 pass 2"]
    assert (artifact.arrays["mean"].values > 0).all()


def test_the_view_says_which_adapter_adds_most(tmp_path):
    run = make_run(tmp_path, record_of("run-1", "adapter"), points_of(6, 2))
    mean = np.array([[0.01, 0.02], [0.125, 0.04], [np.nan, 0.03]])
    labels = {"layer": ["0", "1", "2"], "place": ["attention", "feed-forward"]}
    put(run, "adapter-activity", labels, mean=mean, spread=mean / 5)
    drawing = AdapterActivity().draw([run])
    assert drawing.alt == (
        "run-1, adapter: on average an adapter adds 4.5 % of the size of what it reads; most in layer 1 behind "
        "attention (12 ± 2.5 %), least in layer 0 behind attention (1.0 ± 0.20 %)."
    )
    said = [text.get_text() for axes in drawing.figure.axes for text in axes.texts]
    assert said == ["1.0 ± 0.20", "12 ± 2.5", "2.0 ± 0.40", "4.0 ± 0.80", "3.0 ± 0.60"]
    picture = render(drawing)
    assert len(picture.png) < 200_000 and picture == render(AdapterActivity().draw([run]))


@pytest.mark.parametrize("layers", [1, 48])
def test_the_view_of_few_and_of_many_layers(layers, tmp_path):
    run = make_run(tmp_path, record_of("run-1", "adapter"), points_of(6, 2))
    values = np.linspace(0.001, 3, 2 * layers).reshape(layers, 2)
    labels = {"layer": list(map(str, range(layers))), "place": ["attention", "feed-forward"]}
    put(run, "adapter-activity", labels, mean=values, spread=values)
    assert len(render(AdapterActivity().draw([run])).png) < 200_000


def test_the_view_of_nothing_and_of_hostile_names(tmp_path):
    run = make_run(tmp_path, record_of("run-1", "+".join(HOSTILE)), points_of(6, 2))
    labels = {"layer": HOSTILE, "place": ["attention", "$a$"]}
    put(run, "adapter-activity", labels, mean=np.zeros((6, 2)), spread=np.zeros((6, 2)))
    picture = render(AdapterActivity().draw([run]))
    assert picture.alt.endswith("no adapter adds anything to what it reads.")
    check_html(picture._repr_html_())
    put(run, "adapter-activity", labels, mean=np.full((6, 2), np.nan), spread=np.full((6, 2), np.nan))
    with pytest.raises(PeftLabError, match="no adapter that was measured"):
        AdapterActivity().draw([run])
