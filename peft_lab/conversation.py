"""What stands before an answer: messages and the tools that may be called, and how a row of data keeps them.

A row has the last message as its ``text``. What else stood before the answer is its ``text_pair``: JSON with the keys
``before`` (earlier messages), ``role`` (of the last message, where it is not ``user``) and ``tools``; empty where
there is nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROLES = ("system", "user", "assistant", "tool")
KEYS = ("before", "role", "tools")


@dataclass(frozen=True)
class Message:
    """What one speaker said."""

    role: str
    """``system``, ``user``, ``assistant`` or ``tool``."""
    content: str
    """Plain text; a tool call is its JSON text."""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"{self.role!r} is no role: those are {', '.join(ROLES)}")


@dataclass(frozen=True)
class Conversation:
    """Messages up to the one that is answered, and the tools known while answering."""

    messages: tuple[Message, ...]
    """The last one is what is answered; the assistant never says it."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """A JSON schema each, as in the data."""

    def __post_init__(self) -> None:
        if not self.messages:
            raise ValueError("a conversation without a message")
        if self.messages[-1].role == "assistant":
            raise ValueError("the last message is the assistant's: there is nothing to answer")

    @classmethod
    def of(cls, text: str, text_pair: str = "") -> Conversation:
        """Read the two columns of a row.

        Raises:
            ValueError: the context is damaged; says where.
        """
        context = _object(text_pair) if text_pair else {}
        strange = sorted(set(context) - set(KEYS))
        if strange:
            raise ValueError(f"the context has {strange[0]!r}, not one of {', '.join(KEYS)}")
        before, tools = (_list_of_objects(context, key) for key in ("before", "tools"))
        last = Message(_text(context.get("role", "user"), "'role' of the context"), text)
        return cls((*(_message(said) for said in before), last), tuple(tools))

    def columns(self) -> tuple[str, str]:
        """Return ``text`` and ``text_pair`` of a row."""
        *before, last = self.messages
        context: dict[str, Any] = {}
        if before:
            context["before"] = [{"role": said.role, "content": said.content} for said in before]
        if last.role != "user":
            context["role"] = last.role
        if self.tools:
            context["tools"] = list(self.tools)
        return last.content, json.dumps(context, ensure_ascii=False, separators=(",", ":")) if context else ""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"the context is no JSON: {error}") from None
    except RecursionError:
        raise ValueError("the context is no JSON that can be read: it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"the context is {type(value).__name__}, not an object")
    return value


def _list_of_objects(context: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = context.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"{key!r} of the context is not a list of objects")
    return value


def _message(said: Mapping[str, Any]) -> Message:
    if set(said) != {"role", "content"}:
        raise ValueError(f"a message of the context has the keys {', '.join(map(repr, said))}, not role and content")
    return Message(_text(said["role"], "'role' of a message"), _text(said["content"], "'content' of a message"))


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} is {type(value).__name__}, not text")
    return value
