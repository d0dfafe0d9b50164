"""The task ``causal``: which tokens are learned, how their losses are computed, and what a run of it leaves."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch

from peft_lab.conversation import Conversation, Message
from peft_lab.errors import DataProblem, MethodRefused, ModelProblem
from peft_lab.host import Host
from peft_lab.recipe import Training
from peft_lab.sources.models import load_model, load_tokenizer
from peft_lab.tasks._next_token import next_token_losses
from peft_lab.tasks.causal import Causal
from peft_lab.testing import check_families, check_method, tiny_causal_lab
from peft_lab.testing.tiny import CHAT, tiny_calls, tiny_causal_model, tiny_model
from peft_lab.training.batches import Batcher
from peft_lab.training.build import build, build_base
from peft_lab.training.context import Context
from peft_lab.training.conversing import encode_conversations, encode_text
from peft_lab.training.hardware import open_accelerator
from peft_lab.training.loop import backward
from peft_lab.training.rendering import Template
from peft_lab.training.restore import restore

FEW = {"max_steps": 4, "batch_size": 8, "device": "cpu", "precision": "fp32", "write_answers": 4}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("causal")


@pytest.fixture(scope="module")
def model_folder(folder):
    return tiny_causal_model(folder / "llama", initializer_range=0.3)


@pytest.fixture(scope="module")
def tokenizer(model_folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_folder)


@pytest.fixture(scope="module")
def model(model_folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_folder).eval()


def table(rows):
    return datasets.Dataset.from_list(rows)


def answers_of(encoded, tokenizer):
    return [tokenizer.decode(ids) for ids in encoded.labels]


def prompts_of(encoded, tokenizer):
    return [
        tokenizer.decode(np.asarray(encoded.columns["input_ids"][i])[: encoded.borders[i]]) for i in range(len(encoded))
    ]


def losses_of(model, batch):
    with torch.no_grad():
        return next_token_losses(model, batch["input_ids"], batch["attention_mask"], batch["labels"])


# --- losses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_loss_at_k_is_of_token_k(folder, family, side):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = folder / family
    if not path.is_dir():
        tiny_causal_model(path, family, initializer_range=0.3)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)
    tokenizer.padding_side = side
    encoded = encode_conversations(table(tiny_calls(6)), tokenizer, 512)
    batch = Batcher(tokenizer, CPU).batch(encoded, np.arange(6))
    found = losses_of(model, batch)
    assert found.dtype == torch.float32
    assert (found[batch["labels"] == -100] == 0).all()
    for row in range(6):
        ids = torch.tensor(np.asarray(encoded.columns["input_ids"][row]), dtype=torch.long)
        shares = model(ids[None]).logits[0].detach().log_softmax(-1)
        shift = batch["input_ids"].shape[1] - len(ids) if side == "left" else 0
        for k in range(int(encoded.borders[row]), len(ids)):
            loss, first = found[row, shift + k]
            assert math.isclose(loss, -shares[k - 1, ids[k]], rel_tol=1e-5, abs_tol=1e-5)
            assert bool(first) == bool(shares[k - 1].argmax() == ids[k])


def test_gradients_are_those_of_cross_entropy(model, tokenizer):
    encoded = encode_conversations(table(tiny_calls(3)), tokenizer, 512)
    batch = Batcher(tokenizer, CPU).batch(encoded, np.arange(3))
    states = model.get_input_embeddings()(batch["input_ids"]).detach()

    def gradient(loss_of):
        given = states.clone().requires_grad_(True)
        hook = model.get_input_embeddings().register_forward_hook(lambda *_: given)
        try:
            (found,) = torch.autograd.grad(loss_of(), given)
        finally:
            hook.remove()
        return found

    def ours():
        outputs = next_token_losses(model, batch["input_ids"], batch["attention_mask"], batch["labels"])
        return outputs[..., 0].sum()

    def plain():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
        return torch.nn.functional.cross_entropy(logits.transpose(1, 2), batch["labels"][:, 1:], reduction="sum")

    assert torch.allclose(gradient(ours), gradient(plain), atol=1e-5)


def test_logits_are_made_at_supervised_places_only(model, tokenizer):
    encoded = encode_conversations(table(tiny_calls(4)), tokenizer, 512)
    batch = Batcher(tokenizer, CPU).batch(encoded, np.arange(4))
    seen = []
    handle = model.lm_head.register_forward_hook(lambda module, args, out: seen.append(out.shape[:-1].numel()))
    losses_of(model, batch)
    handle.remove()
    assert seen == [int((batch["labels"] != -100).sum())]


def test_a_row_alone_is_as_in_a_batch(model, tokenizer):
    encoded = encode_conversations(table(tiny_calls(5)), tokenizer, 512)
    batcher = Batcher(tokenizer, CPU)
    together = losses_of(model, batcher.batch(encoded, np.arange(5)))
    for row in range(5):
        alone = losses_of(model, batcher.batch(encoded, np.array([row])))
        assert torch.allclose(together[row, : alone.shape[1]], alone[0], atol=1e-5)


def test_metrics_are_over_tokens_and_whole_answers():
    rows = [np.array([[0.5, 1.0], [1.5, 1.0]]), np.array([[1.0, 1.0], [3.0, 0.0], [0.0, 1.0]])]
    scores = Causal().metrics(rows, [], {})
    assert scores == {"token_accuracy": 0.8, "exact_match": 0.5, "perplexity": pytest.approx(math.exp(1.2))}


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_the_answer_ends_with_its_turn_and_nothing_else_is_supervised(tokenizer):
    (row,) = tiny_calls(1)
    encoded = encode_conversations(table([row]), tokenizer, 512)
    assert answers_of(encoded, tokenizer) == [row["label"] + "<|end|>"]
    (prompt,) = prompts_of(encoded, tokenizer)
    assert prompt.endswith(f"<|user|>{row['text']}<|end|>\n<|assistant|>")
    batch = Batcher(tokenizer, CPU).batch(encoded, np.array([0]))
    supervised = batch["labels"][0] != -100
    assert (batch["labels"][0][supervised] == batch["input_ids"][0][supervised]).all()
    assert supervised.tolist() == [False] * encoded.borders[0] + [True] * len(encoded.labels[0])


def test_a_prompt_loses_its_beginning_and_an_answer_only_its_end(tokenizer):
    rows = tiny_calls(3)
    whole = encode_conversations(table(rows), tokenizer, 512)
    limit = int(whole.lengths.min()) - 5
    cut = encode_conversations(table(rows), tokenizer, limit)
    assert cut.cut == 3 and answers_of(cut, tokenizer) == answers_of(whole, tokenizer)
    assert (cut.lengths == limit).all()
    for one, other in zip(prompts_of(cut, tokenizer), prompts_of(whole, tokenizer), strict=True):
        assert other.endswith(one) and one != other
    assert "lost the beginning" in " ".join(cut.notes("train", limit))
    short = encode_conversations(table(rows), tokenizer, 8)
    assert short.shortened == 3 and (short.borders == 1).all()
    for one, other in zip(answers_of(short, tokenizer), answers_of(whole, tokenizer), strict=True):
        assert other.startswith(one)
    assert "3 of 3 train answers are longer than 8 tokens and lost the end" in short.notes("train", 8)


def test_rows_without_an_answer_are_left_out_and_counted(tokenizer):
    rows = tiny_calls(4)
    rows[1]["label"] = "  "
    encoded = encode_conversations(table(rows), tokenizer, 512)
    assert encoded.without == 1 and encoded.numbers.tolist() == [0, 2, 3]
    assert "1 train row has no answer" in " ".join(encoded.notes("train", 512))
    assert Batcher(tokenizer, CPU).batch(encoded, np.array([1, 2]))["row"].tolist() == [2, 3]
    with pytest.raises(DataProblem, match="no row has an answer"):
        encode_conversations(table([{**row, "label": ""} for row in rows]), tokenizer, 512)


def test_earlier_turns_and_tool_messages_are_prompt(tokenizer):
    said = (
        Message("system", "Be short."),
        Message("user", "And Lima?"),
        Message("assistant", "Warm."),
        Message("tool", '{"degrees": 21}'),
    )
    text, context = Conversation(said).columns()
    encoded = encode_conversations(table([{"text": text, "text_pair": context, "label": "21."}]), tokenizer, 512)
    assert answers_of(encoded, tokenizer) == ["21.<|end|>"]
    assert prompts_of(encoded, tokenizer) == [
        '<|system|>Be short.<|end|>\n<|user|>And Lima?<|end|>\n<|assistant|>Warm.<|end|>\n<|tool|>{"degrees": 21}'
        "<|end|>\n<|assistant|>"
    ]


def with_template(tokenizer, template):
    from copy import deepcopy

    other = deepcopy(tokenizer)
    other.chat_template = template
    return other


def test_tools_that_a_template_leaves_out_stand_in_the_system_message(tokenizer):
    deaf = with_template(tokenizer, CHAT.split("{%- endif %}", 1)[1])
    conversation = Conversation((Message("user", "Kyoto?"),), ({"name": "get_weather"},))
    template = Template(deaf)
    prompt = template.prompt(conversation)
    assert prompt.startswith("<|system|>You can call these tools") and '{"name": "get_weather"}' in prompt
    assert any("leaves tools out" in note for note in template.notes)
    with_system = Conversation((Message("system", "Be short."), *conversation.messages), conversation.tools)
    assert Template(deaf).prompt(with_system).startswith("<|system|>Be short.\n\nYou can call these tools")
    told = Template(tokenizer)
    assert "get_weather" in told.prompt(conversation) and not told.notes


def test_a_template_without_system_or_tool_messages(tokenizer):
    strict = (
        "{%- for m in messages %}{%- if m['role'] not in ('user', 'assistant') %}"
        "{{ raise_exception('no ' + m['role']) }}{%- endif %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}"
        "{%- endfor %}{%- if add_generation_prompt %}{{ '<|assistant|>' }}{%- endif %}"
    )
    template = Template(with_template(tokenizer, strict))
    said = (Message("system", "Be short."), Message("user", "Lima?"), Message("assistant", "?"), Message("tool", "21"))
    assert template.prompt(Conversation(said)) == (
        "<|user|>Be short.\n\nLima?<|end|><|assistant|>?<|end|><|user|>21<|end|><|assistant|>"
    )
    assert len(template.notes) == 2


def test_what_a_template_writes_around_an_answer_is_learned(tokenizer):
    thinking = CHAT.replace(
        "'<|' + message['role'] + '|>' + message['content']",
        "'<|' + message['role'] + '|>' + ('<think></think>' if message['role'] == 'assistant' else '')"
        " + message['content'] | trim",
    )
    template = Template(with_template(tokenizer, thinking))
    conversation = Conversation((Message("user", "Lima?"),))
    assert template.answer(conversation, " Warm. ") == "<think></think>Warm.<|end|>"


def test_without_a_template_a_plain_one_is_used(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_causal_model(folder / "plain", template=None))
    encoded = encode_conversations(table(tiny_calls(1)), tokenizer, 512)
    (prompt,) = prompts_of(encoded, tokenizer)
    assert prompt.startswith("System: You can call these tools") and prompt.endswith("\n\nAssistant:")
    assert "\n\nUser: What is the weather in" in prompt
    assert answers_of(encoded, tokenizer)[0].startswith(' {"name"')
    assert answers_of(encoded, tokenizer)[0].endswith("}<|end|>")
    assert any("no chat template" in note for note in encoded.notes("train", 512))


def test_damaged_contexts_are_named_by_their_row(tokenizer):
    rows = tiny_calls(3)
    rows[2]["text_pair"] = '{"before": 7}'
    with pytest.raises(DataProblem, match="row 3 has no context"):
        encode_conversations(table(rows), tokenizer, 512)


def test_text_is_foreseen_whole(model, tokenizer):
    encoded = encode_text("The tide is high and the wind is cold. " * 8, tokenizer, 32)
    assert (encoded.borders == 1).all() and encoded.lengths.max() == 32
    assert sum(map(len, encoded.labels)) == int(encoded.lengths.sum()) - len(encoded)


# --- runs ------------------------------------------------------------------------------------------------------------


def test_settings_that_the_task_needs(tmp_path):
    lab = tiny_causal_lab(tmp_path)
    usual = lab.recipe("lora").training
    assert (usual.batch_size, usual.max_length, usual.eval_batch_size) == (8, 512, 8)
    labelled = lab.recipe("lora", data="helpdesk").training
    assert usual.learning_rate == pytest.approx(Causal.rate * labelled.learning_rate)
    assert (labelled.batch_size, labelled.max_length) == (32, 128)
    assert lab.recipe("lora", data="tiny", learning_rate=0.5, batch_size=3).training.learning_rate == 0.5
    file = tmp_path / "chats.jsonl"
    chat = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
    file.write_text("".join(json.dumps(chat) + "\n" for _ in range(8)))
    assert lab.recipe("lora", data=str(file)).training.max_length == 512


def test_gathered_batches_are_one_large_batch(folder, model_folder):
    host = Host(entry_points=False)
    found = host_model(host, model_folder)
    tokenizer = load_tokenizer(found)
    task = Causal()
    rows = [{**row, "label": row["label"][: 9 * (number + 1)]} for number, row in enumerate(tiny_calls(6))]
    encoded = encode_conversations(table(rows), tokenizer, 512)
    assert len(set(map(len, encoded.labels))) > 3  # answers of unequal length
    batcher = Batcher(tokenizer, CPU)

    def gradients(groups):
        context = Context(CPU, torch.Generator(), tokenizer, task, 8)
        built = build(found, [host.find("methods", "full")()], {}, context, 0)
        accelerator = open_accelerator(Training(device="cpu", precision="fp32"))
        job = SimpleNamespace(built=built, task=task, accelerator=accelerator)
        loss = backward(job, [batcher.batch(encoded, np.array(group)) for group in groups])
        return loss, [p.grad for p in built.moving()]

    whole, expected = gradients([[0, 1, 2, 3, 4, 5]])
    parts, found_ones = gradients([[0], [1, 2], [3, 4, 5]])
    assert parts == pytest.approx(whole, rel=1e-5)
    for one, other in zip(found_ones, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def host_model(host, folder):
    from peft_lab.sources.models import find_model

    return find_model(str(folder), host)


def test_the_output_table_is_no_head(folder):
    host = Host(entry_points=False)
    for tied in (True, False):
        path = folder / f"tied-{tied}"
        if not path.is_dir():
            tiny_causal_model(path, tie_word_embeddings=tied)
        found = host_model(host, path)
        context = Context(CPU, torch.Generator(), load_tokenizer(found), Causal(), 8)
        built = build(found, [host.find("methods", "lora")()], {}, context, 0)
        assert not built.head and all("lora_" in name for name in built.trainable())
        with pytest.raises(MethodRefused, match="has none"):
            build(found, [host.find("methods", "head")()], {}, context, 0)


def test_models_that_cannot_write_are_refused(folder, tmp_path):
    host = Host(entry_points=False)
    headless = host_model(host, tiny_model(tmp_path / "headless", "llama"))
    context = Context(CPU, torch.Generator(), load_tokenizer(headless), Causal(), 8)
    with pytest.raises(ModelProblem, match="cannot write: its files have no lm_head"):
        build(headless, [], {}, context, 0)
    from transformers import AutoConfig, AutoModelForMaskedLM

    bert = tiny_model(tmp_path / "bert")
    config = AutoConfig.from_pretrained(bert)
    AutoModelForMaskedLM.from_config(config).save_pretrained(bert)
    reader = host_model(host, bert)
    context = Context(CPU, torch.Generator(), load_tokenizer(reader), Causal(), 8)
    with pytest.raises(ModelProblem, match="reads whole texts|cannot write"):
        build(reader, [], {}, context, 0)


@pytest.mark.parametrize("name", ["lora", "apt", "adapter"])
def test_methods_keep_the_contract_where_models_write(name, tmp_path):
    method = Host(entry_points=False).find("methods", name)
    check_method(method, tmp_path, {"max_steps": 6, "write_answers": 0}, task="causal")


@pytest.mark.parametrize(
    ("name", "options", "family"),
    [
        ("full", {}, "llama"),
        ("prefix", {}, "gpt2"),
        ("bitfit", {}, "gpt2"),
        ("sparse", {"by": "fisher", "texts": 8}, "llama"),
        ("layers", {}, "qwen2"),
        ("peft:prompt_tuning", {}, "llama"),
        ("peft:trainable_tokens", {"token_indices": [70, 71]}, "llama"),
        ("peft:ia3", {}, "qwen3"),
    ],
)
def test_methods_train_language_models(name, options, family, folder):
    method = Host(entry_points=False).find("methods", name)
    assert check_families(method, folder / "families", options, [family], task="causal") == {family: "trains"}


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("bitfit", {}, "has none"),
        ("sparse", {}, "no labels"),
        ("tokenization", {}, "no labels"),
        ("apt", {"gate_from": "last"}, "see answers before they are written"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(name, options, why, folder):
    method = Host(entry_points=False).find("methods", name)
    found = check_families(method, folder / "families", options, ["llama"], task="causal")
    assert why in found["llama"]


@pytest.fixture(scope="module")
def lab(folder):
    return tiny_causal_lab(folder / "lab", initializer_range=0.3)


@pytest.fixture(scope="module")
def run(lab):
    return lab.train("lora", **{**FEW, "max_steps": 12})


def test_token_losses_are_kept_before_and_after(lab, run):
    artifact = run.artifact("token-losses")
    arrays = {name: array.values for name, array in artifact.arrays.items()}
    pieces = artifact.arrays["token"].labels["token"]
    test = lab.host.find("datasets", "tiny").splits()["test"]
    assert artifact.note == "held-out rows of test" and arrays["digest"].tolist() == list(range(len(test)))
    assert len(set(artifact.arrays["digest"].labels["sample"])) == len(test)
    restored = restore(run, lab.host)
    expected = restored.outputs(test)
    for number, row in enumerate(test):
        mine = arrays["sample"] == number
        text = "".join(np.array(pieces, dtype=object)[mine])
        assert text.endswith(f"<|user|>{row['text']}<|end|>\n<|assistant|>{row['label']}<|end|>")
        supervised = np.isin(arrays["kind"][mine], (1, 3))
        after = arrays["after"][mine]
        assert np.isnan(after[~supervised]).all() and not np.isnan(after[supervised]).any()
        assert np.allclose(after[supervised], expected[number, : supervised.sum(), 0], atol=1e-5)
    special = {pieces[i] for i in np.flatnonzero(arrays["kind"] >= 2)}
    assert special == {"<|system|>", "<|user|>", "<|assistant|>", "<|end|>"}
    assert {pieces[i] for i in np.flatnonzero(arrays["kind"] == 3)} == {"<|end|>"}
    supervised = np.isin(arrays["kind"], (1, 3))
    assert np.nanmean(arrays["after"]) < np.nanmean(arrays["before"])
    assert np.nanmean(arrays["after"]) == pytest.approx(run.metrics["test"]["loss"], rel=1e-4)


def test_losses_before_are_those_of_the_base_model_and_kept_for_the_next_run(lab, run):
    kept = list((run.path.parent / ".base").glob("*.safetensors"))
    assert len(kept) == 1
    artifact = run.artifact("token-losses")
    found = restore(run, lab.host)
    base = load_model(host_model(lab.host, lab.host.find("models", "tiny").folder()), found.task.auto_class, {})[0]
    tests = table(lab.host.find("datasets", "tiny").splits()["test"])
    encoded = encode_conversations(tests, found.tokenizer, 512)
    losses = losses_of(base.eval(), Batcher(found.tokenizer, CPU).batch(encoded, np.array([3])))
    here = artifact.arrays["sample"].values == 3
    before = artifact.arrays["before"].values[here]
    assert np.allclose(before[~np.isnan(before)], losses[0, encoded.borders[3] : encoded.lengths[3], 0], atol=1e-5)
    stamp = kept[0].stat().st_mtime_ns
    again = lab.train("lora", **{**FEW, "seed": 3})
    assert kept[0].stat().st_mtime_ns == stamp
    same = again.artifact("token-losses").arrays["before"].values
    assert np.array_equal(same, artifact.arrays["before"].values, equal_nan=True)


def test_forgetting_is_zero_where_nothing_changed(lab):
    run = lab.train("lora", **{**FEW, "learning_rate": 1e-12})
    assert run.metrics["test"]["forgetting"] == pytest.approx(0.0, abs=1e-4)


def test_the_base_model_is_another_copy_and_sweep_meets_every_row(folder, model_folder):
    host = Host(entry_points=False)
    found = host_model(host, model_folder)
    tokenizer = load_tokenizer(found)
    context = Context(CPU, torch.Generator(), tokenizer, Causal(), 4)
    rows = tiny_calls(10)
    rows[4]["label"] = ""
    context.train = encode_conversations(table(rows), tokenizer, 512)
    context.batcher, context.longest = Batcher(tokenizer, CPU), 512
    context.make_base = lambda: build_base(found, {}, context)
    built = build(found, [host.find("methods", "full")()], {}, context, 0)
    base = context.base()
    assert not any(p.requires_grad for p in base.parameters()) and not base.training
    ours = dict(built.model.named_parameters())
    assert all(torch.equal(p, ours[n]) and p is not ours[n] for n, p in base.named_parameters())
    batches = list(context.sweep())
    assert sorted(i for batch in batches for i in batch["row"].tolist()) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    widths = [batch["input_ids"].shape[1] for batch in batches]
    assert widths == sorted(widths, reverse=True)
    others = list(context.sweep(tiny_calls(3, seed=9)))
    assert [batch["row"].tolist() for batch in others] != [] and sum(len(b["row"]) for b in others) == 3


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path):
    from peft_lab.training.progress import Progress
    from peft_lab.training.session import resume, train

    lab = tiny_causal_lab(tmp_path)
    settings = {**FEW, "max_steps": None, "epochs": 2, "write_answers": 0}
    recipe = lab.recipe("lora", **{name: value for name, value in settings.items() if value is not None})
    whole = lab.train_recipe(recipe)

    class Impatient(Progress):
        def stopping(self) -> bool:
            return self.state.get("step", 0) >= 5 or super().stopping()

    stopped = train(recipe, lab.host, lab.folder, Impatient())
    assert stopped.status == "stopped"
    ended = resume(stopped, lab.host)
    drop = ("seconds",)
    first, second = ([{k: v for k, v in p.items() if k not in drop} for p in r.points] for r in (whole, ended))
    assert first == second and ended.metrics["test"] == whole.metrics["test"]


def test_forecasts_count_logits_at_supervised_places(lab):
    plan = lab.plan("lora", batch_size=8, max_length=256, device="cpu", precision="fp32")
    assert 0 < plan.forecast.memory["activations"] < 200 * 2**20
    assert plan.forecast.seconds and plan.forecast.seconds < 600
