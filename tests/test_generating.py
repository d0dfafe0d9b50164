"""What language models write: it is what their scores say, it is shown beside the base model's, and it can be kept."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from peft_lab.errors import BadOption, MethodRefused, RunProblem
from peft_lab.keeping import merging, saving
from peft_lab.keeping.loading import load_folder
from peft_lab.testing import tiny_causal_lab, tiny_lab
from peft_lab.testing.tiny import tiny_calls
from peft_lab.training.conversing import prompt_ids
from peft_lab.training.generating import Written
from peft_lab.training.rendering import Template
from peft_lab.training.restore import restore
from peft_lab.training.tool_calls import call_scores, calls_in
from peft_lab.training.writing import written

FEW = {"max_steps": 6, "learning_rate": 0.05, "device": "cpu", "precision": "fp32", "write_answers": 4}
HOSTILE = '<img src=x onerror=alert(1)>\n\u202e</td>&"'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return tiny_causal_lab(tmp_path_factory.mktemp("generating"), initializer_range=0.3)


@pytest.fixture(scope="module")
def run(lab):
    return lab.train("lora", **FEW)


def foreseen(restored, prompt, answer):
    """Which tokens of an answer the model gives the highest probability, by its task's own outputs."""
    model = restored.built.model.eval()
    ids = torch.tensor([[*prompt, *answer]])
    labels = ids.clone()
    labels[:, : len(prompt)] = -100
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    with torch.no_grad():
        return restored.task.outputs(model, batch)[0, len(prompt) :, 1]


@pytest.mark.parametrize(
    "method", ["lora", "prefix", "apt", "adapter", "peft:prompt_tuning", "peft:prefix_tuning", "peft:shadow"]
)
def test_what_is_written_is_what_comes_first_token_by_token(lab, method):
    restored = restore(lab.train(method, **{**FEW, "write_answers": 0}), lab.host)
    prompts = prompt_ids(Template(restored.tokenizer), tiny_calls(5))
    assert len(set(map(len, prompts))) > 1  # padding before the shorter ones
    answers = written(restored.built.model, prompts, pad=0, ends=[-1], most=12)
    assert len({tuple(answer) for answer in answers}) > 1
    for prompt, answer in zip(prompts, answers, strict=True):
        assert len(answer) == 12 and foreseen(restored, prompt, answer).all()


def test_positions_are_counted_from_where_a_text_begins(tmp_path):
    lab = tiny_causal_lab(tmp_path, family="gpt2", initializer_range=0.3)
    restored = restore(lab.train("peft:p_tuning", **{**FEW, "write_answers": 0}), lab.host)
    prompts = prompt_ids(Template(restored.tokenizer), tiny_calls(4))
    for prompt, answer in zip(prompts, written(restored.built.model, prompts, pad=0, ends=[-1], most=8), strict=True):
        assert foreseen(restored, prompt, answer).all()


def test_an_exact_match_is_an_answer_that_would_be_written(lab):
    run = lab.train("full", **{**FEW, "max_steps": 120, "learning_rate": 3e-3, "write_answers": 16})
    restored = restore(run, lab.host)
    test = lab.host.find("datasets", "tiny").splits()["test"]
    said = restored.write([{k: v for k, v in row.items() if k != "label"} for row in test], most=64)
    right = [one == row["label"] for one, row in zip(said, test, strict=True)]
    assert run.metrics["test"]["exact_match"] == pytest.approx(np.mean(right))
    scores = call_scores((one, row["label"]) for one, row in zip(said, test, strict=True))
    assert scores["valid_json"] > 0 and scores.items() <= run.metrics["test"].items()
    kept = run.artifact("written-answers")
    assert kept.arrays["row"].values.tolist() == list(range(16))
    for short, long in zip(kept.arrays["letters"].labels["written"], said, strict=True):
        assert long.startswith(short) and (short == long or len(short) > 60)  # none is cut that could be right
    assert kept.note == "16 of 16 requests of test that ask for a tool call"


