"""Conversations as people have them: layouts found, turns taken apart, nothing lost silently, never split up."""

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peft_lab.conversation import ROLES, Conversation, Message
from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.listings.inputs import data as card
from peft_lab.sources.datasets import Data, load_data
from peft_lab.sources.splitting import draw_whole
from peft_lab.sources.tables import keep_table
from pluggy_specs import DatasetSource

HOST = Host(entry_points=False)
SHARED = Path(__file__).parents[2] / "shared" / "data" / "toolcalls_train.json"
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
NOTE = {"name": "note", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}}
CITIES = ("Kyoto", "Lima", "Oslo", "Cairo", "Quito", "Perth", "Turin", "Dakar", "Leeds", "Osaka", "Malmo", "Accra")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def said(*pairs: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"from": who, "value": what} for who, what in pairs]


def sharegpt(city: str) -> dict[str, Any]:
    """Three answers: a call, what came of it told, and thanks answered."""
    call = json.dumps({"name": "weather", "arguments": {"city": city}})
    talk = said(
        ("human", f"Weather in {city}?"),
        ("function_call", call),
        ("observation", f'{{"sky": "blue over {city}"}}'),
        ("gpt", f"Blue over {city}."),
        ("human", f"Thanks, {city} is nice."),
        ("gpt", "You are welcome."),
    )
    return {"conversations": talk, "tools": json.dumps([WEATHER, NOTE])}


def chat(city: str) -> dict[str, Any]:
    """The same conversation in the layout of OpenAI."""
    function = {"name": "weather", "arguments": json.dumps({"city": city})}
    return {
        "messages": [
            {"role": "user", "content": f"Weather in {city}?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "1", "content": f'{{"sky": "blue over {city}"}}'},
            {"role": "assistant", "content": f"Blue over {city}."},
            {"role": "user", "content": f"Thanks, {city} is nice."},
            {"role": "assistant", "content": "You are welcome."},
        ],
        "tools": [WEATHER, NOTE],
    }


def write(path: Path, rows: list[Any]) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1), "utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), "utf-8")
    elif path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        datasets.Dataset.from_list(rows).to_parquet(str(path))
    return path


def load(source: str | Path, **spec: Any) -> Data:
    return load_data(DataSpec(source=str(source), **spec), HOST)


