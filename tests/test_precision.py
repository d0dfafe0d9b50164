"""bf16 where the hardware multiplies it: frozen matrices in it, what trains in fp32, equal answers after loading."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from peft_lab.errors import BadOption, MethodRefused
from peft_lab.host import Host
from peft_lab.methods._peft import effective_change
from peft_lab.methods.hf_peft import REFUSED
from peft_lab.recipe import Training
from peft_lab.sources.models import find_model
from peft_lab.tasks.classification import Classification
from peft_lab.testing import tiny_lab, tiny_model, tiny_rows
from peft_lab.testing.contract import ANSWERS_ONLY
from peft_lab.training import hardware, loop
from peft_lab.training.build import build
from peft_lab.training.context import Context
from peft_lab.training.masks import MaskedEntries
from peft_lab.training.proof import Proof
from peft_lab.training.restore import restore
from peft_lab.training.weights import load_weights, save_weights, saved_masks, saved_whole
from pluggy_specs import Array, Artifact, Method

BF16, FP32 = torch.bfloat16, torch.float32
HOST = Host(entry_points=False)
METHODS = HOST.offers("methods")
# What a tuner cannot do without; all others train with their defaults.
NEEDED = {"peft:trainable_tokens": {"token_indices": [5, 6, 7]}}
REFUSED_BY_BERT = {"peft:adaption_prompt", "peft:shadow", *(f"peft:{kind.lower()}" for kind in REFUSED)}
SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}


class Sparse(Method):
    name = "sparse-for-tests"
    summary = "every fifth entry of one matrix"

    def masks(self, model):
        name = "bert.encoder.layer.0.output.dense.weight"
        return {name: torch.arange(0, dict(model.named_parameters())[name].numel(), 5)}


class Adding(Method):
    """Computes with the weight of a layer itself, in an operation that takes one precision only."""

    name = "adding"
    summary = "for tests"

    def attach(self, model, context):
        for layer in model.bert.encoder.layer:
            layer.output.dense = Added(layer.output.dense)


class Added(torch.nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.change = torch.nn.Parameter(torch.full_like(base.weight, 1e-4))

    def forward(self, x):
        rows = torch.arange(len(self.base.weight), device=x.device)
        weight = self.base.weight.index_add(0, rows, self.change)
        return torch.nn.functional.linear(x, weight, self.base.bias)


class Only32(Method):
    """Adds a module that takes no other precision, whatever the weights are held in."""

    name = "only-32"
    summary = "for tests"

    def attach(self, model, context):
        for layer in model.bert.encoder.layer:
            layer.output.dense = Strict(layer.output.dense)


class Strict(torch.nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        if x.dtype != FP32 or torch.is_autocast_enabled("cpu"):
            raise RuntimeError("I take fp32\nand nothing else")
        return self.base(x) * self.scale


class Looking(Method):
    """Runs the model after training, outside of everything that knows of precision."""

    name = "looking"
    summary = "for tests"

    def attach(self, model, context):
        model.requires_grad_(False)

    def artifacts(self, model, context):
        batch = next(context.batches(1))
        with torch.no_grad():
            logits = context.task.outputs(model, batch)
            loss = context.loss(model, batch)
        yield Artifact("seen", {"logits": Array(logits, ("text", "label")), "loss": Array(loss[None], ("one",))})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny BERT whose biases are not zero: nothing that multiplies zero can learn."""
    folder = tiny_model(tmp_path_factory.mktemp("precision") / "bert", **SIZES)
    tensors = load_file(folder / "model.safetensors")
    draw = torch.Generator().manual_seed(3)
    for name, tensor in tensors.items():
        if name.endswith("bias"):
            tensor += 0.02 * torch.randn(tensor.shape, generator=draw)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


class OneBatch(Context):
    """For methods that are calibrated."""

    def batches(self, count):
        return iter([texts()])


def made(name_or_class, model, seed=0, precision="bf16", **kept):
    cls = HOST.find("methods", name_or_class) if isinstance(name_or_class, str) else name_or_class
    # One batch of random tokens has no words that tell labels apart.
    options = {"by": "fisher"} if cls.name == "sparse" else NEEDED.get(cls.name, {})
    method = cls(cls.Options(**options))
    tokenizer = dataclasses.make_dataclass("Tokenizer", ["pad_token_id"])(0)
    context = OneBatch(torch.device("cpu"), torch.Generator().manual_seed(seed), tokenizer, Classification(), 16)
    targets = {"labels": ["a", "b", "c"]}
    methods = [HOST.find("methods", cls.companion)(), method] if cls.companion else [method]
    return build(find_model(str(model), HOST), methods, targets, context, seed, precision=precision, **kept), context


