"""Families of base models: the head, padding, segments and length limits of each; which method trains which."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from peft_lab.errors import MethodRefused
from peft_lab.host import Host
from peft_lab.sources.families import position_limit
from peft_lab.sources.models import empty_model, find_model, load_model, load_tokenizer
from peft_lab.testing import FAMILIES, check_families, check_method, tiny_lab, tiny_model
from peft_lab.testing.contract import ANSWERS_ONLY
from peft_lab.training.anatomy import head_names, head_of, places
from peft_lab.training.lengths import longest_text

HEAD = "AutoModelForSequenceClassification"
LABELS = ["calm", "rough", "unknown"]
SETTINGS = {"num_labels": 3, "id2label": dict(enumerate(LABELS)), "label2id": {n: i for i, n in enumerate(LABELS)}}
HOST = Host(entry_points=False)
METHODS = {name: offer.item for name, offer in HOST.offers("methods").items() if name not in ANSWERS_ONLY}
# Hidden size 32 and three labels: a matrix within the head has 1,024 entries, the last one 96.
SQUARE, LAST = 32 * 32 + 32, 3 * 32 + 3
HEADS = {
    "bert": {"pooler.dense": SQUARE, "classifier": LAST},
    "roberta": {"classifier.dense": SQUARE, "classifier.out_proj": LAST},
    "distilbert": {"pre_classifier": SQUARE, "classifier": LAST},
    "electra": {"classifier.dense": SQUARE, "classifier.out_proj": LAST},
    "deberta-v2": {"pooler.dense": SQUARE, "classifier": LAST},
    "modernbert": {"head.dense": SQUARE - 32, "head.norm": 32, "classifier": LAST},
    "albert": {"pooler": SQUARE, "classifier": LAST},
    "llama": {"score": LAST - 3},
    "qwen2": {"score": LAST - 3},
    "qwen3": {"score": LAST - 3},
    "gpt2": {"score": LAST - 3},
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models, made when a family is first asked for, for all tests."""
    return tmp_path_factory.mktemp("families")


def found_model(folder: Path, family: str) -> Any:
    if not (folder / family).is_dir():
        tiny_model(folder / family, family)
    return find_model(str(folder / family), HOST)