def odd(path: Path, *talks: list[dict[str, Any]], **columns: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """What becomes of some conversations as test rows, beside ordinary training rows; rows, and notes about them."""
    train = write(path / "train.jsonl", [sharegpt(city) for city in CITIES])
    test = write(path / "test.jsonl", [{"conversations": talk, "tools": "", **columns} for talk in talks])
    data = load(train, test=str(test))
    return list(data.splits["test"]) if "test" in data.splits else [], [n for n in data.notes if "test" in n]


def refusal(source: str | Path, **spec: Any) -> str:
    with pytest.raises(DataProblem) as caught:
        load(source, **spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what a row keeps -------------------------------------------------------------------------------------------------

LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.text())
THINGS = st.dictionaries(st.text(), st.one_of(LEAVES, st.dictionaries(st.text(), LEAVES)))


@given(
    before=st.lists(st.builds(Message, st.sampled_from(ROLES), st.text())),
    last=st.builds(Message, st.sampled_from([role for role in ROLES if role != "assistant"]), st.text()),
    tools=st.lists(THINGS, max_size=3),
)
def test_a_conversation_comes_back_from_its_columns(
    before: list[Message], last: Message, tools: list[dict[str, Any]]
) -> None:
    whole = Conversation((*before, last), tuple(tools))
    text, context = whole.columns()
    assert text == last.content and Conversation.of(text, context) == whole
    assert (context == "") == (not before and last.role == "user" and not tools)


@pytest.mark.parametrize(
    ("context", "why"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "the context is list"),
        ('{"befor": []}', "'befor', not one of before, role, tools"),
        ('{"before": [{"role": "user"}]}', "the keys 'role', not role and content"),
        ('{"before": [{"role": "user", "content": 3}]}', "'content' of a message is int"),
        ('{"role": "narrator"}', "'narrator' is no role"),
        ('{"role": "assistant"}', "nothing to answer"),
        ('{"tools": ["weather"]}', "'tools' of the context is not a list of objects"),
    ],
)
def test_a_damaged_context(context: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Conversation.of("text", context)


# --- layouts ----------------------------------------------------------------------------------------------------------


def test_every_answer_is_a_row_with_what_stood_before_it(tmp_path: Path) -> None:
    data = load(write(tmp_path / "a.json", [sharegpt(city) for city in CITIES]), validation_share=0.3)
    assert data.task == "causal"
    rows = [row for row in data.splits["train"] if "Kyoto" in row["text"] + row["text_pair"]]
    call = '{"name": "weather", "arguments": {"city": "Kyoto"}}'
    assert [row["label"] for row in rows] == [call, "Blue over Kyoto.", "You are welcome."]
    found = [Conversation.of(row["text"], row["text_pair"]) for row in rows]
    assert [conversation.messages[-1].role for conversation in found] == ["user", "tool", "user"]
    assert found[1].messages[:2] == (Message("user", "Weather in Kyoto?"), Message("assistant", call))
    assert len(found[2].messages) == 5 and all(one.tools == (WEATHER, NOTE) for one in found)
    told = data.describe()
    assert told["conversations"] == {
        "layout": "ShareGPT conversations",
        "conversations": {"train": 9, "validation": 3},
        "turns": {"train": 27, "validation": 9},
        "calls": {"train": 9, "validation": 3},
        "tools": ["weather", "note"],
        "tool_count": 2,
    }
    assert "columns guessed: text=conversations, tools=tools" in data.notes
    assert "task guessed: causal, the answers are text" in data.notes


@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet"])
@pytest.mark.parametrize("layout", [sharegpt, chat])
def test_every_file_and_layout_gives_the_same_data(layout: Any, kind: str, tmp_path: Path) -> None:
    plain = load(write(tmp_path / "plain.json", [sharegpt(city) for city in CITIES]))
    assert load(write(tmp_path / f"a.{kind}", [layout(city) for city in CITIES])).fingerprint == plain.fingerprint


def test_tables_of_the_notebook(tmp_path: Path) -> None:
    rows = [chat(city) for city in CITIES]
    plain = load(write(tmp_path / "plain.json", rows)).fingerprint
    for number, table in enumerate((rows, pd.DataFrame(rows), datasets.Dataset.from_list(rows))):
        assert load(keep_table(table, f"talk{number}", tmp_path / "kept")).fingerprint == plain


def test_a_row_keeps_its_own_arguments_only(tmp_path: Path) -> None:
    """A reader that makes one table of all objects would give each call the arguments of all others."""
    rows = [chat(city) for city in CITIES]
    for number, row in enumerate(rows):
        row["messages"][1]["tool_calls"][0]["function"]["arguments"] = {f"city{number}": [number, {"a": None}]}
        row["tools"] = [{"name": f"weather{number}", "parameters": {f"only{number}": number, "default": None}}]
    rows[0]["messages"][1]["tool_calls"][0]["function"]["arguments"] = "a text"
    data = load(write(tmp_path / "a.jsonl", rows))
    both = [*data.splits["train"], *data.splits["validation"]]
    row = next(row for row in both if row["text"] == "Weather in Oslo?")
    assert json.loads(row["label"]) == {"name": "weather", "arguments": {"city2": [2, {"a": None}]}}
    tools = Conversation.of(row["text"], row["text_pair"]).tools
    assert tools == ({"name": "weather2", "parameters": {"only2": 2, "default": None}},)
    assert "1 tool call of train that are no JSON, kept as text" in data.notes


def test_several_calls_at_once_are_a_list(tmp_path: Path) -> None:
    rows = [chat(city) for city in CITIES]
    for row in rows:
        row["messages"][1]["content"] = "Let me look."
        row["messages"][1]["tool_calls"] *= 2
    data = load(write(tmp_path / "a.jsonl", rows))
    answer = next(row["label"] for row in data.splits["train"] if row["text"] == "Weather in Oslo?")
    told, calls = answer.split("\n\n")
    assert told == "Let me look." and [call["arguments"] for call in json.loads(calls)] == [{"city": "Oslo"}] * 2


PROMPTS: dict[str, Any] = {
    "completion": {"prompt": "What is {0}?", "completion": "{0} is a city."},
    "response": {"prompt": "What is {0}?", "response": "{0} is a city."},
    "system": {"prompt": "What is {0}?", "completion": "{0} is a city.", "system": "Be brief."},
    "input": {"instruction": "Say what this is.", "input": "{0}", "output": "{0} is a city."},
    "no-input": {"instruction": "What is {0}?", "input": "", "output": "{0} is a city."},
    "category": {"instruction": "What is {0}?", "context": "", "response": "{0} is a city.", "category": "qa"},
}


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "parquet"])
@pytest.mark.parametrize("layout", list(PROMPTS))
def test_prompts_and_answers_in_columns(layout: str, kind: str, tmp_path: Path) -> None:
    rows = [{name: text.format(city) for name, text in PROMPTS[layout].items()} for city in CITIES]
    data = load(write(tmp_path / f"a.{kind}", rows))
    assert data.task == "causal" and data.spoken is not None and data.spoken.conversations == data.spoken.turns
    row = next(row for row in data.splits["train"] if "Lima" in row["text"])
    assert row["text"] == ("Say what this is.\n\nLima" if layout == "input" else "What is Lima?")
    assert row["label"] == "Lima is a city."
    assert ("text_pair" in row) == (layout == "system")
    if layout == "system":
        assert Conversation.of(row["text"], row["text_pair"]).messages[0] == Message("system", "Be brief.")


