"""Tool calls made up from packaged words: roles are true, values follow from the request, formats differ in frame."""

import json
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peft_lab.conversation import Conversation
from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption
from peft_lab.host import Host
from peft_lab.sources.datasets import load_data
from peft_lab.sources.toolcall_formats import FORMATS, token_roles, written
from peft_lab.sources.toolcalls import generate, roles_of
from pluggy_specs.pieces import BOILERPLATE, REASONING

EVERY = list(FORMATS)


def parts(row: dict[str, Any], role: int) -> list[str]:
    return [row["label"][start:end] for start, end, what in row["roles"] if what == role]


@pytest.mark.parametrize("how", EVERY)
def test_roles_read_from_an_answer_are_those_it_was_written_with(how: str) -> None:
    for row in generate(300, 5, how):
        assert roles_of(row) == row["roles"]
        ends = [0, *(end for _, end, _ in row["roles"])]
        assert [start for start, _, _ in row["roles"]] == ends[:-1] and ends[-1] == len(row["label"])


@pytest.mark.parametrize("how", EVERY)
@settings(max_examples=60, deadline=None)
@given(
    tool=st.from_regex(r"[a-z]\w{0,12}", fullmatch=True).filter(str.isascii),
    values=st.lists(
        st.one_of(st.integers(), st.text(st.characters(codec="utf-8", exclude_characters="<>\n"))), max_size=4
    ),
    phrase=st.integers(0, 100),
)
def test_roles_are_true_for_any_values(how: str, tool: str, values: list[str | int], phrase: int) -> None:
    values = [
        value if isinstance(value, int) else value.strip("\r\x85\u2028\u2029") or "x" for value in values or ["x"]
    ]
    if how == "xml" and any(isinstance(value, str) and len(value.splitlines()) != 1 for value in values):
        return  # a value of several lines is no value of this format
    arguments = {f"key{place}": value for place, value in enumerate(values)}
    answer, spans = written(FORMATS[how].write(tool, arguments, phrase))
    assert roles_of({"label": answer}) == spans


def test_frames_repeat_and_values_do_not() -> None:
    rows = generate(240, 0)
    frames = Counter(part for row in rows for part in parts(row, BOILERPLATE))
    assert frames['{"name": "'] == frames['", "arguments": {"'] == 240 and len(frames) < 10
    values = Counter(part for row in rows for part in parts(row, REASONING))
    assert len(values) > 500 and values.most_common(1)[0][1] < 80
    assert len({row["text"] for row in rows}) == 240


def test_what_is_called_follows_from_the_request() -> None:
    for row in generate(400, 3, converted=0.0):
        call = json.loads(row["label"])
        tools = {tool["name"]: tool for tool in Conversation.of(row["text"], row["text_pair"]).tools}
        assert len(tools) == 2
        wanted = tools[call["name"]]["parameters"]["properties"]
        assert list(call["arguments"]) == list(wanted)
        for name, value in call["arguments"].items():
            assert str(value).lower() in row["text"].lower()
            assert wanted[name]["type"] == ("integer" if isinstance(value, int) else "string")


def test_names_of_arguments_cannot_be_known_without_the_prompt() -> None:
    named: dict[str, set[tuple[str, ...]]] = {}
    for row in generate(400, 3):
        tools = {tool["name"]: tool for tool in Conversation.of(row["text"], row["text_pair"]).tools}
        called = tools[json.loads(row["label"])["name"]]
        named.setdefault(called["description"], set()).add(tuple(called["parameters"]["properties"]))
        assert all(name in parts(row, REASONING) for name in called["parameters"]["properties"])
    assert len(named) == 13 and all(len(ways) >= 5 for ways in named.values())


def test_some_values_are_asked_for_in_other_words() -> None:
    plain, other = generate(300, 3, converted=0.0), generate(300, 3, converted=1.0)
    assert [row["label"] for row in plain] == [row["label"] for row in other]
    changed = [(one["text"], two["text"]) for one, two in zip(plain, other, strict=True) if one != two]
    assert 100 < len(changed) < 280
    times = [(one, two) for one, two in changed if re.search(r"\b18:30\b", one)]
    assert times and all("half past six in the evening" in two.lower() for _, two in times)
    endings = {int(number): ending for _, two in changed for number, ending in re.findall(r"the (\d+)(\w\w) of", two)}
    assert len(endings) > 20
    assert all(
        ending == ("st" if number in (1, 21) else "nd" if number in (2, 22) else "rd" if number in (3, 23) else "th")
        for number, ending in endings.items()
    )


def test_formats_ask_the_same_and_are_told_apart() -> None:
    rows = {how: generate(80, 9, how) for how in EVERY}
    for how in EVERY:
        assert [row["text"] for row in rows[how]] == [row["text"] for row in rows["json"]]
        assert [parts(row, REASONING) for row in rows[how]] == [parts(row, REASONING) for row in rows["json"]]
    ways = {how: {part for row in some for part in parts(row, BOILERPLATE)} for how, some in rows.items()}
    assert not ways["json"] & (ways["xml"] | ways["sentence"] - {'"'})
    assert {'{"name": "', '\nAction Input: {"'} <= ways["json"] | ways["react"]
    assert not any("Action" in part for part in ways["json"])


def test_equal_seeds_give_equal_rows_and_others_do_not() -> None:
    assert generate(50, 4) == generate(50, 4)
    assert generate(50, 4)[:20] == generate(20, 4)
    texts = {row["text"] for row in generate(50, 4)}
    assert not texts & {row["text"] for row in generate(50, 5)}
    assert not texts & {row["text"] for row in generate(200, 4, but=texts)}


def test_rows_of_the_default_seed_stay_what_they_are() -> None:
    first = generate(1, 0)[0]
    assert first["text"] == "How do I get from Cairo to Ghent on Friday? I can leave at 20:30."
    assert "20:30" in json.loads(first["label"])["arguments"].values()


def test_an_unknown_format() -> None:
    with pytest.raises(BadOption, match="no format 'yml'.*xml"):
        generate(1, 0, "yml")
    with pytest.raises(ValueError, match="not written in one of the formats"):
        roles_of({"label": "It will be sunny."})


def test_roles_over_tokens() -> None:
    spans = [(0, 4, BOILERPLATE), (4, 9, REASONING), (9, 10, BOILERPLATE)]
    assert token_roles(spans, [(0, 4), (4, 6), (6, 9), (9, 10)]) == [0, 1, 1, 0]
    assert token_roles(spans, [(0, 5), (3, 5), (8, 11), (10, 12), (4, 4)]) == [0, 1, 1, -1, -1]


@pytest.mark.parametrize("how", EVERY)
def test_as_data(how: str) -> None:
    name = "toolcalls" if how == "json" else f"toolcalls-{how}"
    data = load_data(DataSpec(source=name), Host(entry_points=False))
    assert data.task == "causal" and data.splits["train"].column_names == ["text", "text_pair", "label"]
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 216, "validation": 24, "test": 60}
    assert not any("stand" in note for note in data.notes)
    assert data.spoken is not None and len(data.spoken.tools) > 100
    calls = data.spoken.calls["train"]
    assert calls == (216 if how == "json" else 0)
    assert all(roles_of(row) for rows in data.splits.values() for row in rows)