def test_without_a_test_split_calls_are_written_to_validation(lab, tmp_path):
    file = tmp_path / "calls.jsonl"
    rows = [json.dumps({"prompt": row["text"], "completion": row["label"]}) for row in tiny_calls(60)]
    file.write_text("\n".join(rows))
    run = lab.train("full", data=str(file), **FEW)
    assert set(run.metrics) == {"validation"} and 0 <= run.metrics["validation"]["valid_json"] <= 1
    kept = run.artifact("written-answers")
    assert kept.note == "4 of 6 requests of validation that ask for a tool call"
    asked = kept.arrays["row"].labels["request"]
    assert {json.loads(row)["prompt"] for row in rows} > set(asked)


def test_writing_stops_at_the_end_of_the_turn(lab, run):
    restored = restore(run, lab.host)
    prompts = prompt_ids(Template(restored.tokenizer), tiny_calls(3))
    free = written(restored.built.model, prompts, pad=0, ends=[-1], most=10)
    end = free[0][4]
    stopped = written(restored.built.model, prompts, pad=0, ends=[end], most=10)
    for long, short in zip(free, stopped, strict=True):
        assert short == (long[: long.index(end)] if end in long else long)


def test_draws_follow_the_seed_and_leave_others_alone(lab, run):
    restored = restore(run, lab.host)
    row = [{"text": "What is the weather in Oslo?"}]
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again = (restored.write(row, most=20, temperature=1.5, seed=1) for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert first == again != restored.write(row, most=20, temperature=1.5, seed=2)


# --- room ------------------------------------------------------------------------------------------------------------

LONG = [{"text": "How much are 30 euros in yen? " * 20}]


def test_a_prompt_longer_than_those_of_training_is_read_whole(lab):
    restored = restore(lab.train("lora", **{**FEW, "write_answers": 0, "max_length": 64}), lab.host)
    (prompt,) = prompt_ids(Template(restored.tokenizer), LONG)
    assert 128 < len(prompt) < 512 - 48 == restored.room - 48
    told = restored.written(LONG, most=48)
    assert (told.most, told.lost, told.prompts) == (48, [0], [len(prompt)])
    how = {"pad": 0, "ends": Template(restored.tokenizer).ends, "most": 48}
    (whole,), (cut,) = (written(restored.built.model, [ids], **how) for ids in (prompt, prompt[-32:]))
    assert told.tokens == [len(whole)] and whole != cut
    assert told.answers == [restored.tokenizer.decode(whole, skip_special_tokens=True).strip()]


@pytest.mark.parametrize(("family", "method", "taken"), [("gpt2", "lora", 0), ("llama", "peft:prompt_tuning", 20)])
def test_no_more_is_written_than_the_model_has_positions_for(tmp_path, family, method, taken):
    lab = tiny_causal_lab(tmp_path, family=family, initializer_range=0.3)
    run = lab.train(method, **{**FEW, "write_answers": 0, "max_steps": 1})
    restored = restore(run, lab.host)
    assert restored.room == 512 - taken
    (prompt,) = prompt_ids(Template(restored.tokenizer), [{"text": "euros " * 800}])
    for most, used in ((40, 40), (2000, restored.room // 2)):
        told = restored.written([{"text": "euros " * 800}], most=most)
        assert (told.most, told.lost) == (used, [len(prompt) + used - restored.room])
    how = {"pad": 0, "ends": Template(restored.tokenizer).ends, "most": used}
    (ids,) = written(restored.built.model, [prompt[used - restored.room :]], **how)
    assert told.tokens == [len(ids)]
    short = restored.written([{"text": "euros"}], most=2000)
    assert (short.most, short.lost) == (restored.room - short.prompts[0], [0])


def test_generate_says_what_did_not_fit(lab, run):
    fits = lab.generate(run.id, LONG[0]["text"], max_new_tokens=8)
    assert fits.note == "At most 8 tokens, the likeliest token each time."
    restored = restore(run, lab.host)
    size = len(prompt_ids(Template(restored.tokenizer), [{"text": "yen " * 600}])[0])
    shown = lab.generate(run.id, "yen?", "yen " * 600, max_new_tokens=8)
    both = f"the likeliest token each time. base model tiny, {run.id}: room for 512 tokens, "
    assert shown.note == (
        f"At most 8 tokens, {both}8 of them for the answer; of the {size} tokens of prompt 2 the first {size - 504} "
        "were left out (a system message, tools or first messages)."
    )
    limited = lab.generate(run.id, "yen?", max_new_tokens=600)
    room = 512 - restored.written([{"text": "yen?"}], most=1).prompts[0]
    assert limited.note == (
        f"At most {room} tokens, {both}prompt and answer together: an answer could have {room}, not 600."
    )


def test_a_run_says_that_requests_were_cut_before_calls_were_written(lab, run):
    assert not [note for note in run.record["notes"] if "calls were written" in note or "Calls" in note]
    notes = lab.train("lora", data="tiny", **{**FEW, "max_steps": 1, "max_length": 64}).record["notes"]
    assert (
        "4 of 4 requests that calls were written to are too long for 64 tokens with the answer, and lost the beginning "
        "(a system message, tools or first messages)"
    ) in notes
    assert "Calls were written with 32 tokens at most, as 64 have to hold the request, too" in notes


# --- calls -----------------------------------------------------------------------------------------------------------


def test_tool_calls_are_compared_as_json():
    wanted = '{"name": "add", "arguments": {"a": 1, "b": "x"}}'
    cases = {
        '{"arguments": {"b": "x", "a": 1.0}, "name": "add"}': (1, 1, 1, 1),
        '{"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": \\"x\\"}"}': (1, 1, 1, 1),
        '{"name": "add", "arguments": {"a": 2, "b": "x"}}': (1, 1, 1, 0),
        '{"name": "add", "arguments": {"a": 1}}': (1, 1, 0, 0),
        '{"name": "sub", "arguments": {"a": 1, "b": "x"}}': (1, 0, 0, 0),
        '{"name": "add", "arguments": {"a": 1, "b": "x"}': (0, 0, 0, 0),
        '{"name": 7}': (0, 0, 0, 0),
        "I cannot do that.": (0, 0, 0, 0),
    }
    for said, marks in cases.items():
        assert tuple(call_scores([(said, wanted)]).values()) == marks, said
    assert list(call_scores([(wanted, wanted)])) == ["valid_json", "tool_name", "argument_keys", "argument_values"]
    assert call_scores([("anything", "just text")]) == {} and calls_in("[]") is None
    assert calls_in(f"[{wanted}, {wanted}]") == [("add", {"a": 1, "b": "x"})] * 2


# --- as an operation -------------------------------------------------------------------------------------------------


def test_generate_shows_base_and_run_side_by_side(lab, run, tmp_path):
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([{"name": "get_weather", "parameters": {"type": "object"}}]))
    prompts = ("What is the weather in Oslo?", "How much are 30 euros in yen?")
    shown = lab.generate(run.id, *prompts, tools=str(tools), system="Be short.", max_new_tokens=12)
    assert list(shown.models) == ["base model tiny", run.id] and list(shown.prompts) == list(prompts)
    restored = restore(run, lab.host)
    context = json.dumps(
        {"before": [{"role": "system", "content": "Be short."}], "tools": json.loads(tools.read_text())}
    )
    expected = restored.write([{"text": text, "text_pair": context} for text in prompts], most=12)
    assert [answers[1] for answers in shown.answers] == expected
    assert any(base != tuned for base, tuned in shown.answers)
    frame = shown.to_pandas()
    assert list(frame.columns) == ["prompt", "base model tiny", run.id] and len(frame) == 2
    assert prompts[0] in str(shown) and "At most 12 tokens" in shown._repr_html_()


def test_what_models_write_is_escaped(lab, run, monkeypatch):
    told = Written([HOSTILE], [9], [9], 512, 128)
    monkeypatch.setattr("peft_lab.training.restore.Restored.written", lambda self, rows, **_: told)
    shown = lab.generate(run.id, HOSTILE)
    page, text = shown._repr_html_(), str(shown)
    assert "<img" not in page and "&lt;img" in page and "\\u202e" in page and "\u202e" not in page + text
    assert page.count("</td>") == 3 and "\\u202e</td>" in text


def test_generate_says_what_is_wrong(lab, run, tmp_path):
    with pytest.raises(BadOption, match="no prompt"):
        lab.generate(run.id)
    with pytest.raises(BadOption, match="cannot be read"):
        lab.generate(run.id, "a", tools=str(tmp_path / "none.json"))
    file = tmp_path / "tools.json"
    for content, why in (("[1]", "holds no tools"), ("[", "no JSON")):
        file.write_text(content)
        with pytest.raises(BadOption, match=why):
            lab.generate(run.id, "a", tools=str(file))
    with pytest.raises(BadOption, match="writes its answers"):
        lab.predict(run.id, "a")
    labels = tiny_lab(tmp_path / "labels")
    told = labels.train("head", max_steps=1)
    with pytest.raises(RunProblem, match="does not write: its task is classification"):
        labels.generate(told.id, "a")


# --- keeping ---------------------------------------------------------------------------------------------------------


def test_peft_alone_opens_what_was_saved(lab, run, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    saved = saving.save(run, lab.host, tmp_path / "adapter")
    assert saved.manifest.layout == "peft" and saved.difference == 0
    config = json.loads((saved.folder / "adapter_config.json").read_text())
    assert config["task_type"] == "CAUSAL_LM" and not config["modules_to_save"]
    base = AutoModelForCausalLM.from_pretrained(lab.host.find("models", "tiny").folder())
    opened = PeftModel.from_pretrained(base, str(saved.folder)).eval()
    restored = restore(run, lab.host)
    prompts = prompt_ids(Template(restored.tokenizer), tiny_calls(3))
    assert written(opened.base_model.model, prompts, pad=0, ends=[1], most=8) == written(
        restored.built.model, prompts, pad=0, ends=[1], most=8
    )
    loaded = load_folder(saved.folder, tmp_path / "runs", lab.host)
    assert loaded.difference == 0 and loaded.restored.write([{"text": "Hi"}], most=6) == restored.write(
        [{"text": "Hi"}], most=6
    )


def test_a_merged_model_is_a_plain_one(lab, run, tmp_path):
    from transformers import AutoModelForCausalLM

    merged = merging.merge(run, lab.host, tmp_path / "merged")
    assert merged.difference < merging.MOST
    plain = AutoModelForCausalLM.from_pretrained(merged.folder).eval()
    restored = restore(run, lab.host)
    prompts = prompt_ids(Template(restored.tokenizer), tiny_calls(3))
    assert written(plain, prompts, pad=0, ends=[1], most=8) == written(
        restored.built.model, prompts, pad=0, ends=[1], most=8
    )
    with pytest.raises(MethodRefused, match="cannot be merged"):
        merging.merge(lab.train("prefix", **{**FEW, "write_answers": 0}), lab.host, tmp_path / "none")


def test_use_and_roll_back(lab, run):
    before = lab.generate(run.id, "Oslo?", max_new_tokens=6)
    lab.load(run.id)
    assert lab.generate(run.id, "Oslo?", max_new_tokens=6).answers == before.answers
    lab.rollback()


def test_a_script_of_a_language_model_is_refused_with_a_reason(lab, run):
    with pytest.raises(RunProblem, match="causal|classification"):
        lab.code(run.id)