def test_any_two_columns_when_the_task_is_said(tmp_path: Path) -> None:
    rows = [{"id": str(i), "ask": f"What is {city}?", "say": f"{city} is a city."} for i, city in enumerate(CITIES)]
    path = write(tmp_path / "a.csv", rows)
    data = load(path, task="causal", text="ask", label="say")
    assert sorted(data.splits["train"].column_names) == ["label", "text"]
    assert load(path, **data.spec.model_dump(exclude={"source"})).fingerprint == data.fingerprint
    joined = load(path, task="causal", text="ask", text_pair="id", label="say").splits["train"]
    assert "What is Oslo?\n\n2" in joined["text"]
    assert "cannot tell prompt and answer among 'id', 'ask', 'say'" in refusal(path, task="causal")
    assert "--text prompt --label completion" in refusal(path, task="causal", text="ask")
    assert "no column 'asks' for the text. Did you mean 'ask'?" in refusal(
        path, task="causal", text="asks", label="say"
    )


def test_prompts_that_are_messages(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": [
                {"role": "user", "content": f"Hello from {city}"},
                {"role": "assistant", "content": "Hello."},
                {"role": "user", "content": "Where am I?"},
            ],
            "completion": [{"role": "assistant", "content": f"In {city}."}],
        }
        for city in CITIES
    ]
    data = load(write(tmp_path / "a.jsonl", rows))
    assert data.spoken is not None and data.spoken.turns["train"] == data.spoken.conversations["train"]
    assert set(data.splits["train"]["text"]) == {"Where am I?"}


def test_a_recipe_finds_the_same_layout_again(tmp_path: Path) -> None:
    for number, rows in enumerate(([sharegpt(city) for city in CITIES], [chat(city) for city in CITIES])):
        path = write(tmp_path / f"{number}.json", rows)
        data = load(path)
        assert load(path, **data.spec.model_dump(exclude={"source"})).fingerprint == data.fingerprint