@pytest.fixture(scope="module")
def matrix() -> ModuleType:
    file = Path(__file__).parents[1] / "docs" / "matrix.py"
    spec = importlib.util.spec_from_file_location("matrix", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- the head --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_of_a_family(family: str, folder: Path) -> None:
    found = found_model(folder, family)
    assert head_of(empty_model(found, HEAD, SETTINGS)) == HEADS[family]
    model, fresh = load_model(found, HEAD, SETTINGS)
    assert head_of(model) == HEADS[family]
    inside = f"{model.base_model_prefix}."
    assert set(fresh) == {name for name in head_names(model) if not name.startswith(inside)}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_map_shows_layers_and_the_head(family: str, folder: Path) -> None:
    model, _ = load_model(found_model(folder, family), HEAD, SETTINGS)
    where = places(model, head_names(model))
    layers = {place.layer for place in where.values()}
    assert {"head", "embeddings", "0"} <= layers <= {"head", "embeddings", "other", "0", "1"}
    kinds = {place.kind for place in where.values() if place.layer == "head"}
    assert len(kinds) == len(HEADS[family])
    if family == "albert":
        assert {place.kind for place in where.values() if place.layer == "0"} >= {
            "attention query",
            "ffn",
            "ffn output",
        }


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_and_pad_token_are_in_the_config(family: str, folder: Path, tmp_path: Path) -> None:
    found = found_model(folder, family)
    model, _ = load_model(found, HEAD, SETTINGS)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["id2label"] == {str(number): name for number, name in enumerate(LABELS)}
    assert config["label2id"] == SETTINGS["label2id"]
    assert config["pad_token_id"] == load_tokenizer(found).pad_token_id == found.pad_token_id == 0
    assert found.notes == []


def test_config_and_tokenizer_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoConfig

    found = found_model(folder, "bert")
    read: list[str] = []
    for cls in (AutoConfig, AutoTokenizer):
        real = cls.from_pretrained
        monkeypatch.setattr(
            cls, "from_pretrained", lambda *a, real=real, cls=cls, **k: read.append(cls.__name__) or real(*a, **k)
        )
    position_limit(found)
    load_tokenizer(found)
    load_model(found, HEAD, SETTINGS)
    assert sorted(read) == ["AutoConfig", "AutoTokenizer"]
    assert getattr(found.config, "id2label", {}).get(0) != LABELS[0]  # the shared config is as it was read


# --- padding and segments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_padded_batch_gives_what_its_texts_give_alone(family: str, side: str, tmp_path: Path) -> None:
    """Whatever the files say of padding and segments: they are often wrong for their model."""
    tiny_model(tmp_path, family)
    names = ["input_ids", "token_type_ids", "attention_mask"]
    AutoTokenizer.from_pretrained(tmp_path, padding_side=side, model_input_names=names).save_pretrained(tmp_path)
    kept = AutoTokenizer.from_pretrained(tmp_path)
    assert kept.padding_side == side and "token_type_ids" in kept("red", "blue")
    found = find_model(str(tmp_path), HOST)
    tokenizer = load_tokenizer(found)
    model, _ = load_model(found, HEAD, SETTINGS)
    pairs = [("red ship", "the crane is on the dock and"), ("a", "gull"), ("wind wave wave salt", "tide")]
    model.eval()
    with torch.inference_mode():
        together = model(**tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="pt")).logits
        for (one, two), logits in zip(pairs, together, strict=True):
            alone = model(**tokenizer(one, two, return_tensors="pt")).logits[0]
            torch.testing.assert_close(logits, alone, atol=1e-4, rtol=0)
    segments = "token_type_ids" in tokenizer("red", "blue")
    assert segments == (family in {"bert", "electra", "albert"})


def test_padding_is_no_part_of_what_gpt2_reads(folder: Path) -> None:
    """GPT-2 adds segment embeddings from its word table, so segments of zeros change every output."""
    found = found_model(folder, "gpt2")
    model, _ = load_model(found, HEAD, SETTINGS)
    batch = load_tokenizer(found)("red ship", return_tensors="pt")
    zeros = torch.zeros_like(batch["input_ids"])
    assert not torch.allclose(model(**batch).logits, model(**batch, token_type_ids=zeros).logits)


# --- lengths ---------------------------------------------------------------------------------------------------------


class Reminder(METHODS["head"]):  # type: ignore[misc]
    """Takes positions, as virtual tokens do."""

    name = "reminder"
    taken = 20

    def positions(self, config: Any) -> int:
        return self.taken


@pytest.mark.parametrize(("family", "room"), [("bert", 64), ("roberta", 63), ("gpt2", 64), ("llama", 64)])
def test_the_limit_is_what_the_model_has_positions_for(family: str, room: int, folder: Path) -> None:
    """RoBERTa counts from behind its padding index; texts of exactly that length pass through."""
    found = found_model(folder, family)
    assert position_limit(found) == room
    assert longest_text(found, 32, []) == 32
    notes: list[str] = []
    assert longest_text(found, 512, [], notes.append) == room
    assert longest_text(found, 512, [Reminder()], notes.append) == room - 20
    assert longest_text(found, 40, [Reminder()], notes.append) == 40
    assert [note.partition(":")[0] for note in notes] == [
        f"max_length 512 was lowered to {room}",
        f"max_length 512 was lowered to {room - 20}",
    ]
    assert notes[1].endswith("reminder takes 20")
    model, _ = load_model(found, HEAD, SETTINGS)
    model(input_ids=torch.full((2, room), 5))


def test_no_room_for_a_text_is_an_error_that_says_what_fits(folder: Path) -> None:
    found = found_model(folder, "roberta")
    greedy = Reminder()
    greedy.taken = 61
    with pytest.raises(MethodRefused, match=r"reminder takes 61 of the 63 positions.*at most 59"):
        longest_text(found, 16, [greedy])
    greedy.taken = 59
    assert longest_text(found, 16, [greedy]) == 4