def texts():
    draw = torch.Generator().manual_seed(2)
    ids = torch.randint(4, 20, (16, 9), generator=draw)
    mask = torch.ones_like(ids)
    mask[::2, 6:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.randint(0, 3, (16,), generator=draw)}


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(**{name: value for name, value in texts().items() if name != "labels"}).logits


# What auto takes


@pytest.mark.parametrize(
    ("capabilities", "takes"),
    [
        ({"amx_bf16": True, "amx_tile": True, "avx512_bf16": True}, "bf16"),
        ({"avx512_bf16": True, "avx512_f": True}, "bf16"),
        ({"architecture": "arm64", "neon": True, "bf16": True}, "bf16"),
        ({"avx512_f": True, "avx512_vnni": True}, "fp32"),
        ({"avx2": True}, "fp32"),
        ({"architecture": "arm64", "neon": True}, "fp32"),
    ],
)
def test_auto_goes_by_what_the_processor_multiplies(monkeypatch, capabilities, takes):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: "amx_tile" in capabilities, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: "avx512_bf16" in capabilities, raising=False)
    monkeypatch.setattr(hardware, "_onednn_multiplies_bf16", lambda: True)
    assert hardware.choose_precision("auto", "cpu") == takes
    assert hardware.choose_precision("fp32", "cpu") == "fp32"
    assert hardware.choose_precision("bf16", "cpu") == "bf16"
    monkeypatch.setattr(hardware, "_onednn_multiplies_bf16", lambda: False)
    assert hardware.choose_precision("auto", "cpu") == "fp32"