def test_other_data_stays_what_it_was(tmp_path: Path) -> None:
    rows = [{"prompt": f"Is {c} big? {i}", "response": f"{c}.", "label": "yn"[i % 2]} for i, c in enumerate(CITIES * 2)]
    data = load(write(tmp_path / "a.csv", rows), text="prompt")
    assert data.task == "classification" and data.spoken is None
    talks = [{**sharegpt(city), "quality": "good" if i % 2 else "bad"} for i, city in enumerate(CITIES)]
    assert load(write(tmp_path / "b.jsonl", talks)).task == "causal"
    plain = [{"text": f"a note {i} about {c}", "label": "yn"[i % 2]} for i, c in enumerate(CITIES * 2)]
    assert load(write(tmp_path / "c.jsonl", plain)).task == "classification"
    assert load(write(tmp_path / "c.jsonl", plain), task="causal").task == "causal"


def test_rows_of_a_plugin(tmp_path: Path) -> None:
    host = Host(entry_points=False)
    rows = [sharegpt(city) for city in CITIES]
    host.add(DatasetSource("talks", "talks", lambda: {"train": rows}, task="causal", text="conversations"))
    data = load_data(DataSpec(source="talks"), host)
    assert data.fingerprint == load(write(tmp_path / "a.json", rows)).fingerprint


def test_rows_that_are_turns_already(tmp_path: Path) -> None:
    data = load(write(tmp_path / "a.json", [sharegpt(city) for city in CITIES]), validation_share=0.01)
    rows = [dict(row) for split in ("train", "validation") for row in data.splits[split]]
    again = load(write(tmp_path / "rows.jsonl", rows), task="causal")
    assert {row["label"] for row in again.splits["train"]} <= {row["label"] for row in rows}
    assert again.spoken is not None and again.spoken.tools == ("weather", "note")
    assert set(again.splits["train"]["text_pair"]) <= {row["text_pair"] for row in rows}
    rows[7]["text_pair"] = rows[7]["text_pair"][:-3]
    said = refusal(write(tmp_path / "rows.jsonl", rows), task="causal")
    assert said.startswith("row 8 of train has a context in 'text_pair' that cannot be read: the context is no JSON")


# --- odd things -------------------------------------------------------------------------------------------------------

ASK, TELL = ("human", "Where is it?"), ("gpt", "Here.")


def test_a_conversation_that_begins_with_the_assistant(tmp_path: Path) -> None:
    rows, notes = odd(tmp_path, said(("gpt", "Hello!"), ASK, TELL))
    assert [row["label"] for row in rows] == ["Here."]
    assert Conversation.of(rows[0]["text"], rows[0]["text_pair"]).messages[0] == Message("assistant", "Hello!")
    assert notes == ["1 conversation of test beginning with the assistant: that answer is not learned"]


def test_two_messages_of_one_speaker_in_a_row(tmp_path: Path) -> None:
    rows, notes = odd(tmp_path, said(ASK, ("user", "The key?"), TELL, ("assistant", "On the table.")))
    assert [(row["text"], row["label"]) for row in rows] == [("Where is it?\n\nThe key?", "Here.\n\nOn the table.")]
    assert notes == ["2 messages in test after another of the same speaker, joined to it"]


def test_empty_messages_and_null(tmp_path: Path) -> None:
    rows, notes = odd(
        tmp_path, said(ASK, ("gpt", None), ("human", " \n"), TELL), said(("human", ""), ("gpt", "What?")), said(ASK), []
    )
    assert [(row["text"], row["label"]) for row in rows] == [("Where is it?", "Here.")]
    assert "1 empty answer left out of test" in notes and "2 empty messages left out of test" in notes
    assert "3 conversations without an answer left out of test" in notes


