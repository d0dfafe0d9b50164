"""Read one conversation after another, in any of the layouts people have, into the turns that can be learned from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peft_lab.conversation import Conversation, Message
from peft_lab.errors import DataProblem, nearest
from peft_lab.sources.conversation_layouts import CONTENT_KEYS, ROLE_KEYS, Layout, as_json

ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatgpt", "function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function", "function_response", "tool_response", "ipython"), "tool"),
}
"""Names of speakers, as they are in use, and whom they mean."""
CALLING = frozenset({"function_call", "tool_call"})
BLANK_LINE = "\n\n"


@dataclass(frozen=True)
class Turn:
    """An answer, and what stood before it."""

    conversation: Conversation
    answer: str


@dataclass(frozen=True)
class Said:
    """A message as it was found."""

    role: str
    content: str
    teaches: bool = True
    """False where the data says that this answer is not to be learned."""


class Reader:
    """Reads the rows of one split, and counts what a person should know about them."""

    def __init__(self, layout: Layout, split: str) -> None:
        self.layout, self.split = layout, split
        self.row = 0
        self.counts: Counter[str] = Counter()
        self.tools: dict[str, None] = {}
        """Names of the tools, in the order in which they were met."""

    def turns(self, row: Mapping[str, Any]) -> list[Turn]:
        """The turns of the next row, in their order; none where it has no answer.

        Raises:
            DataProblem: a message cannot be read; names the row.
        """
        self.row += 1
        layout = self.layout
        if layout.holds_context:
            found = self._with_context(row)
        else:
            tools, told = self._tools(row.get(layout.tools or ""))
            before = [text for text in (_text(row.get(layout.system or "")), told) if text.strip()]
            said = [Said("system", text) for text in before] + self._said(row)
            found = list(self._turns(self._joined(said), tools))
        if not found:
            self.counts["without an answer"] += 1
        return found

    def notes(self) -> list[str]:
        """What a person should know, one line each."""
        said, split = self.counts, self.split
        lines = {
            "joined": "{} message{s} in {split} after another of the same speaker, joined to it",
            "begun": "{} conversation{s} of {split} beginning with the assistant: that answer is not learned",
            "empty answers": "{} empty answer{s} left out of {split}",
            "empty": "{} empty message{s} left out of {split}",
            "without an answer": "{} conversation{s} without an answer left out of {split}",
            "unweighted": "{} answer{s} of {split} with weight 0: not learned",
            "parts": "{} part{s} of messages in {split} that are no text, left out",
            "broken tools": "{} list{s} of tools in {split} that cannot be read, kept as text in the system message",
            "broken calls": "{} tool call{s} of {split} that are no JSON, kept as text",
        }
        return [
            line.format(said[what], s="" if said[what] == 1 else "s", split=split)
            for what, line in lines.items()
            if said[what]
        ]

    # --- messages -----------------------------------------------------------------------------------------------------

    def _said(self, row: Mapping[str, Any]) -> list[Said]:
        layout = self.layout
        if not layout.holds_messages:
            about = (_text(row[name]) for name in (layout.text, layout.text_pair) if name is not None)
            prompt = BLANK_LINE.join(text for text in about if text.strip())
            return [Said("user", prompt), Said("assistant", _text(row[layout.answer or ""]))]
        found = [self._message(item, place) for place, item in enumerate(self._list(row[layout.text]), 1)]
        if layout.answer is None:
            return found
        answers = [self._message(item, place) for place, item in enumerate(self._list(row[layout.answer]), 1)]
        return [Said(said.role, said.content, teaches=False) for said in found] + answers

    def _list(self, cell: Any) -> list[Any]:
        value = _read(cell)
        if value is None or value == "":
            return []
        if not isinstance(value, list):
            kind = "text that is no JSON" if isinstance(value, str) else type(value).__name__
            raise self._problem(f"holds {kind}, not a list of messages")
        return value

    def _message(self, item: Any, place: int) -> Said:
        if not isinstance(item, dict):
            raise self._problem(f"holds {type(item).__name__} as message {place}, not an object with role and content")
        key = next((key for key in ROLE_KEYS if item.get(key) is not None), None)
        if key is None:
            keys = ", ".join(repr(str(name)[:40]) for name in item)
            raise self._problem(f"does not say who speaks in message {place}: it has {keys or 'nothing'}")
        role = str(item[key])
        meant = ROLES.get(role.strip().lower())
        if meant is None:
            hint = f"{nearest(role, ROLES)}. They stand under {key!r} of each message"
            raise self._problem(f"has the role {role[:40]!r} in message {place}, which nobody knows", hint)
        calls = item.get("tool_calls") or item.get("function_call")
        parts = [self._content(item), self._called(calls) if calls else ""]
        content = BLANK_LINE.join(part for part in parts if part.strip())
        if role.strip().lower() in CALLING and content.strip() and isinstance(as_json(content), str):
            self.counts["broken calls"] += 1
        teaches = item.get("weight") != 0
        if meant == "assistant" and not teaches:
            self.counts["unweighted"] += 1
        return Said(meant, content, teaches)

    def _content(self, item: Mapping[str, Any]) -> str:
        value = next((item[key] for key in CONTENT_KEYS[:2] if item.get(key) is not None), None)
        if not isinstance(value, list):
            return _text(value)
        texts = []
        for part in value:
            text = part if isinstance(part, str) else part.get("text") if isinstance(part, dict) else None
            if isinstance(text, str):
                texts.append(text)
            else:
                self.counts["parts"] += 1
        return "\n".join(texts)

    def _called(self, calls: Any) -> str:
        """Tool calls as the OpenAI layout has them, as JSON text: an object, or a list of several."""
        found = []
        for call in calls if isinstance(calls, list) else [calls]:
            inner = as_json(call)
            inner = inner.get("function", inner) if isinstance(inner, dict) else inner
            if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
                self.counts["broken calls"] += 1
                return _text(calls)
            arguments = as_json(inner.get("arguments"))
            if isinstance(arguments, str) and arguments.strip():
                self.counts["broken calls"] += 1
            found.append({"name": inner["name"], "arguments": arguments or {}})
        return json.dumps(found[0] if len(found) == 1 else found, ensure_ascii=False, default=str)

    # --- turns --------------------------------------------------------------------------------------------------------

    def _joined(self, said: Sequence[Said]) -> list[Said]:
        """Messages without empty ones; of one speaker in a row, one."""
        joined: list[Said] = []
        for one in said:
            if not one.content.strip():
                self.counts["empty answers" if one.role == "assistant" else "empty"] += 1
            elif joined and joined[-1].role == one.role:
                last = joined.pop()
                content = f"{last.content}{BLANK_LINE}{one.content}"
                joined.append(Said(one.role, content, last.teaches and one.teaches))
                self.counts["joined"] += 1
            else:
                joined.append(one)
        return joined

    def _turns(self, said: Sequence[Said], tools: tuple[dict[str, Any], ...]) -> Iterator[Turn]:
        if said and said[0].role == "assistant":
            self.counts["begun"] += 1
        messages = [Message(one.role, one.content) for one in said]
        for place, one in enumerate(said):
            if one.role == "assistant" and place and one.teaches:
                yield Turn(Conversation(tuple(messages[:place]), tools), one.content)

    def _tools(self, cell: Any) -> tuple[tuple[dict[str, Any], ...], str]:
        """The tools, or their text where it cannot be read."""
        value = _read(cell)
        value = [value] if isinstance(value, dict) else value
        if value is None or value == [] or (isinstance(value, str) and not value.strip()):
            return (), ""
        found = [as_json(tool) for tool in value] if isinstance(value, list) else []
        if not found or not all(isinstance(tool, dict) for tool in found):
            self.counts["broken tools"] += 1
            return (), f"Tools: {cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False, default=str)}"
        self._know(found)
        return tuple(found), ""

    def _know(self, tools: Sequence[Mapping[str, Any]]) -> None:
        for tool in tools:
            inner = tool.get("function", tool)
            name = inner.get("name") if isinstance(inner, Mapping) else None
            if isinstance(name, str):
                self.tools[name] = None

    def _with_context(self, row: Mapping[str, Any]) -> list[Turn]:
        """A row that is a turn already."""
        layout = self.layout
        text, answer = _text(row[layout.text]), _text(row[layout.answer or ""])
        for cell, what in ((text, "empty"), (answer, "empty answers")):
            if not cell.strip():
                self.counts[what] += 1
                return []
        try:
            conversation = Conversation.of(text, _text(row[layout.text_pair or ""]))
        except ValueError as error:
            raise self._problem(f"has a context in {layout.text_pair!r} that cannot be read: {error}") from None
        self._know(conversation.tools)
        return [Turn(conversation, answer)]

    def _problem(self, what: str, hint: str = "") -> DataProblem:
        advice = 'A message is {"role": "user", "content": "..."} or {"from": "human", "value": "..."}'
        return DataProblem(f"row {self.row} of {self.split} {what}", hint or advice)


def is_call(answer: str) -> bool:
    """Whether an answer is a tool call, or a list of some: JSON with a name and arguments."""
    value = as_json(answer)
    calls = value if isinstance(value, list) and value else [value]
    return all(isinstance(call, dict) and "name" in call and {"arguments", "parameters"} & set(call) for call in calls)


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _read(cell: Any) -> Any:
    """The lists and objects in a cell, whether it holds them or their JSON text."""
    return as_json(cell) if isinstance(cell, str) else _without_gaps(cell)


def _without_gaps(value: Any) -> Any:
    """A value without the empty keys that a table of objects gives each one: those that only others have."""
    if isinstance(value, dict):
        return {key: _without_gaps(inner) for key, inner in value.items() if inner is not None}
    return [_without_gaps(inner) for inner in value] if isinstance(value, list) else value