TAKERS = [
    ("peft:prefix_tuning", "bert"),
    ("peft:prefix_tuning", "roberta"),
    ("peft:prompt_tuning", "albert"),
    ("peft:p_tuning", "gpt2"),
]


@pytest.mark.parametrize(("method", "family"), TAKERS)
def test_virtual_tokens_shorten_the_texts_before_training(method: str, family: str, tmp_path: Path) -> None:
    """A model of 27 positions with 20 virtual tokens has room for 7 tokens, and the texts have up to 12."""
    lab = tiny_lab(tmp_path, family=family, max_position_embeddings=27)
    room = 6 if family == "roberta" else 7
    run = lab.train(method, max_steps=3, batch_size=8, device="cpu", precision="fp32", num_virtual_tokens=20)
    assert run.status == "finished"
    assert any(f"lowered to {room}" in note and f"{method} takes 20" in note for note in run.record["notes"])
    assert lab.predict(run.id, "the red ship is on the dock a a a a a a a a a a")
    with pytest.raises(MethodRefused, match=f"at most {room + 20 - 4}"):
        lab.train(method, max_steps=3, device="cpu", num_virtual_tokens=25)


# --- methods and families --------------------------------------------------------------------------------------------


# The families that differ most: layers that share weights, one matrix for query, key and value, keys shared by heads,
# Conv1D for Linear. PEFT's own types are tried on these here, and on BERT in test_hf_peft.py; docs/matrix.py tries all.
DIFFERENT = ("albert", "modernbert", "llama", "gpt2")


@pytest.mark.parametrize("name", METHODS)
def test_the_matrix_in_the_docs_is_what_is_found(name: str, folder: Path, matrix: ModuleType) -> None:
    families = DIFFERENT if name.startswith("peft:") else FAMILIES
    written = matrix.read(matrix.PAGE.read_text(encoding="utf-8"))[name]
    assert set(written) == set(FAMILIES)
    assert matrix.tried(name, folder, families) == {family: written[family] for family in families}


def test_the_matrix_can_be_read_back(matrix: ModuleType) -> None:
    found = {"full": dict.fromkeys(matrix.SHOWN, "trains"), "odd": dict.fromkeys(matrix.SHOWN, "trains")}
    found["odd"] |= {"bert": "needs wind", "gpt2": "needs a, b | c"}
    page = f"before\n<!-- matrix -->\n{matrix.table(found)}<!-- end -->\nafter\n"
    assert matrix.read(page) == found
    assert tuple(matrix.SHOWN) == FAMILIES


@pytest.mark.parametrize("family", DIFFERENT)
def test_lora_keeps_the_whole_contract(family: str, tmp_path: Path) -> None:
    check_method(METHODS["lora"], tmp_path, family=family)


def test_what_does_not_train_is_found_out(folder: Path) -> None:
    """The check itself: a method whose tensors get no gradient, one that forgets half the head, one that drifts."""

    class Dead(METHODS["head"]):  # type: ignore[misc]
        name = "dead"

        def attach(self, model: Any, context: Any) -> None:
            model.unused = torch.nn.Linear(2, 2)

    class Positional(METHODS["head"]):  # type: ignore[misc]
        name = "positional"

        def attach(self, model: Any, context: Any) -> None:
            model.register_forward_pre_hook(self.lose_mask, with_kwargs=True)
            model.get_input_embeddings().weight.requires_grad_(True)

        @staticmethod
        def lose_mask(model: Any, args: Any, kwargs: dict[str, Any]) -> Any:
            return args, {**kwargs, "attention_mask": None}

    from peft_lab.errors import NothingLearned

    with pytest.raises((AssertionError, NothingLearned), match="learn"):
        check_families(Dead, folder, families=["bert"])
    with pytest.raises(AssertionError, match="alone and in a batch"):
        check_families(Positional, folder, families=["bert"])