def test_system_messages(tmp_path: Path) -> None:
    rows, _ = odd(tmp_path, said(("system", "Be kind."), ASK, TELL), said(ASK, TELL), system="Be brief.")
    contexts = [Conversation.of(row["text"], row["text_pair"]).messages[0] for row in rows]
    assert contexts == [Message("system", "Be kind."), Message("user", "Where is it?")], "train has no such column"
    train = write(tmp_path / "own.jsonl", [{**sharegpt(city), "system": f"You know {city}."} for city in CITIES])
    row = load(train).splits["train"][0]
    assert Conversation.of(row["text"], row["text_pair"]).messages[0].content.startswith("You know ")
    only = [{"messages": [{"role": "system", "content": c}, {"role": "assistant", "content": c}]} for c in CITIES]
    row = load(write(tmp_path / "only.jsonl", only)).splits["train"][0]
    assert Conversation.of(row["text"], row["text_pair"]).messages == (Message("system", row["text"]),)


def test_unknown_roles_are_refused_with_row_and_name(tmp_path: Path) -> None:
    rows = [sharegpt(city) for city in CITIES]
    rows[3]["conversations"][4]["from"] = "humna"
    message = refusal(write(tmp_path / "a.json", rows))
    assert message.startswith("row 4 of train has the role 'humna' in message 5, which nobody knows")
    assert "Did you mean 'human'?" in message
    rows[3]["conversations"][4] = {"speaker": "x", "value": "y"}
    assert "row 4 of train does not say who speaks in message 5" in refusal(write(tmp_path / "a.json", rows))
    rows[3]["conversations"] = "hello"
    assert "row 4 of train holds text that is no JSON, not a list" in refusal(write(tmp_path / "a.json", rows))


def test_tools_that_cannot_be_read_are_kept_as_text(tmp_path: Path) -> None:
    rows, notes = odd(tmp_path, said(ASK, TELL), tools='[{"name": "find"')
    context = Conversation.of(rows[0]["text"], rows[0]["text_pair"])
    assert context.tools == () and context.messages[0] == Message("system", 'Tools: [{"name": "find"')
    assert notes == ["1 list of tools in test that cannot be read, kept as text in the system message"]


def test_answers_without_weight_and_parts_without_text(tmp_path: Path) -> None:
    rows = [chat(city) for city in CITIES]
    for row in rows:
        row["messages"][3]["weight"] = 0
        row["messages"][0]["content"] = [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {}}]
    data = load(write(tmp_path / "a.jsonl", rows))
    assert "Look:" in data.splits["train"]["text"]
    assert not any(label.startswith("Blue") for label in data.splits["train"]["label"])
    assert "12 answers of train with weight 0: not learned" in data.notes
    assert "12 parts of messages in train that are no text, left out" in data.notes


def test_nothing_to_learn(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [{"conversations": said(ASK)}] * 3)
    assert "no conversation of train has an answer to learn" in refusal(path)


def test_broken_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [sharegpt(city) for city in CITIES])
    path.write_text(path.read_text() + '{"conversations": [}\n')
    assert "a.jsonl cannot be read: line 13, column" in refusal(path)
    path = write(tmp_path / "b.json", [*(sharegpt(city) for city in CITIES), 3])
    assert "b.json: row 13 is int, not an object" in refusal(path)


