"""Every tuner of Hugging Face PEFT trains a tiny model and comes back bit for bit, or refuses with a reason."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from peft_lab.errors import MethodRefused
from peft_lab.host import Host
from peft_lab.methods._peft_options import peft_types
from peft_lab.methods.hf_peft import peft_methods
from peft_lab.methods.lora import Lora
from peft_lab.tasks.classification import Classification
from peft_lab.training.build import build
from peft_lab.training.context import Context
from peft_lab.training.proof import Proof
from peft_lab.training.weights import load_weights, save_weights

SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
FAMILIES = {
    "bert": SIZES,
    "roberta": SIZES,
    "distilbert": {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128},
    "modernbert": {**SIZES, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2},
    "deberta-v2": {**SIZES, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "llama": SIZES,
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "bos_token_id": 1, "eos_token_id": 1},
}
# What a tuner cannot do without; all others train with their defaults.
NEEDED = {"peft:trainable_tokens": {"token_indices": [5, 6, 7]}}
METHODS = {method.name: method for method in peft_methods()}
REFUSED_BY_BERT = {"peft:adaption_prompt", "peft:shadow", "peft:xlora", "peft:cpt", "peft:lily"}


class Found:
    """Stands for a model that was found; all its weights come from its name alone."""

    def __init__(self, family, **settings):
        self.name, self.settings = family, settings


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # matrices this small only wait for each other
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def tiny_models(monkeypatch):
    def load_model(found, auto_class, settings):
        shape = {"vocab_size": 60, "max_position_embeddings": 64, "pad_token_id": 0, **FAMILIES[found.name]}
        config = AutoConfig.for_model(found.name, **{**shape, **found.settings}, **settings)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            model = AutoModelForSequenceClassification.from_config(config)
            for name, parameter in model.named_parameters():
                if name.endswith("bias"):  # fresh biases are zero, and nothing that multiplies zero can learn
                    torch.nn.init.normal_(parameter, std=0.02)
        fresh = [n for n, _ in model.named_parameters() if n.startswith(("classifier.", "score."))]
        for name in fresh:  # the head follows the seed, as it does in a real model
            torch.nn.init.normal_(model.get_parameter(name), std=0.05)
        return model, fresh

    monkeypatch.setattr("peft_lab.sources.models.load_model", load_model)


def built(method, family="bert", seed=0, **settings):
    task = Classification()
    context = Context(torch.device("cpu"), torch.Generator().manual_seed(seed), None, task, 16)
    return build(Found(family, **settings), [method], {"labels": ["a", "b", "c"]}, context, seed), context


def texts():
    draw = torch.Generator().manual_seed(2)
    ids = torch.randint(3, 60, (16, 9), generator=draw)
    mask = torch.ones_like(ids)
    mask[::2, 6:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.randint(0, 3, (16,), generator=draw)}


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(**{name: value for name, value in texts().items() if name != "labels"}).logits


def outcome(name, folder, family="bert"):
    """``trains`` or ``refused: why``; anything else raises. The table in the docs is made of it."""
    cls = METHODS[name]
    options = cls.Options(**NEEDED.get(name, {}))
    method = cls(options)
    try:
        one, context = built(method, family)
    except MethodRefused as refusal:
        assert "\n" not in str(refusal) and len(refusal.message) > 30
        return f"refused: {refusal}"
    proof = Proof(one)
    optimizer = torch.optim.AdamW(one.trainable().values(), lr=1e-2)
    one.model.train()
    for _ in range(5):
        context.loss(one.model, texts()).backward()
        if (penalty := method.penalty(one.model)) is not None:
            penalty.backward()
        proof.after_backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        proof.after_step()
        one.model.eval()
        with torch.inference_mode():  # as evaluation does: what a tuner keeps of it must not spoil the next step
            one.model(texts()["input_ids"])
        one.model.train()
    proof.finish()
    assert all(mark["ok"] for mark in proof.marks()), proof.marks()
    assert {n for n in one.trainable() if one.is_head(n)}, "the head in use is not found"
    assert len({n for n in one.trainable() if one.is_head(n)}) == len(one.head)
    assert len(one.trainable()) > len(one.head)
    for artifact in method.artifacts(one.model, context):
        names = {n for n, _ in one.model.named_modules()}
        assert artifact.kind == "effective-change"
        for array in artifact.arrays.values():
            assert array.axes == ("module",) and set(array.labels["module"]) <= names and (array.values > 0).all()
    save_weights(one, folder / "weights.safetensors")
    other, _ = built(cls(options), family, seed=77)
    load_weights(other, folder / "weights.safetensors")
    assert torch.equal(logits(one.model), logits(other.model))
    return "trains"


@pytest.mark.parametrize("name", METHODS)
def test_every_type_trains_bert_or_says_why_not(name, tmp_path):
    said = outcome(name, tmp_path)
    assert said.startswith("refused" if name in REFUSED_BY_BERT else "trains"), said


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize(
    "name",
    ["peft:adaption_prompt", "peft:shadow", "peft:prefix_tuning", "peft:cartridge", "peft:ia3", "peft:ln_tuning"],
)
def test_decoders(name, family, tmp_path):
    assert outcome(name, tmp_path, family) == "trains"


def test_prompts_on_decoders_read_the_end_of_each_text():
    """Given vectors for token ids, transformers alone would read padding in the shorter texts."""
    one, _ = built(METHODS["peft:prompt_tuning"](), "llama")
    one.model.eval()
    batch = {name: value for name, value in texts().items() if name != "labels"}
    with torch.no_grad():
        together = one.model(**batch).logits
        shorter = one.model(input_ids=batch["input_ids"][:1, :6], attention_mask=batch["attention_mask"][:1, :6])
    torch.testing.assert_close(together[:1], shorter.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["distilbert", "modernbert"])
@pytest.mark.parametrize("name", ["peft:ia3", "peft:vera", "peft:ln_tuning", "peft:prompt_tuning"])
def test_families_that_peft_knows_no_targets_for(name, family, tmp_path):
    assert outcome(name, tmp_path, family) == "trains"


def test_prefixes_are_refused_where_no_model_takes_them(tmp_path):
    assert "modernbert takes none" in outcome("peft:prefix_tuning", tmp_path, "modernbert")


TARGETS = {
    "bert": {"query", "value"},
    "roberta": {"query", "value"},
    "distilbert": {"q_lin", "v_lin"},
    "modernbert": {"Wqkv"},
    "deberta-v2": {"query_proj", "value_proj"},
    "llama": {"q_proj", "v_proj"},
    "gpt2": {"c_attn"},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", [Lora, METHODS["peft:lora"]], ids=["lora", "peft:lora"])
def test_default_targets(method, family):
    one, _ = built(method(), family)
    adapted = {n.partition(".lora_A")[0].rpartition(".")[2] for n in one.trainable() if ".lora_A." in n}
    assert adapted == TARGETS[family]


def test_kinds_of_targets():
    def parts(*targets, **options):
        one, _ = built(Lora(Lora.Options(targets=targets, **options)))
        return sorted(
            {n.partition(".lora_A")[0].split("layer.0.")[1] for n in one.trainable() if "0" in n and "lora_A" in n}
        )

    attention = ["attention.output.dense", "attention.self.key", "attention.self.query", "attention.self.value"]
    assert parts("attention") == attention
    assert parts("all-linear", dora=True) == sorted([*attention, "intermediate.dense", "output.dense"])
    assert parts("intermediate.dense", "query-value", rslora=True) == sorted(
        ["attention.self.query", "attention.self.value", "intermediate.dense"]
    )


def test_a_target_that_matches_nothing_is_named_although_others_match():
    with pytest.raises(MethodRefused, match=r"'valeu'.*attention\.self\.value"):
        built(Lora(Lora.Options(targets=("query", "valeu"))))
    vera = METHODS["peft:vera"]
    with pytest.raises(MethodRefused, match="'valeu'"):
        built(vera(vera.Options(target_modules=["query", "valeu"])))
    with pytest.raises(MethodRefused, match=r"'\.\*valeu'"):
        built(vera(vera.Options(target_modules=".*valeu")))
    with pytest.raises(MethodRefused, match="'classifier'"):  # the head is the core's
        built(vera(vera.Options(target_modules=["classifier"])))


def test_targets_by_pattern_and_layer():
    lora = METHODS["peft:lora"]
    one, _ = built(lora(lora.Options(target_modules=r".*\.(query|key)", layers_to_transform=[1], r=2)))
    adapted = sorted({n.partition(".lora_A")[0] for n in one.trainable() if ".lora_A." in n})
    assert adapted == [f"bert.encoder.layer.1.attention.self.{part}" for part in ("key", "query")]


def test_two_tuners_share_a_model_but_not_a_layer():
    ia3, context = METHODS["peft:ia3"], Context(torch.device("cpu"), torch.Generator(), None, Classification(), 16)
    pair = [Lora(), ia3(ia3.Options(target_modules=["key"], feedforward_modules=[]))]
    both = build(Found("bert"), pair, {"labels": ["a", "b"]}, context, 0)
    trained = " ".join(both.trainable())
    assert "query.lora_A." in trained and "key.ia3_l" in trained
    with pytest.raises(MethodRefused, match="adapted by another method"):
        build(Found("bert"), [Lora(), ia3()], {"labels": ["a", "b"]}, context, 0)


def test_virtual_tokens_take_positions():
    method = METHODS["peft:prefix_tuning"](METHODS["peft:prefix_tuning"].Options(num_virtual_tokens=10))
    one, _ = built(method, max_position_embeddings=32)
    room = 32 - method.positions(one.model.config)
    one.model(input_ids=torch.ones(1, room, dtype=torch.long))
    with pytest.raises((RuntimeError, IndexError)):  # the core cuts texts to fit before it comes to this
        one.model(input_ids=torch.ones(1, room + 1, dtype=torch.long))


def test_tokens_must_be_named():
    with pytest.raises(MethodRefused, match="token_indices"):
        built(METHODS["peft:trainable_tokens"]())
    method = METHODS["peft:trainable_tokens"]
    with pytest.raises(MethodRefused, match="token 60 is outside"):
        built(method(method.Options(token_indices=[60])))


def test_options_are_pefts_own():
    fields = METHODS["peft:vera"].Options.model_fields
    assert (
        fields["r"].default == 256
        and fields["vera_dropout"].annotation is float
        and fields["r"].description == "Vera attention dimension"
    )
    assert not {"peft_type", "modules_to_save", "inference_mode", "fan_in_fan_out", "save_projection"} & set(fields)
    assert "total_step" not in METHODS["peft:adalora"].Options.model_fields
    assert METHODS["peft:lora"].Options.model_fields["use_dora"].annotation is bool
    with pytest.raises(ValueError, match="extra"):
        METHODS["peft:vera"].Options(rank=8)


@pytest.mark.parametrize("name", METHODS)
def test_options_survive_json(name):
    options = METHODS[name].Options
    made = options(**NEEDED.get(name, {}))
    assert options.model_validate_json(made.model_dump_json()) == made
    assert options.model_json_schema()


def test_every_type_is_offered_without_importing_peft():
    offered = [n for n in Host(entry_points=False).offers("methods") if n.startswith("peft:")]
    assert offered == [f"peft:{peft_type.lower()}" for peft_type in peft_types()] and len(offered) >= 40
    code = (
        "import sys; from peft_lab.host import Host; h = Host(entry_points=False); o = h.offers('methods');"
        "assert 'peft:vera' in o and o['peft:vera'].summary; h.plugins();"
        "heavy = {'torch', 'peft', 'transformers'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