def test_a_torch_that_can_tell_nothing_trains_in_fp32(monkeypatch):
    for name in ("get_capabilities", "_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert hardware.choose_precision("auto", "cpu") == "fp32"


@pytest.mark.parametrize(("capability", "takes"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((12, 0), "bf16")])
def test_auto_on_a_gpu(monkeypatch, capability, takes):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    monkeypatch.setattr(torch.version, "hip", None)
    assert hardware.choose_precision("auto", "cuda:1") == hardware.choose_precision("auto", "cuda") == takes
    assert hardware.choose_precision("auto", "mps") == "fp32"


def test_one_gpu_among_several(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert hardware.choose_device("cuda:1") == "cuda:1"
    assert hardware.choose_device("auto") == "cuda"
    with pytest.raises(BadOption, match=r"no device cuda:2 on this machine. There is: cuda:0, cuda:1"):
        hardware.choose_device("cuda:2")


def test_a_run_is_opened_as_it_was_trained(monkeypatch):
    auto, said = Training(device="cpu"), Training(device="cpu", precision="bf16")
    monkeypatch.setattr(hardware, "multiplies_bf16", lambda device: True)
    assert hardware.settings_here(auto, {"precision": "fp32"}).precision == "fp32"
    assert hardware.settings_here(auto, {"precision": "bf16"}).precision == "bf16"
    monkeypatch.setattr(hardware, "multiplies_bf16", lambda device: False)
    assert hardware.settings_here(auto, {"precision": "fp32"}).precision == "fp32"
    assert hardware.settings_here(auto, {"precision": "bf16"}).precision == "fp32"
    assert hardware.settings_here(said, {"precision": "bf16"}).precision == "bf16"  # asked for in so many words
    elsewhere = Training(device="cuda:7")
    assert hardware.settings_here(elsewhere, {"precision": "fp32"}).device == hardware.choose_device("auto")


# What is held in what


@pytest.mark.parametrize("name", ["full", "head", "bitfit", "lora", Sparse])
def test_frozen_matrices_in_bf16_and_all_that_trains_in_fp32(name, tiny):
    one, context = made(name, tiny)
    optimizer = loop.make_optimizer(one, Training())
    context.loss(one.model, texts()).backward()
    optimizer.step()
    masked = one.masked.names if one.masked else set()
    frozen = 0
    for parameter_name, parameter in one.model.named_parameters():
        if parameter.requires_grad or parameter.ndim < 2 or one.is_head(parameter_name):
            assert parameter.dtype == FP32, parameter_name
        elif id(parameter) in one.base:
            assert parameter.dtype == BF16, parameter_name
            frozen += parameter.numel()
        if parameter.requires_grad and parameter_name not in masked:
            assert parameter.grad is not None and parameter.grad.dtype == FP32
    for values in one.masked.values if one.masked else ():
        assert values.dtype == FP32
    for state in optimizer.state.values():
        assert {tensor.dtype for tensor in state.values()} == {FP32}
    assert frozen or name == "full"
    assert one.precision_note == (f"{frozen:,} frozen weights held in bf16" if frozen else "all weights held in fp32")


def test_fp32_stays_fp32(tiny):
    one, _ = made("lora", tiny, precision="fp32")
    assert {p.dtype for p in one.model.parameters()} == {FP32} and not one.precision_note


def test_a_masked_matrix_is_fp32_in_all_its_entries_and_the_others_stay_bit_identical(tmp_path):
    lab = tiny_lab(tmp_path, Sparse)
    seen = {}

    def spy(job, original=loop.fit):
        name = "bert.encoder.layer.0.output.dense.weight"
        weight = job.built.model.get_parameter(name)
        before = weight.detach().clone()
        outcome = original(job)
        seen.update(dtype=weight.dtype, before=before.flatten(), after=weight.detach().flatten())
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "fit", spy)
        run = lab.train("sparse-for-tests", device="cpu", precision="bf16", batch_size=8, weight_decay=0.5)
    chosen = torch.zeros(len(seen["before"]), dtype=torch.bool)
    chosen[::5] = True
    assert seen["dtype"] == FP32
    assert torch.equal(seen["before"][~chosen], seen["after"][~chosen])
    assert (seen["before"][chosen] != seen["after"][chosen]).float().mean() > 0.9
    assert all(mark["ok"] for mark in run.record["proof"]), run.record["proof"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_half_precision_files_never_become_half_precision_training(tiny, tmp_path, dtype, precision):
    config = AutoConfig.from_pretrained(tiny, num_labels=3)
    AutoModelForSequenceClassification.from_config(config).to(dtype).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    one, _ = made("bitfit", tmp_path, precision=precision)
    kinds = {p.dtype for p in one.model.parameters()}
    assert kinds == ({FP32} if precision == "fp32" else {FP32, BF16})
    assert {p.dtype for p in one.trainable().values()} == {FP32}


# Methods that bring modules of their own


# Tokenization reads texts, and is tried in test_tokenization.py; what needs written answers, in test_rft.py.
@pytest.mark.parametrize("name", [n for n in METHODS if n not in (*REFUSED_BY_BERT, *ANSWERS_ONLY, "tokenization")])
def test_every_method_trains_in_bf16_and_comes_back_bit_for_bit(name, tiny, tmp_path):
    one, context = made(name, tiny)
    state = torch.get_rng_state()
    proof = Proof(one)
    optimizer = loop.make_optimizer(one, Training(learning_rate=1e-2))
    one.model.train()
    for _ in range(4):
        with torch.autocast("cpu", dtype=BF16):
            outputs = context.task.outputs(one.model, texts())
        losses, _ = context.task.losses(outputs, texts())
        assert losses.dtype == FP32
        losses.mean().backward()
        for method in one.methods:
            if (penalty := method.penalty(one.model)) is not None:
                penalty.backward()
        proof.after_backward()
        optimizer.step()
        if one.masked:
            one.masked.write()
        optimizer.zero_grad(set_to_none=True)
        proof.after_step()
    proof.finish()
    assert all(mark["ok"] for mark in proof.marks()), proof.marks()
    file = tmp_path / "weights.safetensors"
    save_weights(one, file)
    assert {t.dtype for t in load_file(file).values() if t.is_floating_point()} == {FP32}
    torch.set_rng_state(state)
    other, _ = made(name, tiny, seed=77, masks=saved_masks(file), whole=saved_whole(file))
    load_weights(other, file)
    assert torch.equal(logits(one.model), logits(other.model))


def test_layers_that_a_tuner_computes_with_by_itself_keep_fp32(tiny):
    lora, _ = made("lora", tiny)
    assert "fp32" not in lora.precision_note
    assert lora.model.bert.encoder.layer[0].attention.self.query.base_layer.weight.dtype == BF16
    shira, _ = made("peft:shira", tiny)
    assert shira.model.bert.encoder.layer[0].attention.self.query.base_layer.weight.dtype == FP32
    assert shira.model.bert.encoder.layer[0].attention.self.key.weight.dtype == BF16
    assert shira.precision_note.endswith("held in bf16; 4 frozen matrices that peft:shira computes with itself in fp32")
    adding, _ = made(Adding, tiny)
    assert adding.model.bert.encoder.layer[0].output.dense.base.weight.dtype == FP32
    assert adding.model.bert.encoder.layer[0].intermediate.dense.weight.dtype == BF16


def test_a_method_that_cannot_compute_in_bf16_is_refused_in_one_line(tiny):
    with pytest.raises(MethodRefused) as refused:
        made(Only32, tiny)
    assert str(refused.value) == "only-32 cannot compute in bf16: I take fp32 and nothing else. Say --precision fp32"


def test_the_trial_leaves_nothing_behind(tiny):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, _ = made("peft:vera", tiny)
    torch.manual_seed(5)
    assert torch.equal(before, torch.get_rng_state())
    assert all(p.grad is None for p in one.model.parameters())
    again, _ = made("peft:vera", tiny)
    assert torch.equal(logits(one.model), logits(again.model))


def test_a_changed_weight_is_measured_in_full_precision(tiny):
    """Merging a small product into a weight held in bf16 would round it away, and the picture would be of rounding."""
    one, _ = made("lora", tiny)
    layer = one.model.bert.encoder.layer[0].attention.self.query
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    with torch.no_grad():
        b.fill_(1e-6)
    (artifact,) = effective_change(one.model)
    (moved,) = artifact.arrays["moved"].values
    expected = float((layer.scaling["default"] * b.double() @ a.double()).square().sum().detach())
    assert moved == pytest.approx(expected, rel=1e-2)
    assert layer.base_layer.weight.dtype == BF16


def test_a_copy_of_a_model_computes_with_its_own_weights(tiny):
    one, _ = made("lora", tiny)
    expected, copied = logits(one.model), copy.deepcopy(one.model)
    for parameter in one.model.parameters():
        parameter.data.zero_()
    assert torch.equal(logits(copied), expected)
    assert not torch.equal(logits(one.model), expected)


# Whole runs


def test_a_run_says_its_precision_and_is_opened_in_it(tmp_path, monkeypatch):
    lab = tiny_lab(tmp_path)
    monkeypatch.setattr(hardware, "multiplies_bf16", lambda device="cpu": True)
    run = lab.train("lora", device="cpu", batch_size=8)
    assert run.recipe.training.precision == "auto"
    assert run.record["hardware"]["precision"] == "bf16"
    assert "frozen weights held in bf16" in run.record["hardware"]["held"]
    assert all(mark["ok"] for mark in run.record["proof"]), run.record["proof"]
    again = restore(run, lab.host)
    rows = tiny_rows(24, seed=2)
    assert np.array_equal(again.outputs(rows), restore(run, lab.host).outputs(rows))
    assert again.score(lab.host.find("datasets", "tiny").splits()["test"]) == run.metrics["test"]
    record = json.loads((run.path / "run.json").read_text())
    record["hardware"]["precision"] = "fp32"
    (run.path / "run.json").write_text(json.dumps(record))
    other = restore(lab.run(run.id), lab.host)
    assert {p.dtype for p in other.built.model.parameters()} == {FP32}
    assert not np.array_equal(again.outputs(rows), other.outputs(rows))


def test_methods_may_run_the_model_after_training(tmp_path):
    lab = tiny_lab(tmp_path, Looking)
    run = lab.train("looking", device="cpu", precision="bf16", epochs=1)
    assert run.artifact("seen").arrays["logits"].values.shape[1] == 3
    assert not [note for note in run.record["notes"] if "could not say" in note]


def test_bf16_learns_what_fp32_learns(tmp_path):
    lab = tiny_lab(tmp_path)
    losses = {}
    for precision in ("fp32", "bf16"):
        run = lab.train("full", device="cpu", precision=precision, epochs=4, batch_size=8, learning_rate=5e-3)
        losses[precision] = [p["loss"] for p in run.points if p["split"] == "train"]
        assert run.metrics["test"]["accuracy"] > 0.9
    assert losses["fp32"] != losses["bf16"]
    assert np.abs(np.subtract(losses["fp32"], losses["bf16"])).mean() < 0.05


def test_masked_values_are_fp32_whatever_the_default():
    layer = torch.nn.Linear(4, 4).requires_grad_(False)
    torch.set_default_dtype(torch.bfloat16)
    try:
        masked = MaskedEntries(layer, {"weight": torch.arange(3)})
    finally:
        torch.set_default_dtype(torch.float32)
    assert {v.dtype for v in masked.values} == {FP32}