def test_a_test_split_of_another_kind(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", [sharegpt(city) for city in CITIES])
    other = write(tmp_path / "test.csv", [{"text": "a", "label": "b"}])
    assert "test has no column 'conversations'" in refusal(train, test=str(other))
    assert "test has no column 'conversations' and is left out" in load(tmp_path).notes


# --- splits -----------------------------------------------------------------------------------------------------------


def city_of(row: dict[str, Any]) -> str:
    return next(city for city in CITIES if city in row["text"] + row["text_pair"])


@pytest.mark.parametrize("seed", range(4))
def test_turns_of_one_conversation_are_never_on_both_sides(seed: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [sharegpt(city) for city in CITIES])
    data = load(path, split_seed=seed, validation_share=0.4, limit=10)
    sides = {split: [city_of(row) for row in data.splits[split]] for split in ("train", "validation")}
    assert not set(sides["train"]) & set(sides["validation"])
    assert all(side.count(city) == 3 for side in sides.values() for city in side)
    assert len(sides["train"]) == 9 and len(sides["validation"]) == 12
    assert (
        "14 of 36 training rows carved" not in data.notes
        and "12 of 36 training rows carved out for validation" in data.notes
    )
    assert "9 of 24 training rows used, as the limit says" in data.notes


def test_a_conversation_that_stands_twice_stays_in_train(tmp_path: Path) -> None:
    rows = [sharegpt(city) for city in ("Kyoto", *CITIES)]
    for seed in range(6):
        data = load(write(tmp_path / "a.json", rows), split_seed=seed, validation_share=0.5)
        assert "Kyoto" not in {city_of(row) for row in data.splits["validation"]}
    assert "3 rows in train with a text that stands there already" in data.notes


def test_conversations_that_begin_alike_can_be_carved_out_and_it_is_said(tmp_path: Path) -> None:
    rows = [sharegpt(city) for city in CITIES]
    for row in rows:
        row["conversations"][:0] = said(("human", "Hi!"), ("gpt", "Hello."))
    data = load(write(tmp_path / "a.json", rows), validation_share=0.34)
    assert len(data.splits["validation"]) == 16
    assert "4 of these also stand in train: so many begin alike" in data.notes
    rows[0]["conversations"][0]["value"] = "Hello, hello!"
    data = load(write(tmp_path / "a.json", rows), validation_share=0.05)
    assert data.splits["validation"]["text"][0] == "Hello, hello!", "one that shares nothing goes first"


def test_one_conversation_is_too_few(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [sharegpt("Oslo")])
    assert "one conversation is too few to carve out a validation split" in refusal(path)


def test_whole_groups_are_drawn() -> None:
    groups = np.array([0, 0, 0, 5, 2, 2, 7, 7, 7, 7])
    everything = np.arange(10)
    for seed in range(20):
        chosen = draw_whole(groups, everything, 5, seed)
        assert 1 <= len(chosen) <= 5 and list(chosen) == sorted(chosen)
        assert all((groups[chosen] == group).sum() == (groups == group).sum() for group in groups[chosen])
    assert len(draw_whole(groups, everything[1:4], 9, 0)) == 1, "a group with a row that may not be drawn stays behind"
    assert list(draw_whole(groups, everything[:3], 1, 0)) == [0, 1, 2], "one group at least"
    assert not len(draw_whole(groups, everything[:2], 5, 0))


# --- what a person sees -----------------------------------------------------------------------------------------------


def test_the_card_tells_what_is_in_the_conversations(tmp_path: Path) -> None:
    rows = [sharegpt(city) for city in CITIES]
    rows[0]["conversations"][0]["value"] = "<img src=x onerror=alert(1)> \u202e weather?"
    shown = card(load(write(tmp_path / "talks.json", rows), validation_share=0.1))
    text, html = str(shown), shown._repr_html_()
    assert "talks.json: 33 train, 3 validation" in text
    for line in (("conversations", "11"), ("answers in words", "22"), ("tool calls", "11"), ("tools known", "2")):
        assert any(all(word in row for word in line) for row in text.splitlines()), line
    assert "weather, note" in text and "ShareGPT conversations: a row for each answer" in text
    assert "<img" not in html and "\u202e" not in html


def test_the_operation_chooses_conversations(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "runs")
    path = write(tmp_path / "talks.json", [sharegpt(city) for city in CITIES])
    assert "tool calls" in str(lab.data(str(path)))
    assert lab.spec is not None and lab.spec.source == str(path)


@pytest.mark.skipif(not SHARED.is_file(), reason="needs the shared file of tool calls")
def test_a_public_file_of_tool_calls() -> None:
    data = load(SHARED)
    told = data.describe()["conversations"]
    assert sum(told["conversations"].values()) == 300 and sum(told["turns"].values()) == 957
    assert sum(told["calls"].values()) == 211 and told["tool_count"] == 64
