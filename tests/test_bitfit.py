"""BitFit trains exactly the biases its paper trains: golds of published counts."""

from types import SimpleNamespace

import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    Qwen2Config,
    RobertaConfig,
)

from peft_lab.errors import MethodRefused
from peft_lab.methods.bitfit import BitFit, BitFitOptions
from peft_lab.training.anatomy import head_names
from peft_lab.training.masks import freeze

BERT_TINY = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}
BERT_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}


def attached(config, *biases):
    """A model on no device at all: counting needs no memory."""
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
    freeze(model)
    BitFit(BitFitOptions(biases=biases or ("all",))).attach(model, beside_the_head(model))
    return model


def beside_the_head(model):
    """What a method is told where the core trains only what sits on the base model, as in the paper."""
    return SimpleNamespace(head=frozenset(top(model)))


def top(model):
    return {n for n in head_names(model) if not n.startswith(f"{model.base_model_prefix}.")}


def counts(model):
    """Biases outside the classifier, and all that trains once the core has added the classifier."""
    head = top(model)
    trains = {n: p.numel() for n, p in model.named_parameters() if p.requires_grad or n in head}
    return sum(v for n, v in trains.items() if n not in head), sum(trains.values())


@pytest.mark.parametrize(
    ("config", "biases", "trainable"),
    [
        (BertConfig(), 102_912, 104_450),
        (BertConfig(vocab_size=28996, **BERT_LARGE), 272_384, 274_434),
        (RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1), 102_144 - 768, 694_274),
        (BertConfig(**BERT_TINY), 3_330 - 258, 3_330),
    ],
    ids=["bert-base", "bert-large", "roberta-base", "bert-tiny"],
)
def test_published_counts(config, biases, trainable):
    """RoBERTa's published 102,144 counts the bias of classifier.dense, which here belongs to the classifier."""
    found, total = counts(attached(config))
    assert total == trainable
    assert found in (biases, biases + 768)


def test_query_and_intermediate_as_the_paper_recommends():
    assert counts(attached(BertConfig(), "query", "intermediate"))[1] == 48_386


def test_chosen_by_module_not_by_a_part_of_the_name():
    config = BertConfig(**BERT_TINY)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
        model.bert.bias_free_gate = torch.nn.Linear(4, 4, bias=False)
    freeze(model)
    BitFit().attach(model, beside_the_head(model))
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert trained and all(n.endswith(".bias") for n in trained)


def test_distilbert_has_other_names():
    trained = {n for n, p in attached(DistilBertConfig(), "query").named_parameters() if p.requires_grad}
    assert trained == {f"distilbert.transformer.layer.{i}.attention.q_lin.bias" for i in range(6)}


def test_a_model_without_biases_is_refused():
    config = LlamaConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, vocab_size=50, pad_token_id=0
    )
    with pytest.raises(MethodRefused, match="this model has none"):
        attached(config)


def test_a_kind_that_the_model_lacks_is_refused():
    with pytest.raises(MethodRefused, match="no module of this model is a query"):
        attached(GPT2Config(n_layer=1, n_embd=32, n_head=2, pad_token_id=0), "query")


@pytest.mark.parametrize(
    ("config", "kind", "ends"),
    [
        (DebertaV2Config(num_hidden_layers=1, vocab_size=50), "value", ["attention.self.value_proj"]),
        (AlbertConfig(num_hidden_layers=1, vocab_size=50), "query", ["attention.query"]),
        (AlbertConfig(num_hidden_layers=1, vocab_size=50), "output", ["attention.dense", "ffn_output"]),
        (Qwen2Config(num_hidden_layers=1, vocab_size=50), "key", ["self_attn.k_proj"]),
        (GPT2Config(n_layer=1, vocab_size=50), "intermediate", ["mlp.c_fc"]),
        (GPT2Config(n_layer=1, vocab_size=50), "norm", ["ln_1", "ln_2"]),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_kinds_by_family(config, kind, ends):
    trained = [n.removesuffix(".bias") for n, p in attached(config, kind).named_parameters() if p.requires_grad]
    trained = [n for n in trained if n != "albert.pooler"]
    assert [n.split(".0.")[-1] for n in trained] == ends


def test_biases_of_the_head_are_not_enough():
    with pytest.raises(MethodRefused, match="none outside its head"):
        attached(ModernBertConfig(num_hidden_layers=1, vocab_size=50, pad_token_id=0))
